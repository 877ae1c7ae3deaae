"""Roles, what they allow, and the bindings that give them to someone somewhere until some time.

A role carries Kubernetes groups, optional rules (the fields and wildcards of a Kubernetes PolicyRule) and permissions
over the appliance. A role without rules allows everything in its binding's scope; the cluster's own RBAC then decides
by the groups sent. What always holds: an unknown kind of scope or subject cannot be built, and a namespace scope never
allows a request that reaches beyond its namespaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from appliance.core.clusters import Cluster, Labels
from wire.kube import Ask

ANY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule: resources, or non-resource URLs, that these verbs may reach."""

    verbs: tuple[str, ...]
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()

    def allows(self, ask: Ask) -> bool:
        """As the API server's RBAC reads the same rule."""
        if ANY not in self.verbs and ask.verb not in self.verbs:
            return False
        if not ask.is_resource:
            return any(_url_matches(pattern, ask.path) for pattern in self.non_resource_urls)
        return (
            (ANY in self.api_groups or ask.group in self.api_groups)
            and any(_resource_matches(pattern, ask.resource, ask.subresource) for pattern in self.resources)
            and (not self.resource_names or (bool(ask.name) and ask.name in self.resource_names))
        )


class Permission(StrEnum):
    """What someone may do to the appliance itself. Each API route names one."""

    CLUSTERS_READ = "clusters:read"
    CLUSTERS_WRITE = "clusters:write"
    PEOPLE_READ = "people:read"
    PEOPLE_WRITE = "people:write"
    MACHINES_READ = "machines:read"
    MACHINES_WRITE = "machines:write"
    TRUST_READ = "trust:read"
    TRUST_WRITE = "trust:write"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"
    ROLES_ESCALATE = "roles:escalate"
    BINDINGS_READ = "bindings:read"
    BINDINGS_WRITE = "bindings:write"
    CREDENTIALS_READ = "credentials:read"
    CREDENTIALS_ISSUE = "credentials:issue"
    CREDENTIALS_REVOKE = "credentials:revoke"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    ACCESS_READ = "access:read"
    ACCESS_REQUEST = "access:request"
    ACCESS_REQUEST_FOR = "access:request-for"  # on behalf of a person, until people can sign in
    ACCESS_APPROVE = "access:approve"  # and deny, and revoke
    AUDIT_READ = "audit:read"
    PROVIDERS_READ = "providers:read"
    PROVIDERS_WRITE = "providers:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"


ADMINISTRATOR = "fairlead-administrator"  # the role that is made on the appliance's own host: every permission


@dataclass(frozen=True, slots=True)
class Role:
    id: str
    name: str
    description: str = ""
    groups: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    permissions: tuple[Permission, ...] = ()
    created_at: int = 0

    def allows(self, ask: Ask) -> bool:
        return not self.rules or any(rule.allows(ask) for rule in self.rules)


class ScopeKind(StrEnum):
    EVERYWHERE = "everywhere"
    LABELS = "labels"  # every cluster that carries all of them
    CLUSTER = "cluster"
    NAMESPACES = "namespaces"  # of one cluster


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a binding holds. Exactly the fields of its kind are set: an empty field never means "everything"."""

    kind: ScopeKind
    cluster_id: str = ""
    labels: Labels = ()
    namespaces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wanted = {
            ScopeKind.EVERYWHERE: (False, False, False),
            ScopeKind.LABELS: (False, True, False),
            ScopeKind.CLUSTER: (True, False, False),
            ScopeKind.NAMESPACES: (True, False, True),
        }[self.kind]
        if (bool(self.cluster_id), bool(self.labels), bool(self.namespaces)) != wanted:
            raise ValueError(f"a scope of kind {self.kind} does not have these fields")
        if not all(self.namespaces):
            raise ValueError("a namespace has a name")

    def covers(self, cluster: Cluster) -> bool:
        """Whether the binding holds on this cluster at all."""
        match self.kind:
            case ScopeKind.EVERYWHERE:
                return True
            case ScopeKind.LABELS:
                return set(self.labels) <= set(cluster.labels)
            case ScopeKind.CLUSTER | ScopeKind.NAMESPACES:
                return self.cluster_id == cluster.id

    def contains(self, ask: Ask) -> bool:
        """Whether a request to a covered cluster stays inside the scope."""
        if self.kind is not ScopeKind.NAMESPACES:
            return True
        return ask.is_resource and ask.namespace in self.namespaces


EVERYWHERE = Scope(ScopeKind.EVERYWHERE)


class SubjectKind(StrEnum):
    PERSON = "person"
    GROUP = "group"  # of an issuer
    MACHINE = "machine"
    EMAIL = "email"  # of someone an issuer has not named yet; claimed once, then it is that person's


_OF_AN_ISSUER = frozenset({SubjectKind.GROUP, SubjectKind.EMAIL})


@dataclass(frozen=True, slots=True)
class Subject:
    """To whom: a person or a machine by id, an issuer's group by name, or whoever first proves an e-mail to it.

    An e-mail by itself allows nothing: only once claimed, as a person's, does a binding count.
    """

    kind: SubjectKind
    id: str
    issuer: str = ""

    def __post_init__(self) -> None:
        if not self.id or bool(self.issuer) != (self.kind in _OF_AN_ISSUER):
            raise ValueError("a person or a machine has an id, a group or an e-mail has an issuer and a name")


@dataclass(frozen=True, slots=True)
class Binding:
    """One role for one subject in one scope. A grant is a binding with `until` and a request id."""

    id: str
    subject: Subject
    role_id: str
    scope: Scope
    until: int | None = None
    request_id: str = ""
    created_at: int = 0

    def live(self, now: int) -> bool:
        return self.until is None or now < self.until


class Holding(NamedTuple):
    """One binding with its role: what someone holds by it, were it live."""

    binding: Binding
    role: Role

    @property
    def confined(self) -> bool:
        return self.binding.scope.kind is ScopeKind.NAMESPACES

    def allows(self, ask: Ask) -> bool:
        """Whether this binding allows the request to a cluster that its scope covers."""
        if self.confined and not self.role.rules and not reads_only_its_namespace(ask):
            return False
        return self.binding.scope.contains(ask) and self.role.allows(ask)


def reads_only_its_namespace(ask: Ask) -> bool:
    """Whether a request for a Namespace object, if it is one, only reads it.

    Whoever is confined to a namespace may look at it. Changing it (its labels choose the pod security level) is
    beyond the confinement unless a rule says so.
    """
    return ask.resource != "namespaces" or bool(ask.group) or (ask.verb == "get" and not ask.subresource)


def _url_matches(pattern: str, path: str) -> bool:
    return pattern in {ANY, path} or (pattern.endswith(ANY) and path.startswith(pattern[:-1]))


def _resource_matches(pattern: str, resource: str, subresource: str) -> bool:
    if pattern == ANY:
        return True
    if not subresource:
        return pattern == resource
    return pattern in {f"{resource}/{subresource}", f"{ANY}/{subresource}"}
