"""Self-reviews (`kubectl auth can-i`), so that their answer is true behind Fairlead as well.

A cluster answers for the groups it is shown, and knows nothing of our scopes and rules: shown the groups of all
bindings, it says yes to what no request would get. So what a review asks about is decided like a request. Where no role
allows it, Fairlead says no and why; where one does, the cluster is asked with the groups that very request would carry.

Nothing is granted here: a body that is read otherwise than the API server reads it misleads nobody but its sender. One
that cannot be read goes to the cluster as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from appliance.core.decision import Permit, decide
from appliance.core.refusals import CLUSTER_SCOPED
from appliance.core.roles import ANY, Role, ScopeKind
from appliance.core.snapshot import Snapshot
from wire.kube import UPGRADE_KINDS, Ask

MAX_REVIEW_BYTES: Final = 16 * 1024
"""Of a body that is looked into. kubectl's have 300 bytes; the longest names make 2 KiB."""

Document = Mapping[str, Any]

_METHODS = {"get": "GET", "list": "GET", "watch": "GET", "create": "POST", "update": "PUT"}
_EVERYTHING = Ask("", ANY, "", is_resource=True, api_prefix="apis", group=ANY, resource=ANY)
_OPEN_TO_ALL: Final = (
    {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
)
_OPEN_PATHS: Final = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")
_OPEN_STATES: Final = ("/version", "/version/", "/healthz", "/livez", "/readyz")
_ONLY_OURS: Final = "these are your roles in Fairlead; the cluster itself may allow less"


def looks_into(ask: Ask) -> bool:
    """Tell whether a self-review asks what its sender may do (and not only who they are)."""
    return ask.resource in {"selfsubjectaccessreviews", "selfsubjectrulesreviews"}


def consider(document: Document, permit: Permit, snapshot: Snapshot, now: int) -> tuple[Permit, bytes | None]:
    """How a permitted review goes on: as whom the cluster is asked, or the answer (JSON) if it need not be asked."""
    spec = document.get("spec")
    if not isinstance(spec, dict):
        return permit, None  # the API server says what is wrong with it
    rules = permit.ask.resource == "selfsubjectrulesreviews"
    question = replace(_EVERYTHING, namespace=_text(spec, "namespace")) if rules else _question(spec)
    if question is None:
        return permit, None
    decision = decide(permit.credential, snapshot, permit.cluster_id, question, now)
    if isinstance(decision, Permit):
        # For a list of rules: those of the bindings that allow all the cluster allows. Others may allow more.
        return decision._replace(ask=permit.ask, discovery=True), None
    if rules:
        return permit, _answer(document, _status_of_rules(permit, snapshot, question.namespace, now))
    return permit, _answer(document, {"allowed": False, "denied": True, "reason": decision.problem.message})


def _question(spec: Document) -> Ask | None:
    """What the review asks about, as the request for it would be read."""
    path, resource = spec.get("nonResourceAttributes"), spec.get("resourceAttributes")
    if isinstance(path, dict) and resource is None:
        verb = _text(path, "verb")
        return Ask(_METHODS.get(verb, verb.upper()), verb, _text(path, "path"))
    if not isinstance(resource, dict) or path is not None:
        return None
    verb, group, kind = _text(resource, "verb"), _text(resource, "group"), _text(resource, "resource")
    namespace, name, subresource = (_text(resource, key) for key in ("namespace", "name", "subresource"))
    if (group, kind) in CLUSTER_SCOPED:
        # kubectl sends the current namespace here as well; the request itself will have none, or its own name.
        namespace = name if kind == "namespaces" else ""
    if (group, kind) == ("", "pods") and subresource in UPGRADE_KINDS:
        verb = "create"
    return Ask(
        _METHODS.get(verb, verb.upper()),
        verb,
        "",
        is_resource=True,
        api_prefix="apis" if group else "api",
        group=group,
        version=_text(resource, "version"),
        namespace=namespace,
        resource=kind,
        subresource=subresource,
        name=name,
    )


def _text(document: Document, key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _status_of_rules(permit: Permit, snapshot: Snapshot, namespace: str, now: int) -> dict[str, Any]:
    """What Fairlead's rules allow in a namespace: all there is to say where no role leaves it to the cluster."""
    resources: list[dict[str, Any]] = list(_OPEN_TO_ALL)
    paths: list[dict[str, Any]] = [{"verbs": ["get"], "nonResourceURLs": [*_OPEN_PATHS, *_OPEN_STATES]}]
    for role, confined in _roles(permit, snapshot, namespace, now):
        for rule in role.rules:
            if rule.non_resource_urls and not confined:
                paths.append({"verbs": [*rule.verbs], "nonResourceURLs": [*rule.non_resource_urls]})
            elif rule.resources:
                found = {"verbs": [*rule.verbs], "apiGroups": [*rule.api_groups], "resources": [*rule.resources]}
                resources.append(found | ({"resourceNames": [*rule.resource_names]} if rule.resource_names else {}))
    return {
        "resourceRules": resources,
        "nonResourceRules": paths,
        "incomplete": True,
        "evaluationError": _ONLY_OURS,
    }


def _roles(permit: Permit, snapshot: Snapshot, namespace: str, now: int) -> Iterator[tuple[Role, bool]]:
    """The roles that hold in a namespace, and whether only in some."""
    for binding in snapshot.bindings_for(permit.person_id, permit.cluster_id):
        confined = binding.scope.kind is ScopeKind.NAMESPACES
        role = snapshot.roles.get(binding.role_id)
        if role is not None and binding.live(now) and (not confined or namespace in binding.scope.namespaces):
            yield role, confined


def _answer(document: Document, status: Document) -> bytes:
    """The review as an API server returns it, with its status."""
    answered = {**document, "metadata": document.get("metadata") or {}, "status": status}
    return json.dumps(answered, separators=(",", ":")).encode("ascii") + b"\n"
