"""Access requests: ask for a role for a while, approve, deny, revoke.

A caller acts only as itself. Until people sign in, a machine that holds `access:request-for` may ask on a person's
behalf; it is recorded as who asked, and cannot approve what it asked for. What a caller may not see is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from appliance.api import bodies, pages, people, readers, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.access import (
    MAX_GRANT_SECONDS,
    MAX_REVIEWERS,
    MIN_GRANT_SECONDS,
    PENDING_SECONDS,
    SECOND,
    AccessRequest,
    RequestState,
)
from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission, Subject, SubjectKind
from appliance.core.snapshot import Entity
from appliance.store import ids, requests


async def listed(call: Call) -> Answer:
    return await page(call, lambda it: _sees(call, it))


async def page(call: Call, seen: Callable[[AccessRequest], bool]) -> Answer:
    """Newest first."""
    wanted: RequestState | None = call.query["state"]
    reviewer: str | None = call.query["reviewer"]
    return await pages.page(
        call,
        Entity.ACCESS_REQUEST,
        call.parts.snapshot().access_requests.values(),
        lambda it: (-it.created_at, it.id),
        int,
        str,
        seen=lambda it: (
            (wanted is None or it.state(call.now) is wanted)
            and (reviewer is None or reviewer.casefold() in {name.casefold() for name in it.reviewers})
            and seen(it)
        ),
        shown=lambda it: render.access_request(it, call.now),
    )


async def one(call: Call) -> Answer:
    found = call.parts.snapshot().access_requests.get(call.path["request"])
    if found is None or not _sees(call, found):
        raise ProblemError(problem(Code.REQUEST_NOT_FOUND))
    return Answer(200, render.access_request(found, call.now))


async def ask(call: Call) -> Answer:
    return await ask_as(call, call.caller.subject)


async def ask_for(call: Call) -> Answer:
    """What the caller may not ask for is told first: whether there is such a person is for those who may."""
    policy = call.parts.snapshot().policies.get(call.body["policy_id"])
    if policy is None or not call.within(call.body["scope"] or policy.scope):
        raise ProblemError(problem(Code.REQUEST_POLICY_NOT_FOUND))
    person = people.find(call, call.path["person"])
    return await ask_as(call, Subject(SubjectKind.PERSON, person.id))


async def approve(call: Call) -> Answer:
    """With the last approval the grant begins; until then the request goes on waiting."""
    agreed = await call.parts.write(
        requests.approve(
            call.caller,
            call.path["request"],
            call.now,
            seconds=call.body["ttl_seconds"],
            binding_id=ids.new_id("binding"),
        )
    )
    granted = agreed.decided is RequestState.APPROVED
    kind = EventType.ACCESS_APPROVED if granted else EventType.ACCESS_SECONDED
    await note_request(call, kind, agreed, approvals=len(agreed.approvals), until=render.moment(agreed.until) or "")
    return Answer(200, render.access_request(agreed, call.now))


async def deny(call: Call) -> Answer:
    reason = call.body["reason"]
    denied = await call.parts.write(requests.deny(call.caller, call.path["request"], reason, call.now))
    await note_request(call, EventType.ACCESS_DENIED, denied, reason=reason)
    return Answer(200, render.access_request(denied, call.now))


async def revoke(call: Call) -> Answer:
    """What runs on the grant ends within two seconds."""
    reason = call.body["reason"]
    revoked = await call.parts.write(requests.revoke(call.caller, call.path["request"], reason, call.now))
    await note_request(call, EventType.ACCESS_REVOKED, revoked, reason=reason)
    return Answer(200, render.access_request(revoked, call.now))


async def ask_as(call: Call, subject: Subject) -> Answer:
    """Ask for someone: the caller, or whom they act for."""
    policy = call.parts.snapshot().policies.get(call.body["policy_id"])
    if policy is None:
        raise ProblemError(problem(Code.REQUEST_POLICY_NOT_FOUND))
    seconds = call.body["ttl_seconds"]
    asked = AccessRequest(
        ids.new_id("request"),
        policy.id,
        subject,
        call.caller.subject,
        policy.role_id,
        call.body["scope"] or policy.scope,
        policy.max_seconds if seconds is None else seconds,
        call.body["reason"],
        expires_at=call.now + PENDING_SECONDS * SECOND,
        created_at=call.now,
        reviewers=call.body["reviewers"],
    )
    kept = await call.parts.write(requests.ask(asked, call.now))
    await note_request(call, EventType.ACCESS_REQUESTED, kept, seconds=kept.seconds, reason=kept.reason)
    return Answer(201, render.access_request(kept, call.now))


def _sees(call: Call, request: AccessRequest) -> bool:
    return call.within(request.scope) or call.caller.subject in {request.subject, request.asked_by}


async def note_request(call: Call, kind: EventType, request: AccessRequest, **details: object) -> None:
    """What happened to a request, for the audit trail."""
    snapshot = call.parts.snapshot()
    role, person = snapshot.roles.get(request.role_id), snapshot.people.get(request.subject.id)
    about: dict[str, object] = {
        "request_id": request.id,
        "requester_id": request.subject.id,
        "requester": person.name if person is not None else "",
        "role_id": request.role_id,
        "role": role.name if role is not None else "",
        "scope": render.scope_words(request.scope),
    }
    cluster = snapshot.clusters.get(request.scope.cluster_id)
    await note(call, kind, by=None, cluster=cluster, credential_id="", **about, **details)


@bodies.reads(bodies.listed(bodies.text), maxItems=MAX_REVIEWERS, uniqueItems=True)
def _reviewers(where: str, value: Any) -> tuple[str, ...]:
    """Names or e-mail addresses, as the asker knows them: whether somebody has one is not the asker's to learn."""
    found: tuple[str, ...] = bodies.listed(bodies.text)(where, value)
    if len(found) > MAX_REVIEWERS or len(set(found)) != len(found):
        raise BodyError(where, f"{where} must name at most {MAX_REVIEWERS} people, each once.")
    return found


WISH: Final = (
    Field("policy_id", bodies.text),
    Field("scope", readers.scope, required=False),
    Field("ttl_seconds", bodies.whole(MIN_GRANT_SECONDS, MAX_GRANT_SECONDS), required=False),
    Field("reason", bodies.text, required=False, default=""),
    Field("reviewers", _reviewers, required=False, default=()),
)
QUERY: Final = (
    *pages.QUERY,
    Field("state", readers.one_of(RequestState), required=False),
    Field("reviewer", readers.query_text, required=False),
)
#: What may keep anybody from asking.
ASKING: Final = (
    Code.REQUEST_POLICY_NOT_FOUND,
    Code.CLUSTER_NOT_FOUND,
    Code.USER_NOT_FOUND,
    Code.PERSON_DISABLED,
    Code.REQUEST_OUTSIDE_POLICY,
    Code.INVALID_DURATION,
    Code.STATIC_ASSIGNMENT_EXISTS,
    Code.PENDING_REQUEST_EXISTS,
    Code.GRANT_ALREADY_ACTIVE,
)
_APPROVE = (Permission.ACCESS_APPROVE,)

ROUTES = (
    Route(
        "GET",
        "access-requests",
        (Permission.ACCESS_READ,),
        listed,
        query=QUERY,
        scoped=True,
        gives=shapes.AccessRequest,
    ),
    Route(
        "GET",
        "access-requests/<request>",
        (Permission.ACCESS_READ,),
        one,
        scoped=True,
        gives=shapes.AccessRequest,
        refuses=(Code.REQUEST_NOT_FOUND,),
    ),
    Route(
        "POST",
        "access-requests",
        (Permission.ACCESS_REQUEST,),
        ask,
        body=WISH,
        scoped=True,
        gives=shapes.AccessRequest,
        status=201,
        refuses=ASKING,
    ),
    Route(
        "POST",
        "people/<person>/access-requests",
        (Permission.ACCESS_REQUEST_FOR,),
        ask_for,
        body=WISH,
        scoped=True,
        gives=shapes.AccessRequest,
        status=201,
        refuses=(*ASKING, Code.USER_NOT_FOUND),
    ),
    Route(
        "POST",
        "access-requests/<request>/approve",
        _APPROVE,
        approve,
        body=(Field("ttl_seconds", bodies.whole(MIN_GRANT_SECONDS, MAX_GRANT_SECONDS), required=False),),
        scoped=True,
        gives=shapes.AccessRequest,
        refuses=(
            Code.REQUEST_NOT_FOUND,
            Code.REQUEST_NOT_PENDING,
            Code.REQUEST_EXPIRED,
            Code.SELF_APPROVAL_FORBIDDEN,
            Code.APPROVER_NOT_NAMED,
            Code.ALREADY_APPROVED,
            Code.INVALID_DURATION,
            Code.ROLE_NOT_FOUND,
            Code.USER_NOT_FOUND,
            Code.CLUSTER_NOT_FOUND,
            Code.REQUEST_POLICY_NOT_FOUND,
            Code.REQUEST_OUTSIDE_POLICY,
            Code.PERSON_DISABLED,
            Code.ESCALATION_FORBIDDEN,
        ),
    ),
    Route(
        "POST",
        "access-requests/<request>/deny",
        _APPROVE,
        deny,
        body=(Field("reason", bodies.text),),
        scoped=True,
        gives=shapes.AccessRequest,
        refuses=(
            Code.REQUEST_NOT_FOUND,
            Code.REQUEST_NOT_PENDING,
            Code.REQUEST_EXPIRED,
            Code.SELF_APPROVAL_FORBIDDEN,
            Code.APPROVER_NOT_NAMED,
        ),
    ),
    Route(
        "POST",
        "access-requests/<request>/revoke",
        _APPROVE,
        revoke,
        body=(Field("reason", bodies.text, required=False, default=""),),
        scoped=True,
        gives=shapes.AccessRequest,
        refuses=(
            Code.REQUEST_NOT_FOUND,
            Code.GRANT_NOT_APPROVED,
            Code.GRANT_ALREADY_REVOKED,
            Code.GRANT_ALREADY_EXPIRED,
        ),
    ),
)
