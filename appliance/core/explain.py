"""Why someone may or may not do something, and who may: the decision told in full, over the snapshot alone.

Both read the same bindings, roles and scopes as `decision` does and say of every binding why it counts or not. What
always holds (a property test says so): `explain` allows exactly what `decide` permits to an unrevoked credential, by
the same bindings and with the same groups; `able` names those whom `explain` allows, all of them up to a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from appliance.core.clusters import Cluster
from appliance.core.people import Person, name_fault
from appliance.core.roles import Binding, Holding, Role, ScopeKind, Subject, SubjectKind, reads_only_its_namespace
from appliance.core.snapshot import Snapshot
from appliance.core.standing import identity_fault
from wire.kube import Ask, is_discovery, is_self_review

MAX_PEOPLE: Final = 100  # named of those that one binding reaches: a group may be a whole company


class Verdict(StrEnum):
    """What one binding says about a request."""

    ALLOWS = "allows"
    ALLOWS_DISCOVERY = "allows discovery"  # any live binding does
    ENDED = "it has ended"
    ROLE_GONE = "its role is gone"
    ELSEWHERE = "it holds on other clusters"
    OTHER_NAMESPACES = "it holds in other namespaces"
    CLUSTER_WIDE = "the request reaches beyond its namespaces"
    NO_RULE = "no rule of its role matches"
    NAMESPACE_ITSELF = "it does not reach the namespace itself"


@dataclass(frozen=True, slots=True)
class Considered:
    """One binding, the role it gives (None: gone), and what it says."""

    binding: Binding
    role: Role | None
    verdict: Verdict

    @property
    def allows(self) -> bool:
        return self.verdict in {Verdict.ALLOWS, Verdict.ALLOWS_DISCOVERY}


@dataclass(frozen=True, slots=True)
class Explanation:
    """`reason` is one sentence; `groups` is what would be sent."""

    allowed: bool
    reason: str
    considered: tuple[Considered, ...]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Able:
    """One binding that lets its subject do it, and the known people it reaches now, by name.

    `truncated`: it reaches more, who are not named here.
    """

    binding: Binding
    role: Role
    people: tuple[Person, ...]
    truncated: bool


def explain(snapshot: Snapshot, person: Person, cluster: Cluster, ask: Ask, now: int) -> Explanation:
    """May this person, with a good credential, ask this of this cluster now, and why."""
    considered = tuple(_consider(snapshot, it, cluster, ask, now) for it in snapshot.bindings_of_person(person))
    allowing = [it for it in considered if it.allows]
    live = [it for it in considered if it.verdict not in {Verdict.ENDED, Verdict.ROLE_GONE, Verdict.ELSEWHERE}]
    here = [
        Holding(it.binding, it.role)
        for it in considered
        if it.role is not None and it.verdict is not Verdict.ELSEWHERE and it.binding.scope.covers(cluster)
    ]
    fault = identity_fault(person, here)
    if not person.enabled:
        return Explanation(False, "The account is disabled.", considered)
    if not live:
        return Explanation(False, f"No live binding holds on cluster {cluster.name}.", considered)
    if fault is not None:
        return Explanation(False, f"A reserved name would be sent: {fault}.", considered)
    if not allowing:
        return Explanation(False, "No binding that holds there allows this request.", considered)
    groups = tuple(sorted({group for it in allowing if it.role for group in it.role.groups}))
    named = ", ".join(f"{it.role.name} by {it.binding.id}" for it in allowing if it.role)
    return Explanation(True, f"Allowed: {named}.", considered, groups)


def lets(snapshot: Snapshot, binding: Binding, cluster: Cluster, ask: Ask, now: int) -> bool:
    """Whether someone may ask this of this cluster now through this binding.

    So may nobody known yet (of a group, with an e-mail), because whoever signs in with it could.
    """
    if binding.subject.kind is SubjectKind.MACHINE:  # they call the admin API, not clusters
        return False
    if not _consider(snapshot, binding, cluster, ask, now).allows:
        return False
    return binding.subject.kind is not SubjectKind.PERSON or bool(able(snapshot, binding, cluster).people)


def able(snapshot: Snapshot, binding: Binding, cluster: Cluster) -> Able:
    """Whom a binding reaches, of which it is known that it `lets` them."""
    reached = sorted(_reached(snapshot, binding.subject), key=lambda it: (it.name, it.id))
    named = tuple(islice((it for it in reached if _sendable(snapshot, it, cluster)), MAX_PEOPLE + 1))
    return Able(binding, snapshot.roles[binding.role_id], named[:MAX_PEOPLE], len(named) > MAX_PEOPLE)


def _consider(snapshot: Snapshot, binding: Binding, cluster: Cluster, ask: Ask, now: int) -> Considered:
    role = snapshot.roles.get(binding.role_id)
    return Considered(binding, role, _verdict(binding, role, cluster, ask, now))


def _verdict(binding: Binding, role: Role | None, cluster: Cluster, ask: Ask, now: int) -> Verdict:
    scope = binding.scope
    if not scope.covers(cluster):
        return Verdict.ELSEWHERE
    if role is None:
        return Verdict.ROLE_GONE
    if not binding.live(now):
        return Verdict.ENDED
    if is_discovery(ask) or is_self_review(ask):
        return Verdict.ALLOWS_DISCOVERY
    if Holding(binding, role).allows(ask):
        return Verdict.ALLOWS
    if scope.kind is ScopeKind.NAMESPACES and not scope.contains(ask):
        return Verdict.OTHER_NAMESPACES if ask.namespace else Verdict.CLUSTER_WIDE
    if not role.rules and not reads_only_its_namespace(ask):
        return Verdict.NAMESPACE_ITSELF
    return Verdict.NO_RULE


def _reached(snapshot: Snapshot, subject: Subject) -> list[Person]:
    match subject.kind:
        case SubjectKind.PERSON:
            person = snapshot.people.get(subject.id)
            return [person] if person is not None and person.enabled else []
        case SubjectKind.GROUP:
            return [
                it
                for it in snapshot.people.values()
                if it.enabled and it.issuer == subject.issuer and subject.id in it.groups
            ]
        case _:
            return []


def _sendable(snapshot: Snapshot, person: Person, cluster: Cluster) -> bool:
    """Whether the person's name and the groups of all they hold there may be sent at all."""
    if name_fault(person.name) is not None:
        return False
    held = [
        Holding(it, role)
        for it in snapshot.bindings_for(person.id, cluster.id)
        if (role := snapshot.roles.get(it.role_id)) is not None
    ]
    return identity_fault(person, held) is None
