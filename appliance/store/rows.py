"""Entities as rows and back. JSON here is a column's text: written in one form, read strictly, never queried inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from appliance.core.clusters import AgentCertificate, Cluster
from appliance.core.credentials import Credential
from appliance.core.people import Machine, Person
from appliance.core.roles import Binding, Permission, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Revocation
from appliance.store import statements
from appliance.store.unit import Row, Value


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def cluster_values(it: Cluster) -> tuple[Value, ...]:
    return (it.id, it.name, to_json(dict(it.labels)), it.generation, it.not_before, it.created_at)


def cluster(row: Row) -> Cluster:
    identity, name, labels, generation, not_before, created_at = row
    return Cluster(identity, name, tuple(sorted(json.loads(labels).items())), generation, not_before, created_at)


def person_values(it: Person) -> tuple[Value, ...]:
    groups = to_json(list(it.groups))
    return (it.id, it.issuer, it.subject, it.name, it.email, groups, int(it.enabled), it.not_before, it.created_at)


def person(row: Row) -> Person:
    identity, issuer, subject, name, email, groups, enabled, not_before, created_at = row
    return Person(
        identity, issuer, subject, name, email, tuple(json.loads(groups)), enabled == 1, not_before, created_at
    )


def machine_values(it: Machine) -> tuple[Value, ...]:
    return (it.id, it.name, it.token_sha256, it.expires_at, it.created_at)


def machine(row: Row) -> Machine:
    return Machine(*row)


def role_values(it: Role) -> tuple[Value, ...]:
    rules = [
        {
            "verbs": rule.verbs,
            "apiGroups": rule.api_groups,
            "resources": rule.resources,
            "resourceNames": rule.resource_names,
            "nonResourceURLs": rule.non_resource_urls,
        }
        for rule in it.rules
    ]
    permissions = [str(permission) for permission in it.permissions]
    return (it.id, it.name, it.description, to_json(it.groups), to_json(rules), to_json(permissions), it.created_at)


def role(row: Row) -> Role:
    identity, name, description, groups, rules, permissions, created_at = row
    return Role(
        identity,
        name,
        description,
        tuple(json.loads(groups)),
        tuple(
            Rule(
                tuple(rule["verbs"]),
                tuple(rule["apiGroups"]),
                tuple(rule["resources"]),
                tuple(rule["resourceNames"]),
                tuple(rule["nonResourceURLs"]),
            )
            for rule in json.loads(rules)
        ),
        tuple(Permission(permission) for permission in json.loads(permissions)),
        created_at,
    )


def binding_values(it: Binding) -> tuple[Value, ...]:
    subject = (str(it.subject.kind), it.subject.id, it.subject.issuer)
    scope = to_json(
        {
            "kind": str(it.scope.kind),
            "cluster": it.scope.cluster_id,
            "labels": dict(it.scope.labels),
            "namespaces": it.scope.namespaces,
        }
    )
    return (it.id, *subject, it.role_id, scope, it.scope.cluster_id, it.until, it.request_id, it.created_at)


def binding(row: Row) -> Binding:
    identity, kind, subject_id, issuer, role_id, scope, until, request_id, created_at = row
    where = json.loads(scope)
    return Binding(
        identity,
        Subject(SubjectKind(kind), subject_id, issuer),
        role_id,
        Scope(
            ScopeKind(where["kind"]),
            where["cluster"],
            tuple(sorted(where["labels"].items())),
            tuple(where["namespaces"]),
        ),
        until,
        request_id,
        created_at,
    )


def credential(row: Row) -> Credential:
    return Credential(*row)


def revocation(row: Row) -> Revocation:
    return Revocation(*row)


def certificate(row: Row) -> AgentCertificate:
    return AgentCertificate(*row)


#: For each entity: the statement for one, the statement for all, and how a row is read.
READERS: Mapping[Entity, tuple[str, str, Callable[[Row], Any]]] = MappingProxyType(
    {
        Entity.CLUSTER: (statements.CLUSTER, statements.CLUSTERS, cluster),
        Entity.PERSON: (statements.PERSON, statements.PEOPLE, person),
        Entity.MACHINE: (statements.MACHINE, statements.MACHINES, machine),
        Entity.ROLE: (statements.ROLE, statements.ROLES, role),
        Entity.BINDING: (statements.BINDING, statements.BINDINGS, binding),
        Entity.REVOCATION: (statements.REVOCATION, statements.REVOCATIONS, revocation),
        Entity.AGENT_CERTIFICATE: (statements.CERTIFICATE, statements.CERTIFICATES, certificate),
    }
)
