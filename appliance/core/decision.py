"""May this person, with this credential, ask this of this cluster now?

`decide` is the only maker of a `Permit`, and the relay takes nothing else. Default deny: whatever no line here allows
is denied. The groups sent are those of the bindings that allow this very request, so a role given for one namespace
never works in another. A running stream asks `withdrawn` again after each change of the configuration.

Nothing is read but the arguments. What follows from (person, cluster) alone is worked out once for each version of
the snapshot and kept in its `memory`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential
from appliance.core.people import Person, name_fault
from appliance.core.problems import Code, Problem, problem
from appliance.core.roles import Binding, Role, ScopeKind, reads_only_its_namespace
from appliance.core.snapshot import Snapshot
from wire.heads import Identity
from wire.kube import Ask, is_discovery, is_self_review

MAX_REMEMBERED_STANDINGS = 16_384  # (person, cluster) pairs in one version; about 2 KB each
MAX_REMEMBERED_IDENTITIES = 64  # per pair: credentials in use at once, times the sets of bindings that answer
MAX_NAMED_NAMESPACES = 10  # in a denial; more would not be read
EXTRA_CREDENTIAL = b"fairlead.dev/credential"  # becomes an Impersonate-Extra; Kubernetes lower-cases such keys


@dataclass(frozen=True, slots=True)
class Permit:
    """Proof that one request was allowed, and as whom it is sent. Only `decide` makes one."""

    identity: Identity
    person_id: str
    person_name: str
    cluster_id: str
    cluster_name: str
    credential: Credential
    ask: Ask
    binding_ids: tuple[str, ...]
    groups: tuple[str, ...]
    rule: str  # what decided, for the audit record
    until: int | None  # when the first of the bindings ends by the clock
    discovery: bool = False  # allowed to anyone with a binding; counted, not recorded, when it only reads

    @property
    def credential_id(self) -> str:
        return self.credential.id


@dataclass(frozen=True, slots=True)
class Denial:
    """Why one request was not allowed, and who asked."""

    problem: Problem
    rule: str
    person_id: str
    person_name: str
    cluster_id: str
    cluster_name: str
    credential_id: str


@dataclass(slots=True)
class _Holding:
    """One binding of a person on a cluster with its role."""

    binding: Binding
    role: Role
    confined: bool  # to namespaces
    plain: bool  # allows everything: neither confined nor ruled

    def allows(self, ask: Ask) -> bool:
        if self.plain:
            return True
        if self.confined:
            if not self.binding.scope.contains(ask):
                return False
            if not self.role.rules and not reads_only_its_namespace(ask):
                return False
        return self.role.allows(ask)


@dataclass(slots=True)
class _Standing:
    """What follows from (person, cluster) in one version of the snapshot."""

    holdings: tuple[_Holding, ...]
    fault: str | None  # why the name or a group cannot be sent
    identities: dict[tuple[str, tuple[str, ...]], tuple[Identity, tuple[str, ...], str, int | None]] = field(
        default_factory=dict
    )


def decide(credential: Credential, snapshot: Snapshot, cluster_id: str, ask: Ask, now: int) -> Permit | Denial:
    """The one decision about a request on the proxy path. `cluster_id` is the id of the cluster in the URL."""
    person = snapshot.people.get(credential.person_id)
    cluster = snapshot.clusters.get(cluster_id)
    refused = _credential_problem(credential, snapshot, cluster_id, person, cluster, now)
    if refused is not None or person is None or cluster is None:
        return _denial(refused or problem(Code.INTERNAL_ERROR), "credential", credential, person, cluster, cluster_id)
    standing = _standing(snapshot, person, cluster)
    live = [it for it in standing.holdings if it.binding.until is None or now < it.binding.until]
    if not live:
        refused = problem(Code.NO_ROLE_ASSIGNMENT, cluster=cluster.name, meta=_about(person, cluster))
        return _denial(refused, "no live binding", credential, person, cluster, cluster_id)
    if standing.fault is not None:
        refused = problem(Code.RESERVED_IDENTITY, detail=standing.fault)
        return _denial(refused, "reserved identity", credential, person, cluster, cluster_id)
    discovery = is_discovery(ask) or is_self_review(ask)
    allowing = live if discovery else [it for it in live if it.allows(ask)]
    if not allowing:
        return _denial(
            _forbidden(live, cluster, person, ask), "no binding allows it", credential, person, cluster, cluster_id
        )
    identity, groups, rule, until = _identity(standing, credential.id, person, allowing)
    return Permit(
        identity,
        person.id,
        person.name,
        cluster.id,
        cluster.name,
        credential,
        ask,
        tuple([it.binding.id for it in allowing]),
        groups,
        rule,
        until,
        discovery,
    )


def still_permitted(permit: Permit, snapshot: Snapshot, now: int) -> bool:
    """Whether a running stream may go on."""
    return withdrawn(permit, snapshot, now) is None


def withdrawn(permit: Permit, snapshot: Snapshot, now: int) -> Problem | None:
    """Why a running stream must end, or None.

    It rests on its credential (but not on the credential's expiry), its person, its cluster, and every binding whose
    groups were sent: each must still be there, live, wide enough for the request and carry the groups it carried.
    """
    credential = permit.credential
    person = snapshot.people.get(permit.person_id)
    cluster = snapshot.clusters.get(permit.cluster_id)
    refused = _credential_problem(credential, snapshot, permit.cluster_id, person, cluster, credential.issued_at)
    if refused is not None or person is None or cluster is None:
        return refused or problem(Code.INTERNAL_ERROR)
    if person.name != permit.person_name:
        return problem(Code.CREDENTIAL_REVOKED)
    holdings = {it.binding.id: it for it in _standing(snapshot, person, cluster).holdings}
    groups: set[str] = set()
    for binding_id in permit.binding_ids:
        held = holdings.get(binding_id)
        if held is None or not held.binding.live(now) or not (permit.discovery or held.allows(permit.ask)):
            return problem(Code.ACCESS_WITHDRAWN, cluster=cluster.name, meta=_about(person, cluster))
        groups.update(held.role.groups)
    if not groups.issuperset(permit.groups):
        return problem(Code.ACCESS_WITHDRAWN, cluster=cluster.name, meta=_about(person, cluster))
    return None


def _credential_problem(
    credential: Credential,
    snapshot: Snapshot,
    cluster_id: str,
    person: Person | None,
    cluster: Cluster | None,
    now: int,
) -> Problem | None:
    """Every check of a kubeconfig credential but its signature. The cluster named is not confirmed to a stranger."""
    if credential.cluster_id != cluster_id:
        if credential.cluster_id not in snapshot.clusters:  # a deleted one's name leads nowhere, or to its successor
            gone = credential.cluster_id
            return problem(Code.CLUSTER_NOT_FOUND, cluster=gone, meta=(("clusterId", gone),))
        meta = (("tokenClusterId", credential.cluster_id), ("requestedClusterId", cluster_id))
        return problem(Code.CLUSTER_MISMATCH, cluster=cluster_id, meta=meta)
    if now >= credential.expires_at:
        expired = _utc(credential.expires_at)
        meta = (("credentialId", credential.id), ("expiredAt", expired))
        return problem(Code.CREDENTIAL_EXPIRED, expired_at=expired, meta=meta)
    if person is not None and not person.enabled:
        return problem(Code.PERSON_DISABLED)  # first: disabling also refuses what was issued before, and this is why
    if person is None or snapshot.revoked(credential.id) or credential.issued_at <= person.not_before:
        return problem(Code.CREDENTIAL_REVOKED, meta=(("credentialId", credential.id),))
    if cluster is None:
        return problem(Code.CLUSTER_NOT_FOUND, cluster=cluster_id, meta=(("clusterId", cluster_id),))
    if credential.issued_at <= cluster.not_before:
        return problem(Code.CREDENTIAL_REVOKED, meta=(("credentialId", credential.id),))
    return None


def _standing(snapshot: Snapshot, person: Person, cluster: Cluster) -> _Standing:
    key = (person.id, cluster.id)
    known: _Standing | None = snapshot.memory.get(key)
    if known is not None:
        return known
    holdings = []
    for binding in snapshot.bindings_for(person.id, cluster.id):
        role = snapshot.roles.get(binding.role_id)
        if role is not None:
            confined = binding.scope.kind is ScopeKind.NAMESPACES
            holdings.append(_Holding(binding, role, confined, plain=not confined and not role.rules))
    standing = _Standing(tuple(holdings), _identity_fault(person, holdings))
    if len(snapshot.memory) >= MAX_REMEMBERED_STANDINGS:
        snapshot.memory.clear()
    snapshot.memory[key] = standing
    return standing


def _identity_fault(person: Person, holdings: list[_Holding]) -> str | None:
    """The same check as when names are given, so that no row, however it came to be, sends a reserved name."""
    fault = name_fault(person.name)
    if fault is not None:
        return f"the user name: {fault}"
    for group in sorted({group for held in holdings for group in held.role.groups}):
        fault = name_fault(group)
        if fault is not None:
            return f"the group {group}: {fault}"
    return None


def _identity(
    standing: _Standing, credential_id: str, person: Person, allowing: list[_Holding]
) -> tuple[Identity, tuple[str, ...], str, int | None]:
    key = (credential_id, tuple([it.binding.id for it in allowing]))
    known = standing.identities.get(key)
    if known is not None:
        return known
    groups = tuple(sorted({group for it in allowing for group in it.role.groups}))
    ends = [it.binding.until for it in allowing if it.binding.until is not None]
    built = (
        Identity(
            person.name.encode(),
            person.id.encode(),
            tuple(group.encode() for group in groups),
            ((EXTRA_CREDENTIAL, credential_id.encode()),),
        ),
        groups,
        ", ".join(f"{it.role.name} by {it.binding.id}" for it in allowing),
        min(ends) if ends else None,
    )
    if len(standing.identities) >= MAX_REMEMBERED_IDENTITIES:
        standing.identities.clear()
    standing.identities[key] = built
    return built


def _forbidden(live: list[_Holding], cluster: Cluster, person: Person, ask: Ask) -> Problem:
    """A denial that says where the same request would be allowed, if there is such a place."""
    if ask.is_resource:
        allowed = sorted(
            {
                namespace
                for held in live
                if held.confined and held.role.allows(ask) and ask.namespace not in held.binding.scope.namespaces
                for namespace in held.binding.scope.namespaces
            }
        )
        if allowed:
            named = ", ".join(allowed[:MAX_NAMED_NAMESPACES])
            more = len(allowed) - MAX_NAMED_NAMESPACES
            words = f"the namespaces {named}{f' and {more} more' if more > 0 else ''}"
            return problem(
                Code.NAMESPACE_FORBIDDEN,
                cluster=cluster.name,
                namespaces=words if len(allowed) > 1 else f"the namespace {named}",
                example=allowed[0],
                meta=(*_about(person, cluster), ("namespaces", ",".join(allowed[:MAX_NAMED_NAMESPACES]))),
            )
    what = f"{ask.resource}/{ask.subresource}" if ask.subresource else ask.resource or ask.path
    where = f" in namespace {ask.namespace}" if ask.namespace else ""
    return problem(
        Code.FORBIDDEN, action=f"{ask.verb} {what}{where}", cluster=cluster.name, meta=_about(person, cluster)
    )


def _denial(
    refused: Problem,
    rule: str,
    credential: Credential,
    person: Person | None,
    cluster: Cluster | None,
    cluster_id: str,
) -> Denial:
    return Denial(
        refused,
        rule,
        credential.person_id,
        person.name if person else "",
        cluster_id,
        cluster.name if cluster else "",
        credential.id,
    )


def _about(person: Person, cluster: Cluster) -> tuple[tuple[str, str], ...]:
    return (("user", person.name), ("clusterId", cluster.id))


def _utc(micros: int) -> str:
    from datetime import UTC, datetime  # only an expired credential needs it

    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
