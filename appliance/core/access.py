"""Access for a while: who may ask for a role, who must agree, and what became of each request.

A policy makes a role requestable in a scope. A request goes pending → approved | denied | expired, and approved →
revoked | expired; the clock alone decides about "expired". What always holds: nobody approves their own request, nor
one they asked for on another's behalf; nobody counts twice; a grant (the binding an approved request became) never
lasts longer than the policy, the request and every approver allow. Answers are values: the next state, or a Problem.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from appliance.core.clusters import Cluster
from appliance.core.coverage import contains
from appliance.core.people import Person
from appliance.core.problems import Code, Problem, problem
from appliance.core.roles import Binding, Scope, Subject, SubjectKind

SECOND = 1_000_000  # times are microseconds
PENDING_SECONDS = 8 * 3600  # a working day: someone in another time zone can still answer
MIN_GRANT_SECONDS = 10  # shorter is over before a command has run
MAX_GRANT_SECONDS = 30 * 24 * 3600  # longer is not access for a while: bind the role
MAX_APPROVALS = 2  # four eyes beside the asker's; more is a meeting
MAX_REVIEWERS = 10  # whom one asks to look at it; more is nobody in particular
KEPT_SECONDS = 90 * 24 * 3600  # a closed request stays listed that long; the audit trail keeps its events


class RequestState(StrEnum):
    """What a request is at a moment."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    REVOKED = "revoked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """A role is requestable: where, by whom, agreed by whom, for how long.

    `approvers` narrows who may approve; when it is empty, whoever holds `access:approve` there may.
    """

    id: str
    role_id: str
    scope: Scope
    askers: tuple[Subject, ...]
    approvers: tuple[Subject, ...] = ()
    approvals: int = 1
    max_seconds: int = 8 * 3600
    reason_required: bool = False
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Approval:
    """One yes."""

    subject: Subject
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One wish for a role, and its fate as far as it was decided; `state` says what the clock has made of it."""

    id: str
    policy_id: str
    subject: Subject  # who gets the role
    asked_by: Subject  # who asked: the same, or a machine on a person's behalf
    role_id: str
    scope: Scope
    seconds: int
    reason: str = ""
    decided: RequestState = RequestState.PENDING
    approvals: tuple[Approval, ...] = ()
    note: str = ""  # why denied or revoked
    closed_by: str = ""  # the name of who denied or revoked
    binding_id: str = ""  # of the grant
    until: int | None = None  # when the grant ends
    expires_at: int = 0  # unanswered until then, it has expired
    created_at: int = 0
    closed_at: int | None = None  # when it was denied or revoked
    reviewers: tuple[str, ...] = ()  # whom the asker named to look at it; gives nobody a right

    def state(self, now: int) -> RequestState:
        """By the clock, whatever a sweep has or has not done."""
        if self.decided is RequestState.PENDING and now >= self.expires_at:
            return RequestState.EXPIRED
        if self.decided is RequestState.APPROVED and self.until is not None and now >= self.until:
            return RequestState.EXPIRED
        return self.decided

    @property
    def closes_at(self) -> int:
        """From when on nothing about it changes any more."""
        if self.closed_at is not None:
            return self.closed_at
        return self.expires_at if self.until is None else self.until

    def binding(self) -> Binding:
        """The grant."""
        assert self.until is not None
        return Binding(self.binding_id, self.subject, self.role_id, self.scope, self.until, self.id, self.created_at)


def names(subjects: tuple[Subject, ...], subject: Subject, person: Person | None) -> bool:
    """Whether a list names this subject, or a group of this person."""
    if subject in subjects:
        return True
    if person is None or not person.issuer:
        return False
    groups = {Subject(SubjectKind.GROUP, group, person.issuer) for group in person.groups if group}
    return not groups.isdisjoint(subjects)


def asking_fault(
    policy: RequestPolicy, request: AccessRequest, person: Person | None, cluster: Cluster | None
) -> Problem | None:
    """Why this may not be asked; None when it may. Who may not ask is told no more than that there is no policy."""
    if not names(policy.askers, request.subject, person):
        return problem(Code.REQUEST_POLICY_NOT_FOUND)
    if person is not None and not person.enabled:
        return problem(Code.PERSON_DISABLED)
    if not contains(policy.scope, request.scope, cluster):
        return problem(Code.REQUEST_OUTSIDE_POLICY, detail="its scope reaches beyond the policy's")
    if not MIN_GRANT_SECONDS <= request.seconds <= policy.max_seconds:
        return problem(Code.INVALID_DURATION, shortest=MIN_GRANT_SECONDS, longest=policy.max_seconds)
    if policy.reason_required and not request.reason:
        return problem(Code.REQUEST_OUTSIDE_POLICY, detail="it gives no reason")
    return None


def approve(
    request: AccessRequest,
    policy: RequestPolicy,
    yes: Approval,
    approver: Person | None,
    *,
    seconds: int | None,
    binding_id: str,
) -> AccessRequest | Problem:
    """The request with one more yes; with the last one it is a grant that begins at once.

    `seconds` shortens what was asked for. That the approver holds `access:approve` there was asked before.
    """
    refused = _not_pending(request, yes.at)
    if refused is not None:
        return refused
    if yes.subject in {request.subject, request.asked_by}:
        return problem(Code.SELF_APPROVAL_FORBIDDEN)
    if policy.approvers and not names(policy.approvers, yes.subject, approver):
        return problem(Code.APPROVER_NOT_NAMED)
    if any(it.subject == yes.subject for it in request.approvals):
        return problem(Code.ALREADY_APPROVED)
    wanted = request.seconds if seconds is None else seconds
    if not MIN_GRANT_SECONDS <= wanted <= request.seconds:
        return problem(Code.INVALID_DURATION, shortest=MIN_GRANT_SECONDS, longest=request.seconds)
    agreed = replace(request, approvals=(*request.approvals, yes), seconds=min(wanted, policy.max_seconds))
    if len(agreed.approvals) < policy.approvals:
        return agreed
    until = yes.at + agreed.seconds * SECOND
    return replace(agreed, decided=RequestState.APPROVED, binding_id=binding_id, until=until)


def deny(request: AccessRequest, by: str, reason: str, now: int) -> AccessRequest | Problem:
    """The request, refused. One no outweighs every yes so far."""
    refused = _not_pending(request, now)
    if refused is not None:
        return refused
    return replace(request, decided=RequestState.DENIED, note=reason, closed_by=by, closed_at=now)


def revoke(request: AccessRequest, by: str, reason: str, now: int) -> AccessRequest | Problem:
    """The grant, ended before its time."""
    match request.state(now):
        case RequestState.APPROVED:
            return replace(request, decided=RequestState.REVOKED, note=reason, closed_by=by, closed_at=now)
        case RequestState.REVOKED:
            return problem(Code.GRANT_ALREADY_REVOKED)
        case RequestState.EXPIRED if request.until is not None:
            return problem(Code.GRANT_ALREADY_EXPIRED)
        case state:
            return problem(Code.GRANT_NOT_APPROVED, state=state)


def settled(request: AccessRequest, now: int) -> AccessRequest | None:
    """The request with the clock's verdict written down; None when there is none to write."""
    if request.decided in {RequestState.PENDING, RequestState.APPROVED} and request.state(now) is RequestState.EXPIRED:
        return replace(request, decided=RequestState.EXPIRED)
    return None


def _not_pending(request: AccessRequest, now: int) -> Problem | None:
    state = request.state(now)
    if state is RequestState.PENDING:
        return None
    if state is RequestState.EXPIRED and request.until is None:
        return problem(Code.REQUEST_EXPIRED)
    return problem(Code.REQUEST_NOT_PENDING, state=state)
