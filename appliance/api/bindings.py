"""Bindings: give a role to someone in a scope, list, take away.

Seen and touched is only what lies in a scope the caller holds the permission in. That nobody gives what they do not
hold, and that someone stays who may escalate, the units check in their transaction.
"""

from __future__ import annotations

from appliance.api import bodies, clusters, pages, readers, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Binding, Permission
from appliance.core.snapshot import Entity
from appliance.store import granting, ids


async def listed(call: Call) -> Answer:
    """By id. `cluster`: those that reach it."""
    subject, role, named = (call.query[name] for name in ("subject", "role", "cluster"))
    cluster = clusters.find(call, named) if named is not None else None

    def seen(it: Binding) -> bool:
        fits = subject in {None, it.subject.id} and role in {None, it.role_id}
        return fits and (cluster is None or it.scope.covers(cluster)) and call.within(it.scope)

    return await pages.page(
        call,
        Entity.BINDING,
        call.parts.snapshot().bindings.values(),
        lambda it: (it.id,),
        str,
        seen=seen,
        shown=render.binding,
    )


async def one(call: Call) -> Answer:
    found = call.parts.snapshot().bindings.get(call.path["binding"])
    if found is None or not call.within(found.scope):
        raise ProblemError(problem(Code.ASSIGNMENT_NOT_FOUND))
    return Answer(200, render.binding(found))


async def create(call: Call) -> Answer:
    made = Binding(ids.new_id("binding"), **call.body, created_at=call.now)
    if not made.live(call.now):
        raise BodyError("until", "until must lie in the future.")
    await call.parts.write(granting.add_binding(call.caller.subject, made, call.now))
    await _note(call, EventType.ROLE_ASSIGNED, made)
    return Answer(201, render.binding(made))


async def remove(call: Call) -> Answer:
    removed = await call.parts.write(granting.remove_binding(call.caller.subject, call.path["binding"], call.now))
    await _note(call, EventType.ROLE_UNASSIGNED, removed)
    return Answer(204)


async def _note(call: Call, kind: EventType, binding: Binding) -> None:
    await note(
        call,
        kind,
        cluster=call.parts.snapshot().clusters.get(binding.scope.cluster_id),
        binding_id=binding.id,
        subject=f"{binding.subject.kind}:{binding.subject.id}",
        role_id=binding.role_id,
        scope=render.scope_words(binding.scope),
        until=render.moment(binding.until) or "",
    )


ROUTES = (
    Route(
        "GET",
        "bindings",
        (Permission.BINDINGS_READ,),
        listed,
        query=(
            *pages.QUERY,
            Field("subject", readers.query_text, required=False),
            Field("role", readers.query_text, required=False),
            Field("cluster", readers.query_text, required=False),
        ),
        scoped=True,
        gives=shapes.Binding,
        refuses=(Code.CLUSTER_NOT_FOUND,),
    ),
    Route(
        "GET",
        "bindings/<binding>",
        (Permission.BINDINGS_READ,),
        one,
        scoped=True,
        gives=shapes.Binding,
        refuses=(Code.ASSIGNMENT_NOT_FOUND,),
    ),
    Route(
        "POST",
        "bindings",
        (Permission.BINDINGS_WRITE,),
        create,
        body=(
            Field("subject", readers.subject),
            Field("role_id", bodies.text),
            Field("scope", readers.scope),
            Field("until", render.read_moment, required=False, default=None),
        ),
        scoped=True,
        gives=shapes.Binding,
        status=201,
        refuses=(
            Code.ROLE_NOT_FOUND,
            Code.USER_NOT_FOUND,
            Code.MACHINE_NOT_FOUND,
            Code.CLUSTER_NOT_FOUND,
            Code.ESCALATION_FORBIDDEN,
        ),
    ),
    Route(
        "DELETE",
        "bindings/<binding>",
        (Permission.BINDINGS_WRITE,),
        remove,
        scoped=True,
        status=204,
        refuses=(Code.ASSIGNMENT_NOT_FOUND, Code.LAST_ADMINISTRATOR),
    ),
)
