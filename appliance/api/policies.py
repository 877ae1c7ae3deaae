"""Request policies: which roles can be asked for, where, by whom, agreed by whom, for how long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from appliance.api import bodies, pages, readers, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.access import MAX_APPROVALS, MAX_GRANT_SECONDS, MIN_GRANT_SECONDS, RequestPolicy
from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.core.snapshot import Entity
from appliance.core.versions import Guarded
from appliance.store import ids, requests


async def listed(call: Call) -> Answer:
    """By id."""
    role = call.query["role"]
    return await pages.page(
        call,
        Entity.REQUEST_POLICY,
        call.parts.snapshot().policies.values(),
        lambda it: (it.id,),
        str,
        seen=lambda it: role in {None, it.role_id} and call.within(it.scope),
        shown=render.policy,
    )


async def one(call: Call) -> Answer:
    found = call.parts.snapshot().policies.get(call.path["policy"])
    if found is None or not call.within(found.scope):
        raise ProblemError(problem(Code.REQUEST_POLICY_NOT_FOUND))
    return Answer(200, render.policy(found))


async def create(call: Call) -> Answer:
    made = RequestPolicy(ids.new_id("policy"), **call.body, created_at=call.now)
    await call.parts.write(requests.add_policy(call.caller.subject, made, call.now))
    await _note(call, EventType.POLICY_CREATED, made)
    return Answer(201, render.policy(made))


async def update(call: Call) -> Answer:
    changes = {name: value for name, value in call.body.items() if value is not None}
    by, identity = call.caller.subject, call.path["policy"]
    edit: Guarded[RequestPolicy] = call.guarded(lambda it: render.policy(it)["etag"], lambda it: replace(it, **changes))
    edited = await call.parts.write(requests.set_policy(by, identity, edit, call.now))
    await _note(call, EventType.POLICY_UPDATED, edited)
    return Answer(200, render.policy(edited))


async def remove(call: Call) -> Answer:
    """Requests that wait under it are denied; grants stay until their end."""
    removed = await call.parts.write(requests.remove_policy(call.caller.subject, call.path["policy"], call.now))
    await _note(call, EventType.POLICY_DELETED, removed)
    return Answer(204)


@bodies.reads(bodies.listed(readers.known_subject), minItems=1)
def _askers(where: str, value: Any) -> Any:
    found = bodies.listed(readers.known_subject)(where, value)
    if not found:
        raise BodyError(where, f"{where} must name someone: a policy that nobody may use is no policy.")
    return found


async def _note(call: Call, kind: EventType, policy: RequestPolicy) -> None:
    await note(
        call,
        kind,
        cluster=call.parts.snapshot().clusters.get(policy.scope.cluster_id),
        policy_id=policy.id,
        role_id=policy.role_id,
        scope=render.scope_words(policy.scope),
        askers=",".join(f"{it.kind}:{it.id}" for it in policy.askers),
        approvers=",".join(f"{it.kind}:{it.id}" for it in policy.approvers),
        approvals=policy.approvals,
        max_seconds=policy.max_seconds,
    )


_APPROVERS = bodies.listed(readers.known_subject)
_APPROVALS = bodies.whole(1, MAX_APPROVALS)
_SECONDS = bodies.whole(MIN_GRANT_SECONDS, MAX_GRANT_SECONDS)

ROUTES = (
    Route(
        "GET",
        "request-policies",
        (Permission.POLICIES_READ,),
        listed,
        query=(*pages.QUERY, Field("role", readers.query_text, required=False)),
        scoped=True,
        gives=shapes.RequestPolicy,
    ),
    Route(
        "GET",
        "request-policies/<policy>",
        (Permission.POLICIES_READ,),
        one,
        scoped=True,
        gives=shapes.RequestPolicy,
        refuses=(Code.REQUEST_POLICY_NOT_FOUND,),
    ),
    Route(
        "POST",
        "request-policies",
        (Permission.POLICIES_WRITE,),
        create,
        body=(
            Field("role_id", bodies.text),
            Field("scope", readers.scope),
            Field("askers", _askers),
            Field("approvers", _APPROVERS, required=False, default=()),
            Field("approvals", _APPROVALS, required=False, default=1),
            Field("max_seconds", _SECONDS, required=False, default=8 * 3600),
            Field("reason_required", bodies.boolean, required=False, default=False),
        ),
        scoped=True,
        gives=shapes.RequestPolicy,
        status=201,
        refuses=(Code.ROLE_NOT_FOUND, Code.CLUSTER_NOT_FOUND, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "PATCH",
        "request-policies/<policy>",
        (Permission.POLICIES_WRITE,),
        update,
        body=(
            Field("askers", _askers, required=False),
            Field("approvers", _APPROVERS, required=False),
            Field("approvals", _APPROVALS, required=False),
            Field("max_seconds", _SECONDS, required=False),
            Field("reason_required", bodies.boolean, required=False),
        ),
        scoped=True,
        gives=shapes.RequestPolicy,
        refuses=(Code.REQUEST_POLICY_NOT_FOUND, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "DELETE",
        "request-policies/<policy>",
        (Permission.POLICIES_WRITE,),
        remove,
        scoped=True,
        status=204,
        refuses=(Code.REQUEST_POLICY_NOT_FOUND,),
    ),
)
