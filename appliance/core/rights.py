"""What a caller of the admin API may do, where, and what they may pass on.

A caller is a principal: a machine today, a person once people sign in. What always holds: a permission counts only in
the scope of the binding that gives it; nobody gives what they do not hold themselves (groups together with the rules
they are bounded by, permissions, and no longer than they hold them), unless they may escalate roles in a scope that
contains the target. Nothing is read but the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from appliance.core.clusters import Cluster
from appliance.core.coverage import EVERYTHING, beyond_namespaces, contains, covers
from appliance.core.problems import Code, Problem, problem
from appliance.core.roles import (
    EVERYWHERE,
    Binding,
    Holding,
    Permission,
    Role,
    Rule,
    Scope,
    ScopeKind,
    Subject,
    SubjectKind,
)
from appliance.core.snapshot import Snapshot
from appliance.core.wordings import Wording, worded


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts: for records, and for "nobody approves their own"."""

    subject: Subject
    name: str

    @property
    def id(self) -> str:
        return self.subject.id


@dataclass(frozen=True, slots=True)
class Rights:
    """Everything a principal holds at one moment."""

    held: tuple[Holding, ...] = ()

    def bindings(self, permissions: Iterable[Permission]) -> tuple[str, ...]:
        """The ids of the bindings that give any of these somewhere."""
        wanted = set(permissions)
        return tuple(it.binding.id for it in self.held if not wanted.isdisjoint(it.role.permissions))

    def anywhere(self, permission: Permission) -> bool:
        """Whether they hold it in any scope: enough to be told that a target is not there, never to touch one."""
        return any(permission in it.role.permissions for it in self.held)

    def within(self, permission: Permission, scope: Scope, cluster: Cluster | None = None) -> bool:
        """Whether they hold it in a scope that contains `scope`; `cluster` is the one that `scope` names."""
        return any(permission in it.role.permissions and contains(it.binding.scope, scope, cluster) for it in self.held)

    def everywhere(self, permission: Permission) -> bool:
        """Whether they hold it for what belongs to no cluster."""
        return self.within(permission, EVERYWHERE)

    def on(self, permission: Permission, cluster: Cluster) -> bool:
        """Whether they hold it for the whole of one cluster."""
        return self.within(permission, Scope(ScopeKind.CLUSTER, cluster.id), cluster)


def rights(snapshot: Snapshot, subject: Subject, now: int) -> Rights:
    """What the principal holds now: nothing when they are gone, disabled or expired."""
    bindings: Iterable[Binding]
    match subject.kind:
        case SubjectKind.MACHINE:
            if subject.id not in snapshot.machines:
                return Rights()
            bindings = snapshot.bindings_of(subject)
        case SubjectKind.PERSON:
            person = snapshot.people.get(subject.id)
            if person is None or not person.enabled:
                return Rights()
            bindings = snapshot.bindings_of_person(person)
        case _:
            return Rights()  # a group or an e-mail does not act
    return collected(bindings, snapshot.roles.get, now)


def collected(bindings: Iterable[Binding], role: Callable[[str], Role | None], now: int) -> Rights:
    """The live bindings with their roles; `role` looks one up by id."""
    held = [Holding(binding, found) for binding in bindings if binding.live(now) and (found := role(binding.role_id))]
    return Rights(tuple(held))


def escalation(caller: Rights, role: Role, scope: Scope, cluster: Cluster | None, until: int | None) -> Problem | None:
    """Why the caller may not give this role in this scope until then; None when they may."""
    if caller.within(Permission.ROLES_ESCALATE, scope, cluster):
        return None
    lacking = next(_lacking(caller, role, scope, cluster, until), None)
    if lacking is None:
        return None
    return problem(Code.ESCALATION_FORBIDDEN, detail=lacking, meta=(("role", role.name),))


def _lacking(caller: Rights, role: Role, scope: Scope, cluster: Cluster | None, until: int | None) -> Iterator[str]:
    """What of the role the caller does not hold in a scope that contains the target, for as long."""
    holding = [
        it for it in caller.held if contains(it.binding.scope, scope, cluster) and _lasts(it.binding.until, until)
    ]
    for permission in role.permissions:
        if not any(permission in it.role.permissions for it in holding):
            yield f"the permission {permission}"
    # A group is worth what the rules beside it let through, so group and rules are looked for together.
    for group in role.groups or ("",):
        carrying = [it for it in holding if not group or group in it.role.groups]
        what = f"the group {group}" if group else "access without a group"
        if not carrying:
            yield what
        for rule in _uncovered(carrying, role.rules or EVERYTHING):
            yield f"{what} for {_words(rule)}"


def _uncovered(carrying: Sequence[Holding], wanted: Sequence[Rule]) -> Iterator[Rule]:
    if any(not it.role.rules and it.binding.scope.kind is not ScopeKind.NAMESPACES for it in carrying):
        return
    confined = any(not it.role.rules for it in carrying)  # to namespaces, the target's among them
    rules = list(dict.fromkeys(rule for it in carrying for rule in it.role.rules))
    if confined and wanted is EVERYTHING:
        return  # a role without rules, given in the namespaces it is held in
    for rule in wanted:
        if not (confined and not beyond_namespaces(rule)) and not covers(rules, rule):
            yield rule


def _lasts(held: int | None, wanted: int | None) -> bool:
    return held is None or (wanted is not None and wanted <= held)


def _words(rule: Rule) -> str:
    """A rule in a few words."""
    reached = rule.non_resource_urls or tuple(
        f"{resource}.{group}" if group not in {"", "*"} else resource
        for group in rule.api_groups
        for resource in rule.resources
    )
    return f"{','.join(rule.verbs[:4])} on {','.join(reached[:4])}"


def refusal(permission: Permission) -> Problem:
    """What a caller is told who lacks a permission for something whose existence is no secret."""
    return worded(Wording.NO_PERMISSION_THERE, needs=permission)
