"""The configuration in memory: what authentication, admission and decision read.

One entity is replaced or removed at a time, in the order of the change feed, from one thread; nobody else writes.
`version` rises with every change, and what was worked out from what changed is forgotten then: of one holder when only
they are touched, as by a sign-in or a grant, of everybody otherwise. No I/O: the store fills it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.core.access import AccessRequest, RequestPolicy
from appliance.core.authorities import KnownAuthority
from appliance.core.clusters import AgentCertificate, Cluster
from appliance.core.credentials import KEPT_SECONDS, SECOND
from appliance.core.machines import MachineToken, TrustRule
from appliance.core.people import Machine, Person
from appliance.core.providers import Provider
from appliance.core.roles import Binding, Role, Subject, SubjectKind


class Entity(StrEnum):
    """What the change feed speaks of."""

    CLUSTER = "cluster"
    PERSON = "person"
    MACHINE = "machine"
    ROLE = "role"
    BINDING = "binding"
    REVOCATION = "revocation"
    AGENT_CERTIFICATE = "agent_certificate"
    REQUEST_POLICY = "request_policy"
    ACCESS_REQUEST = "access_request"
    PROVIDER = "provider"
    MACHINE_TOKEN = "machine_token"  # noqa: S105 -- the name of an entity
    TRUST_RULE = "trust_rule"
    AUTHORITY = "authority"


@dataclass(frozen=True, slots=True)
class Revocation:
    """A credential that is refused. The row outlives the token, whatever else is deleted."""

    credential_id: str
    expires_at: int
    revoked_at: int
    reason: str = ""


class Snapshot:
    """Every configuration entity by id, with the look-ups the hot path needs."""

    def __init__(self) -> None:
        self.version = 0
        self.changed: dict[Entity, int] = {}  # the version in which one of a kind was last put
        self.clusters: dict[str, Cluster] = {}
        self.cluster_by_name: dict[str, Cluster] = {}
        self.people: dict[str, Person] = {}
        self.person_by_name: dict[str, Person] = {}
        self.person_by_subject: dict[tuple[str, str], Person] = {}
        self.machines: dict[str, Machine] = {}
        self.holders: dict[str, Person] = {}  # people, and machines as such
        self.machine_tokens: dict[str, MachineToken] = {}
        self.machine_token_by_hash: dict[str, MachineToken] = {}
        self.trust_rules: dict[str, TrustRule] = {}
        self.roles: dict[str, Role] = {}
        self.role_by_name: dict[str, Role] = {}
        self.bindings: dict[str, Binding] = {}
        self.revocations: dict[str, Revocation] = {}
        self.serials: dict[str, AgentCertificate] = {}
        self.policies: dict[str, RequestPolicy] = {}
        self.access_requests: dict[str, AccessRequest] = {}
        self.authorities: dict[str, KnownAuthority] = {}
        self.providers: dict[str, Provider] = {}
        self.provider_by_slug: dict[str, Provider] = {}
        self.memory: dict[tuple[str, str], Any] = {}  # by holder and cluster: what `standing` worked out
        self._bindings_by_subject: dict[Subject, dict[str, Binding]] = {}

    def put(self, entity: Entity, identity: str, value: Any) -> None:
        """The entity is now `value`; None: it is gone."""
        self.version += 1
        self.changed[entity] = self.version
        match entity:
            case Entity.CLUSTER:
                self.memory.clear()
                _replace(self.clusters, identity, value, (self.cluster_by_name, lambda it: it.name))
            case Entity.PERSON:
                self._forget(Subject(SubjectKind.PERSON, identity))
                _replace(
                    self.people,
                    identity,
                    value,
                    (self.person_by_name, lambda it: it.name),
                    (self.person_by_subject, lambda it: (it.issuer, it.subject)),
                )
                _replace(self.holders, identity, value)
            case Entity.MACHINE:
                self._forget(Subject(SubjectKind.MACHINE, identity))
                _replace(self.machines, identity, value)
                _replace(self.holders, identity, None if value is None else value.holder())
            case Entity.MACHINE_TOKEN:
                _replace(self.machine_tokens, identity, value, (self.machine_token_by_hash, lambda it: it.sha256))
            case Entity.TRUST_RULE:
                _replace(self.trust_rules, identity, value)
            case Entity.ROLE:
                self.memory.clear()
                _replace(self.roles, identity, value, (self.role_by_name, lambda it: it.name))
            case Entity.BINDING:
                self._put_binding(identity, value)
            case Entity.REVOCATION:
                _replace(self.revocations, identity, value)
            case Entity.AGENT_CERTIFICATE:
                _replace(self.serials, identity, value)
            case Entity.AUTHORITY:
                _replace(self.authorities, identity, value)
            case Entity.REQUEST_POLICY:
                _replace(self.policies, identity, value)
            case Entity.ACCESS_REQUEST:
                _replace(self.access_requests, identity, value)
            case Entity.PROVIDER:
                _replace(self.providers, identity, value, (self.provider_by_slug, lambda it: it.slug))

    def clear(self) -> None:
        """Forgets everything; what follows is the whole state, put one by one without a wait between."""
        self.version += 1
        for table in vars(self).values():
            if isinstance(table, dict):
                table.clear()

    def cluster(self, name_or_id: str) -> Cluster | None:
        """By id, else by name: the two forms a URL may name a cluster in. Ids hold an underscore, names never do."""
        return self.clusters.get(name_or_id) or self.cluster_by_name.get(name_or_id)

    @property
    def registered(self) -> frozenset[str]:
        """The clusters of which an agent holds a certificate that opens something."""
        return frozenset(
            it.cluster_id
            for it in self.serials.values()
            if it.cluster_id in self.clusters and it.generation == self.clusters[it.cluster_id].generation
        )

    def revoked(self, credential_id: str) -> bool:
        return credential_id in self.revocations

    def bindings_of(self, subject: Subject) -> tuple[Binding, ...]:
        """The bindings that name exactly this subject, by id."""
        found = self._bindings_by_subject.get(subject, {})
        return tuple(found[identity] for identity in sorted(found))

    def bindings_of_person(self, person: Person) -> tuple[Binding, ...]:
        """The bindings that name the person or one of their groups; or a machine, if that is the holder."""
        kind = SubjectKind.MACHINE if person.id in self.machines else SubjectKind.PERSON
        subjects = [Subject(kind, person.id)]
        if person.issuer:
            subjects += [Subject(SubjectKind.GROUP, group, person.issuer) for group in person.groups if group]
        return tuple(binding for subject in dict.fromkeys(subjects) for binding in self.bindings_of(subject))

    def bindings_for(self, person_id: str, cluster_id: str) -> tuple[Binding, ...]:
        """The person's bindings that hold on the cluster; whether they are still live is the caller's question."""
        person, cluster = self.holders.get(person_id), self.clusters.get(cluster_id)
        if person is None or cluster is None:
            return ()
        return tuple(binding for binding in self.bindings_of_person(person) if binding.scope.covers(cluster))

    def forget_expired(self, now: int) -> None:
        """Drops revocations of tokens that have long expired by themselves, and certificates past their life."""
        kept = now - KEPT_SECONDS * SECOND
        for it in [it for it in self.revocations.values() if it.expires_at < kept and it.revoked_at < kept]:
            del self.revocations[it.credential_id]
        for token_id in [it.id for it in self.machine_tokens.values() if it.expires_at < kept]:
            _replace(self.machine_tokens, token_id, None, (self.machine_token_by_hash, lambda it: it.sha256))
        for serial in [it.serial for it in self.serials.values() if it.not_after <= now]:
            del self.serials[serial]

    def _forget(self, subject: Subject) -> None:
        """Drops what was worked out about whoever may hold by this subject; by an e-mail nobody does yet."""
        if not self.memory:  # as while the whole state is put
            return
        match subject.kind:
            case SubjectKind.PERSON | SubjectKind.MACHINE:
                for cluster_id in self.clusters:
                    self.memory.pop((subject.id, cluster_id), None)
            case SubjectKind.GROUP:
                self.memory.clear()

    def _put_binding(self, identity: str, value: Binding | None) -> None:
        old = self.bindings.pop(identity, None)
        if old is not None:
            self._forget(old.subject)
            same = self._bindings_by_subject[old.subject]
            del same[identity]
            if not same:
                del self._bindings_by_subject[old.subject]
        if value is not None:
            self._forget(value.subject)
            self.bindings[identity] = value
            self._bindings_by_subject.setdefault(value.subject, {})[identity] = value


def _replace(table: dict[str, Any], identity: str, value: Any, *indexes: tuple[dict[Any, Any], Any]) -> None:
    """Puts one entity and keeps its indexes true, also when two entities swap a name within one batch of changes."""
    old = table.pop(identity, None)
    for index, key in indexes:
        if old is not None and index.get(key(old)) is old:
            del index[key(old)]
        if value is not None:
            index[key(value)] = value
    if value is not None:
        table[identity] = value
