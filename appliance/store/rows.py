"""Entities as rows and back. JSON here is a column's text: written in one form, read strictly, never queried inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from appliance.core.access import AccessRequest, Approval, RequestPolicy, RequestState
from appliance.core.authorities import KnownAuthority
from appliance.core.clusters import AgentCertificate, Cluster
from appliance.core.credentials import Credential
from appliance.core.machines import Condition, MachineToken, TrustRule
from appliance.core.people import Machine, Person
from appliance.core.providers import Provider, Reading
from appliance.core.roles import Binding, Permission, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.sessions import ClientKind, Login, Session
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
    return (it.id, it.name, it.created_at, it.created_by, it.not_before)


def machine(row: Row) -> Machine:
    return Machine(*row)


def machine_token_values(it: MachineToken) -> tuple[Value, ...]:
    return (
        it.id,
        it.machine_id,
        it.sha256,
        it.expires_at,
        it.label,
        it.rule_id,
        it.subject,
        it.created_at,
        it.created_by,
        it.used_at,
    )


def machine_token(row: Row) -> MachineToken:
    return MachineToken(*row)


def trust_rule_values(it: TrustRule) -> tuple[Value, ...]:
    conditions = to_json([[one.claim, list(one.patterns)] for one in it.conditions])
    made = (it.created_at, it.created_by)
    return (it.id, it.machine_id, it.issuer, it.audience, conditions, it.jwks, int(it.single_use), it.seconds, *made)


def trust_rule(row: Row) -> TrustRule:
    identity, machine_id, issuer, audience, conditions, jwks, single_use, *rest = row
    read = tuple(Condition(claim, tuple(patterns)) for claim, patterns in json.loads(conditions))
    return TrustRule(identity, machine_id, issuer, audience, read, jwks, single_use == 1, *rest)


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
    scope = _scope_json(it.scope)
    return (it.id, *subject, it.role_id, scope, it.scope.cluster_id, it.until, it.request_id, it.created_at)


def binding(row: Row) -> Binding:
    identity, kind, subject_id, issuer, role_id, scope, until, request_id, created_at = row
    subject = Subject(SubjectKind(kind), subject_id, issuer)
    return Binding(identity, subject, role_id, _scope(scope), until, request_id, created_at)


def policy_values(it: RequestPolicy) -> tuple[Value, ...]:
    askers, approvers = _subjects_json(it.askers), _subjects_json(it.approvers)
    limits = (it.approvals, it.max_seconds, int(it.reason_required))
    return (it.id, it.role_id, _scope_json(it.scope), it.scope.cluster_id, askers, approvers, *limits, it.created_at)


def policy(row: Row) -> RequestPolicy:
    identity, role_id, scope, askers, approvers, approvals, max_seconds, reason_required, created_at = row
    return RequestPolicy(
        identity,
        role_id,
        _scope(scope),
        _subjects(askers),
        _subjects(approvers),
        approvals,
        max_seconds,
        reason_required == 1,
        created_at,
    )


def access_request_values(it: AccessRequest) -> tuple[Value, ...]:
    return (
        it.id,
        it.policy_id,
        str(it.subject.kind),
        it.subject.id,
        str(it.asked_by.kind),
        it.asked_by.id,
        it.role_id,
        _scope_json(it.scope),
        it.scope.cluster_id,
        it.seconds,
        it.reason,
        *access_request_fate(it)[1:6],
        it.until,
        it.expires_at,
        it.created_at,
        it.closed_at,
        it.closes_at,
        "\n".join(it.reviewers),
    )


def access_request_fate(it: AccessRequest) -> tuple[Value, ...]:
    """What of a request changes in its life."""
    approvals = to_json([[str(yes.subject.kind), yes.subject.id, yes.name, yes.at] for yes in it.approvals])
    decided = str(it.decided)
    return (it.seconds, decided, approvals, it.note, it.closed_by, it.binding_id, it.until, it.closed_at, it.closes_at)


def access_request(row: Row) -> AccessRequest:
    identity, policy_id, kind, subject_id, asked_kind, asked_id, role_id, scope, seconds, reason, *fate = row
    decided, approvals, note, closed_by, binding_id, until, expires_at, created_at, closed_at, reviewers = fate
    return AccessRequest(
        identity,
        policy_id,
        Subject(SubjectKind(kind), subject_id),
        Subject(SubjectKind(asked_kind), asked_id),
        role_id,
        _scope(scope),
        seconds,
        reason,
        RequestState(decided),
        tuple(Approval(Subject(SubjectKind(who), by), name, at) for who, by, name, at in json.loads(approvals)),
        note,
        closed_by,
        binding_id,
        until,
        expires_at,
        created_at,
        closed_at,
        tuple(str(reviewers).splitlines()),
    )


def provider_values(it: Provider) -> tuple[Value, ...]:
    reading = {
        "name": it.reading.name,
        "name_prefix": it.reading.name_prefix,
        "email": it.reading.email,
        "email_verified": it.reading.email_verified,
        "groups": it.reading.groups,
        "groups_prefix": it.reading.groups_prefix,
        "required": it.reading.required,
        "userinfo": it.reading.userinfo,
    }
    settings = to_json(
        {
            "confidential": it.confidential,
            "secret_version": it.secret_version,
            "scopes": it.scopes,
            "parameters": dict(it.parameters),
            "reading": reading,
        }
    )
    return (it.id, it.slug, it.title, it.issuer, it.client_id, settings, int(it.enabled), it.created_at)


def provider(row: Row) -> Provider:
    identity, slug, title, issuer, client_id, settings, enabled, created_at = row
    kept = json.loads(settings)
    reading = kept["reading"]
    return Provider(
        identity,
        slug,
        title,
        issuer,
        client_id,
        kept["confidential"],
        tuple(kept["scopes"]),
        tuple(sorted(kept["parameters"].items())),
        Reading(
            name=tuple(reading["name"]),
            name_prefix=reading["name_prefix"],
            email=tuple(reading["email"]),
            email_verified=tuple(reading["email_verified"]),
            groups=tuple(reading["groups"]),
            groups_prefix=reading["groups_prefix"],
            required=tuple((tuple(path), tuple(values)) for path, values in reading["required"]),
            userinfo=reading["userinfo"],
        ),
        enabled == 1,
        created_at,
        kept.get("secret_version", ""),  # of before there were any
    )


def login(row: Row) -> Login:
    return Login(*row)


def session(row: Row) -> Session:
    identity, login_id, person_id, client, *rest = row
    return Session(identity, login_id, person_id, ClientKind(client), *rest)


def credential(row: Row) -> Credential:
    return Credential(*row)


def revocation(row: Row) -> Revocation:
    return Revocation(*row)


def certificate(row: Row) -> AgentCertificate:
    return AgentCertificate(*row)


def authority(row: Row) -> KnownAuthority:
    return KnownAuthority(*row)


def _scope_json(it: Scope) -> str:
    return to_json(
        {
            "kind": str(it.kind),
            "cluster": it.cluster_id,
            "labels": dict(it.labels),
            "namespaces": it.namespaces,
        }
    )


def _scope(text: str) -> Scope:
    where = json.loads(text)
    labels = tuple(sorted(where["labels"].items()))
    return Scope(ScopeKind(where["kind"]), where["cluster"], labels, tuple(where["namespaces"]))


def _subjects_json(subjects: tuple[Subject, ...]) -> str:
    return to_json([[str(it.kind), it.id, it.issuer] for it in subjects])


def _subjects(text: str) -> tuple[Subject, ...]:
    return tuple(Subject(SubjectKind(kind), identity, issuer) for kind, identity, issuer in json.loads(text))


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
        Entity.REQUEST_POLICY: (statements.POLICY, statements.POLICIES, policy),
        Entity.PROVIDER: (statements.PROVIDER, statements.PROVIDERS, provider),
        Entity.MACHINE_TOKEN: (statements.MACHINE_TOKEN, statements.MACHINE_TOKENS, machine_token),
        Entity.TRUST_RULE: (statements.TRUST_RULE, statements.TRUST_RULES, trust_rule),
        Entity.AUTHORITY: (statements.AUTHORITY, statements.AUTHORITIES, authority),
        Entity.ACCESS_REQUEST: (statements.ACCESS_REQUEST, statements.ACCESS_REQUESTS, access_request),
    }
)
