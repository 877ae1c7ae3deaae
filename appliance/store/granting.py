"""The units through which a caller of the admin API changes who may do what, each checked in its own transaction.

Every unit takes the feed's lock first, reads what the caller holds now, asks the core, and only then writes. So a
check never rests on rights that another transaction is taking away: of two callers who cut each other off, the second
is refused. What always holds: nobody gives what they do not hold (`core.rights`); what a caller may not touch looks
like what is not there; the last one who may escalate roles everywhere cannot be removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential
from appliance.core.machines import MachineToken
from appliance.core.people import Machine, Person
from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.core.rights import Rights, collected, escalation, refusal
from appliance.core.roles import EVERYWHERE, Binding, Permission, Role, Scope, ScopeKind, Subject, SubjectKind
from appliance.store import issuing, removing, rows, statements, units
from appliance.store.issuing import Wanted
from appliance.store.unit import Unit, run

T = TypeVar("T")


def caller_rights(by: Subject, now: int) -> Unit[Rights]:
    """What the caller holds, once nobody else can change it any more. First in every unit here."""
    yield run(statements.FEED_LOCK)
    found: list[Binding] = []
    match by.kind:
        case SubjectKind.MACHINE:
            if (yield from _acts_still(by.id, now)):
                found = yield from _naming(by)
        case SubjectKind.PERSON:
            person = yield from person_of(by)
            if person is not None and person.enabled:
                found = yield from bindings_of_person(person)
    roles: dict[str, Role | None] = {}
    for role_id in dict.fromkeys(it.role_id for it in found):
        roles[role_id] = yield from role_of(role_id)
    return collected(found, roles.__getitem__, now)


def add_role(by: Subject, role: Role, now: int) -> Unit[None]:
    caller = yield from caller_rights(by, now)
    need(caller, Permission.ROLES_WRITE)
    _refuse(escalation(caller, role, EVERYWHERE, None, None))
    yield from units.add_role(role, now)


def set_role(by: Subject, role_id: str, edit: Callable[[Role], Role], now: int) -> Unit[Role]:
    """A role is one thing wherever it is bound, so what is put into it must be held everywhere and for good."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.ROLES_WRITE)
    before = yield from role_of(role_id)
    edited = yield from keeping_an_administrator(units.set_role(role_id, edit, now), now)
    if before is None or _content(before) != _content(edited):
        _refuse(escalation(caller, edited, EVERYWHERE, None, None))
    return edited


def remove_role(by: Subject, role_id: str, now: int) -> Unit[None]:
    caller = yield from caller_rights(by, now)
    need(caller, Permission.ROLES_WRITE)
    yield from units.remove_role(role_id, now)


def add_binding(by: Subject, binding: Binding, now: int) -> Unit[None]:
    caller = yield from caller_rights(by, now)
    yield from need_within(caller, Permission.BINDINGS_WRITE, binding.scope)
    role = yield from role_of(binding.role_id)
    if role is None:
        raise ProblemError(problem(Code.ROLE_NOT_FOUND))
    yield from refuse_escalation(caller, role, binding.scope, binding.until)
    yield from units.add_binding(binding, now)


def remove_binding(by: Subject, binding_id: str, now: int) -> Unit[Binding]:
    """Taking away is no escalation: it needs `bindings:write` there and no more."""
    caller = yield from caller_rights(by, now)
    found = [rows.binding(row) for row in (yield run(statements.BINDING, binding_id))]
    cluster = (yield from cluster_of(found[0].scope)) if found else None
    if not found or not caller.within(Permission.BINDINGS_WRITE, found[0].scope, cluster):
        raise ProblemError(problem(Code.ASSIGNMENT_NOT_FOUND))
    yield from keeping_an_administrator(units.remove_binding(binding_id, now), now)
    return found[0]


def add_cluster(by: Subject, cluster: Cluster, now: int) -> Unit[None]:
    """A new cluster lies in no scope but "everywhere" yet; its labels give rights on it."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.CLUSTERS_WRITE)
    yield from _refuse_labels(caller, Cluster(cluster.id, cluster.name), cluster, now)
    yield from units.add_cluster(cluster, now)


def label_cluster(by: Subject, cluster_id: str, edit: Callable[[Cluster], Cluster], now: int) -> Unit[Cluster]:
    """Whoever labels a cluster gives every binding that chooses by these labels."""
    caller = yield from caller_rights(by, now)
    before = yield from _own_cluster(caller, cluster_id)
    after = edit(before)
    yield from _refuse_labels(caller, before, after, now)
    return (yield from units.set_cluster(cluster_id, lambda _: after, now))


def remove_cluster(by: Subject, cluster_id: str, now: int) -> Unit[None]:
    caller = yield from caller_rights(by, now)
    yield from _own_cluster(caller, cluster_id)
    yield from units.remove_cluster(cluster_id, now)


def add_person(by: Subject, person: Person, now: int, *, email_verified: bool) -> Unit[list[Binding]]:
    """Groups, and what was bound to a verified e-mail, give rights; returns what was claimed."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.PEOPLE_WRITE)
    yield from _refuse_groups(caller, person.issuer, person.groups, now)
    yield from units.add_person(person, now)
    claimed = (yield from units.claim_bindings(person, person.email, now)) if email_verified else []
    yield from _refuse_bindings(caller, claimed, now)
    return claimed


def set_person(by: Subject, person_id: str, edit: Callable[[Person], Person], now: int) -> Unit[Person]:
    """What a person did not have before is given: what is bound to a new group, and everything by enabling them."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.PEOPLE_WRITE)
    before = yield from person_of(Subject(SubjectKind.PERSON, person_id))
    edited = yield from keeping_an_administrator(units.set_person(person_id, edit, now), now)
    had: set[str] = set()
    if before is not None and (before.enabled or not edited.enabled):
        had = {it.id for it in (yield from bindings_of_person(before))}
    found = yield from bindings_of_person(edited)
    yield from _refuse_bindings(caller, [it for it in found if it.id not in had], now)
    return edited


def issue_credential(by: Subject, wanted: Wanted, now: int) -> Unit[Credential]:
    """Whoever issues a credential sees its token, and could act as its holder: it gives what they hold there.

    One's own gives nothing. Permissions are left out, since a credential opens the cluster and not the appliance.
    """
    if by.id != wanted.person_id:
        caller = yield from caller_rights(by, now)
        here = Scope(ScopeKind.CLUSTER, wanted.cluster_id)
        yield from need_within(caller, Permission.CREDENTIALS_ISSUE, here)
        cluster = yield from cluster_of(here)
        for binding in (yield from _bindings_of_holder(wanted.person_id)):
            role = yield from role_of(binding.role_id)
            if role is None or cluster is None or not binding.live(now) or not binding.scope.covers(cluster):
                continue
            where = binding.scope if binding.scope.kind is ScopeKind.NAMESPACES else here
            _refuse(escalation(caller, replace(role, permissions=()), where, cluster, binding.until))
    return (yield from issuing.issue(wanted, now))


def add_machine(by: Subject, machine: Machine, now: int, token: MachineToken | None = None) -> Unit[None]:
    """A machine by itself may do nothing; what it is bound to is checked then."""
    caller = yield from caller_rights(by, now)
    need(caller, Permission.MACHINES_WRITE)
    yield from units.add_machine(machine, now)
    if token is not None:
        yield from units.add_machine_token(token, now)


def may_become(caller: Rights, machine_id: str, now: int) -> Unit[None]:
    """Whoever gives out a way to be a machine gives everything it holds, so they must hold it, or may escalate."""
    bindings = yield from _naming(Subject(SubjectKind.MACHINE, machine_id))
    yield from _refuse_bindings(caller, bindings, now)


def remove_machine(by: Subject, machine_id: str, now: int) -> Unit[None]:
    caller = yield from caller_rights(by, now)
    need(caller, Permission.MACHINES_WRITE)
    yield from keeping_an_administrator(removing.remove_machine(machine_id, now), now)


# What the units of access requests and of refusals share with these.


def need(caller: Rights, permission: Permission) -> None:
    """Refuses a caller who does not hold it everywhere."""
    if not caller.everywhere(permission):
        raise ProblemError(refusal(permission))


def need_within(caller: Rights, permission: Permission, scope: Scope) -> Unit[None]:
    """Refuses a caller who does not hold it in a scope that contains this one.

    Whoever may not touch a cluster is told what they would be told if it did not exist.
    """
    cluster = yield from cluster_of(scope)
    if caller.within(permission, scope, cluster):
        return
    if scope.cluster_id:
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=scope.cluster_id))
    raise ProblemError(refusal(permission))


def keeping_an_administrator(unit: Unit[T], now: int) -> Unit[T]:
    """The unit, unless it would leave nobody who may escalate roles everywhere. Grants do not count: they end soon."""
    before = yield from _administered(now)
    result = yield from unit
    if before and not (yield from _administered(now)):
        raise ProblemError(problem(Code.LAST_ADMINISTRATOR))
    return result


def refuse_escalation(caller: Rights, role: Role, scope: Scope, until: int | None) -> Unit[None]:
    cluster = yield from cluster_of(scope)
    _refuse(escalation(caller, role, scope, cluster, until))


def cluster_of(scope: Scope) -> Unit[Cluster | None]:
    """The cluster a scope names, as it is now."""
    found = (yield run(statements.CLUSTER, scope.cluster_id)) if scope.cluster_id else []
    return rows.cluster(found[0]) if found else None


def role_of(role_id: str) -> Unit[Role | None]:
    found = yield run(statements.ROLE, role_id)
    return rows.role(found[0]) if found else None


def person_of(subject: Subject) -> Unit[Person | None]:
    found = (yield run(statements.PERSON, subject.id)) if subject.kind is SubjectKind.PERSON else []
    return rows.person(found[0]) if found else None


def bindings_of_person(person: Person) -> Unit[list[Binding]]:
    """Those that name the person or one of their groups."""
    found = yield from _naming(Subject(SubjectKind.PERSON, person.id))
    for group in dict.fromkeys(it for it in person.groups if it and person.issuer):
        found += yield from _naming(Subject(SubjectKind.GROUP, group, person.issuer))
    return found


def _bindings_of_holder(holder_id: str) -> Unit[list[Binding]]:
    """Of a person, or of a machine as a holder of credentials."""
    person = yield from person_of(Subject(SubjectKind.PERSON, holder_id))
    if person is not None:
        return (yield from bindings_of_person(person))
    return (yield from _naming(Subject(SubjectKind.MACHINE, holder_id)))


def _naming(subject: Subject) -> Unit[list[Binding]]:
    found = yield run(statements.BINDINGS_NAMING, str(subject.kind), subject.id, subject.issuer)
    return [rows.binding(row) for row in found]


def _own_cluster(caller: Rights, cluster_id: str) -> Unit[Cluster]:
    cluster = yield from cluster_of(Scope(ScopeKind.CLUSTER, cluster_id))
    if cluster is None or not caller.on(Permission.CLUSTERS_WRITE, cluster):
        raise ProblemError(problem(Code.CLUSTER_NOT_FOUND, cluster=cluster_id))
    return cluster


def _refuse_labels(caller: Rights, before: Cluster, after: Cluster, now: int) -> Unit[None]:
    """What the caller holds is judged by the labels the cluster had before."""
    here = Scope(ScopeKind.CLUSTER, before.id)
    for row in (yield run(statements.BINDINGS_OF_NO_CLUSTER)):
        binding = rows.binding(row)
        if binding.live(now) and binding.scope.covers(after) and not binding.scope.covers(before):
            role = yield from role_of(binding.role_id)
            if role is not None:
                _refuse(escalation(caller, role, here, before, binding.until))


def _refuse_groups(caller: Rights, issuer: str, groups: Iterable[str], now: int) -> Unit[None]:
    for group in groups:
        bindings = yield from _naming(Subject(SubjectKind.GROUP, group, issuer))
        yield from _refuse_bindings(caller, bindings, now)


def _refuse_bindings(caller: Rights, bindings: Iterable[Binding], now: int) -> Unit[None]:
    """Giving someone these, as they are."""
    for binding in bindings:
        role = yield from role_of(binding.role_id)
        if role is not None and binding.live(now):
            yield from refuse_escalation(caller, role, binding.scope, binding.until)


def _administered(now: int) -> Unit[bool]:
    for row in (yield run(statements.ROLES)):
        role = rows.role(row)
        if Permission.ROLES_ESCALATE not in role.permissions:
            continue
        for bound in (yield run(statements.BINDINGS_OF_ROLE, role.id)):
            binding = rows.binding(bound)
            lasting = binding.scope.kind is ScopeKind.EVERYWHERE and binding.live(now) and not binding.request_id
            if lasting and (yield from _someone_acts(binding.subject, now)):
                return True
    return False


def _someone_acts(subject: Subject, now: int) -> Unit[bool]:
    match subject.kind:
        case SubjectKind.MACHINE:
            return (yield from _acts_still(subject.id, now))
        case SubjectKind.PERSON:
            person = yield from person_of(subject)
            return person is not None and person.enabled
        case SubjectKind.GROUP:
            people = [rows.person(row) for row in (yield run(statements.PEOPLE))]
            return any(it.enabled and it.issuer == subject.issuer and subject.id in it.groups for it in people)
        case SubjectKind.EMAIL:
            return False  # nobody yet


def _acts_still(machine_id: str, now: int) -> Unit[bool]:
    """A machine acts by its tokens: without one that is good, nobody can."""
    return any(rows.machine_token(row).live(now) for row in (yield run(statements.MACHINE_TOKENS_OF, machine_id)))


def _content(role: Role) -> tuple[object, ...]:
    return (role.groups, role.rules, role.permissions)


def _refuse(found: Problem | None) -> None:
    if found is not None:
        raise ProblemError(found)
