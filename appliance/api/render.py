"""How the entities look in JSON: names as in the store, times as RFC 3339, no secret anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from appliance.api.bodies import BodyError, reads
from appliance.core import liveness
from appliance.core.access import AccessRequest, RequestPolicy
from appliance.core.clusters import Cluster
from appliance.core.liveness import AgentLink, ClusterState, Report
from appliance.core.machines import MachineToken, TrustRule
from appliance.core.people import Machine, Person
from appliance.core.roles import Binding, Role, Rule, Scope, Subject
from appliance.core.versions import tag
from appliance.store.issuing import Listed
from wire.kube import Ask

_SECOND = 1_000_000
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


def moment(microseconds: int | None) -> str | None:
    """A time for people and programs; None stays None."""
    if microseconds is None:
        return None
    return datetime.fromtimestamp(microseconds / _SECOND, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@reads({"type": "string", "format": "date-time"})
def read_moment(where: str, value: Any) -> int:
    """The other way: microseconds UTC."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        try:
            return int(datetime.fromisoformat(value).timestamp() * _SECOND)
        except (ValueError, OverflowError):
            pass
    raise BodyError(where, f'{where} must be a time such as "2030-01-31T12:00:00Z".')


def tagged(shown: dict[str, Any], unshown: str = "") -> dict[str, Any]:
    """With the entity tag of all this, and of what is not shown. What moves by itself must stay outside."""
    return {**shown, "etag": tag({**shown, "": unshown} if unshown else shown)}


def cluster_tag(it: Cluster) -> str:
    """Of what a change can change: agents come and go by themselves."""
    return tag({"id": it.id, "name": it.name, "labels": dict(it.labels)})


def cluster(it: Cluster, state: ClusterState | None, *, registered: bool, now: int) -> dict[str, Any]:
    """A cluster with its live state: the sessions, not the store, say whether it is connected."""
    condition = liveness.condition(state, registered=registered, now=now)
    api_server = liveness.api_server(state)
    return {
        "id": it.id,
        "name": it.name,
        "labels": dict(it.labels),
        "etag": cluster_tag(it),
        "created_at": moment(it.created_at),
        "state": str(condition.phase),
        "since": moment(condition.since),
        "reason": condition.reason,
        "registered": registered,
        "connected": state is not None and state.connected,
        "connected_since": moment(state.since) if state is not None and state.connected else None,
        "api_server": {
            "answers": api_server.answers,
            "since": moment(api_server.since),
            "reason": api_server.reason,
        },
        "sessions": state.sessions if state is not None else 0,
    }


def agents(state: ClusterState | None, now: int) -> list[dict[str, Any]]:
    """The agents' sessions, for whoever runs the cluster: addresses and versions are nobody else's business."""
    return [_agent(link, now) for link in (state.agents if state is not None else ())]


def _agent(it: AgentLink, now: int) -> dict[str, Any]:
    said = it.report or Report()
    return {
        "session": it.session_id,
        "name": it.name,
        "address": it.address,
        "since": moment(it.since),
        "leaving": it.leaving,
        "round_trip_ms": None if it.round_trip_seconds is None else round(it.round_trip_seconds * 1000, 1),
        "in_flight": it.in_flight,
        "certificate_expires_at": moment(it.expires_at),
        "certificate_days_left": it.days_left(now),
        "version": said.version,
        "kubernetes_version": said.kubernetes,
        "api_server_fault": said.fault if it.report is not None else None,
        "clock_skew_seconds": said.skew_seconds,
        "guard": said.guard,
        "guard_refused": said.refused,
    }


def credential(it: Listed, person: Person | None, cluster: Cluster | None) -> dict[str, Any]:
    """A credential without its token, which is kept nowhere. Who or what was deleted since has no name here."""
    made = it.credential
    return {
        "id": made.id,
        "person_id": made.person_id,
        "person": person.name if person is not None else None,
        "cluster_id": made.cluster_id,
        "cluster": cluster.name if cluster is not None else None,
        "kind": str(it.kind),
        "issued_at": moment(made.issued_at),
        "issued_by": it.issued_by,
        "expires_at": moment(made.expires_at),
        "state": str(it.state),
        "revoked_at": moment(it.revoked_at),
        "reason": it.reason,
    }


def person(it: Person) -> dict[str, Any]:
    return tagged(
        {
            "id": it.id,
            "issuer": it.issuer,
            "subject": it.subject,
            "name": it.name,
            "email": it.email,
            "groups": list(it.groups),
            "enabled": it.enabled,
            "created_at": moment(it.created_at),
        }
    )


def role(it: Role) -> dict[str, Any]:
    return tagged(
        {
            "id": it.id,
            "name": it.name,
            "description": it.description,
            "groups": list(it.groups),
            "rules": [rule(entry) for entry in it.rules],
            "permissions": [str(permission) for permission in it.permissions],
            "created_at": moment(it.created_at),
        }
    )


def rule(it: Rule) -> dict[str, Any]:
    """A rule in the spelling of a Kubernetes PolicyRule."""
    fields: Mapping[str, tuple[str, ...]] = {
        "verbs": it.verbs,
        "apiGroups": it.api_groups,
        "resources": it.resources,
        "resourceNames": it.resource_names,
        "nonResourceURLs": it.non_resource_urls,
    }
    return {name: list(values) for name, values in fields.items() if values}


def scope(it: Scope) -> dict[str, Any]:
    """Only the fields of its kind."""
    shown: dict[str, Any] = {"kind": str(it.kind)}
    if it.cluster_id:
        shown["cluster_id"] = it.cluster_id
    if it.labels:
        shown["labels"] = dict(it.labels)
    if it.namespaces:
        shown["namespaces"] = list(it.namespaces)
    return shown


def scope_words(it: Scope) -> str:
    """A scope in one line of an audit record."""
    labels = ",".join(f"{key}={value}" for key, value in it.labels)
    parts = (str(it.kind), it.cluster_id, labels, ",".join(it.namespaces))
    return " ".join(part for part in parts if part)


def subject(it: Subject) -> dict[str, str]:
    shown = {"kind": str(it.kind), "id": it.id}
    if it.issuer:
        shown["issuer"] = it.issuer
    return shown


def binding(it: Binding) -> dict[str, Any]:
    shown = {
        "id": it.id,
        "subject": subject(it.subject),
        "role_id": it.role_id,
        "scope": scope(it.scope),
        "until": moment(it.until),
        "created_at": moment(it.created_at),
    }
    return {**shown, "request_id": it.request_id} if it.request_id else shown


def machine(it: Machine) -> dict[str, Any]:
    return {
        "id": it.id,
        "name": it.name,
        "user": it.holder().name,
        "created_at": moment(it.created_at),
        "created_by": it.created_by,
    }


def machine_token(it: MachineToken) -> dict[str, Any]:
    """`rule_id` and `subject` are of one that was exchanged for another's; `used_at` is right to ten minutes."""
    shown = {
        "id": it.id,
        "machine_id": it.machine_id,
        "label": it.label,
        "expires_at": moment(it.expires_at),
        "created_at": moment(it.created_at),
        "created_by": it.created_by,
        "used_at": moment(it.used_at),
    }
    return {**shown, "rule_id": it.rule_id, "subject": it.subject} if it.rule_id else shown


def trust_rule(it: TrustRule) -> dict[str, Any]:
    return {
        "id": it.id,
        "machine_id": it.machine_id,
        "issuer": it.issuer,
        "audience": it.audience,
        "conditions": [{"claim": one.claim, "values": list(one.patterns)} for one in it.conditions],
        "jwks": json.loads(it.jwks) if it.jwks else None,
        "single_use": it.single_use,
        "session_seconds": it.seconds,
        "created_at": moment(it.created_at),
        "created_by": it.created_by,
    }


def policy(it: RequestPolicy) -> dict[str, Any]:
    return tagged(
        {
            "id": it.id,
            "role_id": it.role_id,
            "scope": scope(it.scope),
            "askers": [subject(one) for one in it.askers],
            "approvers": [subject(one) for one in it.approvers],
            "approvals": it.approvals,
            "max_seconds": it.max_seconds,
            "reason_required": it.reason_required,
            "created_at": moment(it.created_at),
        }
    )


def access_request(it: AccessRequest, now: int) -> dict[str, Any]:
    """`state` is by the clock."""
    return {
        "id": it.id,
        "state": str(it.state(now)),
        "policy_id": it.policy_id,
        "subject": subject(it.subject),
        "asked_by": subject(it.asked_by),
        "role_id": it.role_id,
        "scope": scope(it.scope),
        "ttl_seconds": it.seconds,
        "reason": it.reason,
        "reviewers": list(it.reviewers),
        "approvals": [{"by": subject(yes.subject), "name": yes.name, "at": moment(yes.at)} for yes in it.approvals],
        "note": it.note,
        "closed_by": it.closed_by,
        "binding_id": it.binding_id,
        "until": moment(it.until),
        "expires_at": moment(it.expires_at),
        "created_at": moment(it.created_at),
    }


def ask(it: Ask) -> dict[str, str]:
    """A request as it is decided on; empty fields are left out."""
    if not it.is_resource:
        return {"verb": it.verb, "path": it.path}
    fields = {
        "verb": it.verb,
        "group": it.group,
        "resource": it.resource,
        "subresource": it.subresource,
        "namespace": it.namespace,
        "name": it.name,
    }
    return {name: value for name, value in fields.items() if value}
