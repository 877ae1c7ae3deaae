"""May this person, with this credential, ask this of this cluster now?

`decide` is the only maker of a `Permit`, and the relay takes nothing else. Default deny: whatever no line here allows
is denied. The groups sent are those of the bindings that allow this very request, so a role given for one namespace
never works in another. A running stream asks `withdrawn` again after each change of the configuration.

Nothing is read but the arguments. What follows from (person, cluster) alone is worked out once (`standing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from appliance.core.askable import command_for
from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential
from appliance.core.people import Person
from appliance.core.problems import Code, Problem, problem, remedy
from appliance.core.refusals import forbidden
from appliance.core.snapshot import Snapshot
from appliance.core.standing import standing_of
from wire.heads import Identity
from wire.kube import Ask, is_discovery, is_self_review


class Permit(NamedTuple):
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


def decide(credential: Credential, snapshot: Snapshot, cluster_id: str, ask: Ask, now: int) -> Permit | Denial:
    """The one decision about a request on the proxy path. `cluster_id` is the id of the cluster in the URL."""
    person = snapshot.holders.get(credential.person_id)
    cluster = snapshot.clusters.get(cluster_id)
    refused = _credential_problem(credential, snapshot, cluster_id, person, cluster, now)
    if refused is not None or person is None or cluster is None:
        return _denial(refused or problem(Code.INTERNAL_ERROR), "credential", credential, person, cluster, cluster_id)
    standing = standing_of(snapshot, person, cluster)
    if standing.empty(now):
        command = command_for(snapshot, person, cluster, ask)
        about = _about(person, cluster, command)
        refused = problem(Code.NO_ROLE_ASSIGNMENT, cluster=cluster.name, remedy=remedy(command), meta=about)
        return _denial(refused, "no live binding", credential, person, cluster, cluster_id)
    if standing.fault is not None:
        refused = problem(Code.RESERVED_IDENTITY, detail=standing.fault)
        return _denial(refused, "reserved identity", credential, person, cluster, cluster_id)
    discovery = is_discovery(ask) or is_self_review(ask)
    grounds = standing.everything(now) if discovery else standing.grounds(ask, now)
    if grounds is None:
        command = command_for(snapshot, person, cluster, ask)
        about = _about(person, cluster, command)
        refused = forbidden(ask, cluster.name, standing.elsewhere(ask, now), about, command)
        return _denial(refused, "no binding allows it", credential, person, cluster, cluster_id)
    return Permit(
        grounds.identity(credential.id, person),
        person.id,
        person.name,
        cluster.id,
        cluster.name,
        credential,
        ask,
        grounds.binding_ids,
        grounds.groups,
        grounds.rule,
        grounds.until,
        discovery,
    )


def withdrawn(permit: Permit, snapshot: Snapshot, now: int) -> Problem | None:
    """Why a running stream must end, or None.

    It rests on its credential (but not on the credential's expiry), its person, its cluster, and every binding whose
    groups were sent: each must still be there, live, wide enough for the request and carry the groups it carried.
    """
    credential = permit.credential
    person = snapshot.holders.get(permit.person_id)
    cluster = snapshot.clusters.get(permit.cluster_id)
    refused = _credential_problem(credential, snapshot, permit.cluster_id, person, cluster, credential.issued_at)
    if refused is not None or person is None or cluster is None:
        return refused or problem(Code.INTERNAL_ERROR)
    if person.name != permit.person_name:
        return problem(Code.CREDENTIAL_REVOKED)
    standing = standing_of(snapshot, person, cluster)
    groups: set[str] = set()
    for binding_id in permit.binding_ids:
        held = standing.held(binding_id)
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


def _about(person: Person, cluster: Cluster, command: str | None = None) -> tuple[tuple[str, str], ...]:
    about = (("user", person.name), ("clusterId", cluster.id))
    return about if command is None else (*about, ("command", command))


def _utc(micros: int) -> str:
    from datetime import UTC, datetime  # only an expired credential needs it

    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
