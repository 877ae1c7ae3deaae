"""The units of access for a while: request policies, requests, approvals, and the grants they become.

Each takes the feed's lock first, so of two that meet (two approvals, an approval and a revocation) one comes first and
the other sees what it did. Which state follows which is core's (`core.access`); here only what the database knows is
added: whether role, person and cluster are still there, and whether the same was asked for already. A request that a
caller may not see is answered as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.core import access
from appliance.core.access import AccessRequest, Approval, RequestPolicy, RequestState
from appliance.core.coverage import contains
from appliance.core.people import Person
from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.core.rights import Principal
from appliance.core.roles import Binding, Permission, Subject
from appliance.core.snapshot import Entity
from appliance.core.webhooks import Notice
from appliance.store import outbox, rows, statements, units
from appliance.store.granting import (
    bindings_of_person,
    caller_rights,
    cluster_of,
    need_within,
    person_of,
    refuse_escalation,
    role_of,
)
from appliance.store.unit import Unit, run
from appliance.store.units import change

MAX_OPEN_REQUESTS = 50  # of one subject, unanswered or granted; more is a program that went wrong
RETRY_SECONDS = 600
WITHDRAWN = "withdrawn by who asked"  # the reason that is kept when it ends so


def add_policy(by: Subject, policy: RequestPolicy, now: int) -> Unit[None]:
    """Makes a role obtainable: as much as giving it, so whoever does it holds it (or may escalate)."""
    caller = yield from caller_rights(by, now)
    yield from need_within(caller, Permission.POLICIES_WRITE, policy.scope)
    role = yield from role_of(policy.role_id)
    if role is None:
        raise ProblemError(problem(Code.ROLE_NOT_FOUND))
    if policy.scope.cluster_id and (yield from cluster_of(policy.scope)) is None:
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=policy.scope.cluster_id))
    yield from refuse_escalation(caller, role, policy.scope, None)
    yield from change(Entity.REQUEST_POLICY, policy.id, now)
    yield run(statements.POLICY_ADD, *rows.policy_values(policy))


def set_policy(
    by: Subject, policy_id: str, edit: Callable[[RequestPolicy], RequestPolicy], now: int
) -> Unit[RequestPolicy]:
    """Replaces who may ask, who approves and the limits; role and scope are for life. Pending requests follow it."""
    caller = yield from caller_rights(by, now)
    before = yield from _policy(policy_id)
    cluster = yield from cluster_of(before.scope)
    if not caller.within(Permission.POLICIES_WRITE, before.scope, cluster):
        raise ProblemError(problem(Code.REQUEST_POLICY_NOT_FOUND))
    edited = edit(before)
    role = yield from role_of(before.role_id)
    if role is not None:
        yield from refuse_escalation(caller, role, before.scope, None)
    yield from change(Entity.REQUEST_POLICY, policy_id, now)
    yield run(statements.POLICY_SET, policy_id, *rows.policy_values(edited)[4:9])
    return edited


def remove_policy(by: Subject, policy_id: str, now: int) -> Unit[RequestPolicy]:
    """What waits for an answer under it is denied; what was granted stays until its end."""
    caller = yield from caller_rights(by, now)
    policy = yield from _policy(policy_id)
    cluster = yield from cluster_of(policy.scope)
    if not caller.within(Permission.POLICIES_WRITE, policy.scope, cluster):
        raise ProblemError(problem(Code.REQUEST_POLICY_NOT_FOUND))
    for (request_id,) in (yield run(statements.ACCESS_REQUESTS_OF_POLICY, policy_id, now)):
        request = yield from _request(request_id)
        denied = access.deny(request, "", "its request policy was removed", now)
        if isinstance(denied, AccessRequest):
            yield from units.set_request(denied, now)
    yield from change(Entity.REQUEST_POLICY, policy_id, now)
    yield run(statements.POLICY_REMOVE, policy_id)
    return policy


def ask(request: AccessRequest, now: int) -> Unit[AccessRequest]:
    """Keeps a request as pending. Asking for someone else needs `access:request-for` there."""
    caller = yield from caller_rights(request.asked_by, now)
    if request.asked_by != request.subject:
        yield from need_within(caller, Permission.ACCESS_REQUEST_FOR, request.scope)
    policy = yield from _policy(request.policy_id)
    person = yield from person_of(request.subject)
    cluster = yield from cluster_of(request.scope)
    if request.scope.cluster_id and cluster is None:
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=request.scope.cluster_id))
    _refuse(access.asking_fault(policy, request, person, cluster))
    yield from _refuse_again(request, person, now)
    yield from change(Entity.ACCESS_REQUEST, request.id, now)
    yield run(statements.ACCESS_REQUEST_ADD, *rows.access_request_values(request))
    yield from outbox.announce(Notice.CREATED, request, now)
    return request


def approve(by: Principal, request_id: str, now: int, *, seconds: int | None, binding_id: str) -> Unit[AccessRequest]:
    """One more yes; with the last one the grant is bound, in the same transaction."""
    request = yield from _answerable(by, request_id, now, own=False)
    policy = yield from _policy(request.policy_id)
    approver = yield from person_of(by.subject)
    yes = Approval(by.subject, by.name, now)
    agreed = access.approve(request, policy, yes, approver, seconds=seconds, binding_id=binding_id)
    if isinstance(agreed, Problem):
        raise ProblemError(agreed)
    # The world may have changed since it was asked: the policy narrowed, the person disabled, labels moved.
    person = yield from person_of(request.subject)
    cluster = yield from cluster_of(request.scope)
    _refuse(access.asking_fault(policy, agreed, person, cluster))
    yield from units.set_request(agreed, now)
    if agreed.decided is RequestState.APPROVED:
        yield from units.add_binding(agreed.binding(), now)
    return agreed


def deny(by: Principal, request_id: str, reason: str, now: int) -> Unit[AccessRequest]:
    request = yield from _answerable(by, request_id, now, own=True)
    denied = access.deny(request, by.name, reason, now)
    if isinstance(denied, Problem):
        raise ProblemError(denied)
    yield from units.set_request(denied, now)
    return denied


def revoke(by: Principal, request_id: str, reason: str, now: int) -> Unit[AccessRequest]:
    """Ends the grant; what runs on it ends when the snapshot shows it."""
    request = yield from _answerable(by, request_id, now, own=True)
    revoked = access.revoke(request, by.name, reason, now)
    if isinstance(revoked, Problem):
        raise ProblemError(revoked)
    yield from units.set_request(revoked, now)
    yield from units.remove_binding(request.binding_id, now)
    return revoked


def withdraw(by: Principal, request_id: str, now: int) -> Unit[AccessRequest]:
    """Whoever got it does not need it any more: what waits is denied, what was granted ends."""
    yield run(statements.FEED_LOCK)
    request = yield from _request(request_id)
    if request.subject != by.subject:
        raise ProblemError(problem(Code.REQUEST_NOT_FOUND))
    if request.state(now) is RequestState.PENDING:
        return (yield from deny(by, request_id, WITHDRAWN, now))
    return (yield from revoke(by, request_id, WITHDRAWN, now))


def settle(request_id: str, now: int) -> Unit[AccessRequest | None]:
    """Writes down that the clock has ended a request or a grant; None when another has, or nothing has ended.

    Nothing waits for this: it is so that exactly one record says it.
    """
    yield run(statements.FEED_LOCK)
    found = yield run(statements.ACCESS_REQUEST, request_id)
    ended = access.settled(rows.access_request(found[0]), now) if found else None
    if ended is None:
        return None
    yield from units.set_request(ended, now)
    if ended.binding_id and (yield run(statements.BINDING, ended.binding_id)):
        yield from units.remove_binding(ended.binding_id, now)
    return ended


def _answerable(by: Principal, request_id: str, now: int, *, own: bool) -> Unit[AccessRequest]:
    """The request, if the caller may answer it: by `access:approve` there, or (`own`) because it is theirs."""
    caller = yield from caller_rights(by.subject, now)
    request = yield from _request(request_id)
    cluster = yield from cluster_of(request.scope)
    if not caller.within(Permission.ACCESS_APPROVE, request.scope, cluster) and not (
        own and by.subject in {request.subject, request.asked_by}
    ):
        raise ProblemError(problem(Code.REQUEST_NOT_FOUND))
    return request


def _refuse_again(request: AccessRequest, person: Person | None, now: int) -> Unit[None]:
    """The same wish is asked once, and not when it is fulfilled already."""
    ((open_requests,),) = yield run(statements.ACCESS_REQUESTS_OPEN_OF_SUBJECT, request.subject.id, now)
    if open_requests >= MAX_OPEN_REQUESTS:
        raise ProblemError(problem(Code.RATE_LIMITED, seconds=RETRY_SECONDS, retry_after=RETRY_SECONDS))
    for row in (yield run(statements.ACCESS_REQUESTS_LIKE, request.subject.id, request.role_id, now)):
        other = rows.access_request(row)
        if other.scope != request.scope:
            continue
        meta = (("requestId", other.id),)
        if other.state(now) is RequestState.PENDING:
            raise ProblemError(problem(Code.PENDING_REQUEST_EXISTS, meta=meta))
        if other.state(now) is RequestState.APPROVED:
            raise ProblemError(problem(Code.GRANT_ALREADY_ACTIVE, meta=meta))
    held: list[Binding] = []
    if person is not None:
        held = yield from bindings_of_person(person)
    cluster = yield from cluster_of(request.scope)
    if any(
        it.role_id == request.role_id and it.until is None and contains(it.scope, request.scope, cluster) for it in held
    ):
        raise ProblemError(problem(Code.STATIC_ASSIGNMENT_EXISTS))


def _policy(policy_id: str) -> Unit[RequestPolicy]:
    found = yield run(statements.POLICY, policy_id)
    if not found:
        raise ProblemError(problem(Code.REQUEST_POLICY_NOT_FOUND))
    return rows.policy(found[0])


def _request(request_id: str) -> Unit[AccessRequest]:
    found = yield run(statements.ACCESS_REQUEST, request_id)
    if not found:
        raise ProblemError(problem(Code.REQUEST_NOT_FOUND))
    return rows.access_request(found[0])


def _refuse(found: Problem | None) -> None:
    if found is not None:
        raise ProblemError(found)
