"""A body for each route that takes one, as the document shows it. A test sends every one of them, and it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SERIAL: Final = "5d1c0e2f7a9b4c3d8e6f"
_PERSON: Final = {"kind": "person", "id": f"person_{_SERIAL}"}
_SCOPE: Final = {"kind": "namespaces", "cluster_id": f"cluster_{_SERIAL}", "namespaces": ["demo"]}
_ISSUER: Final = "https://login.example.com"
_WISH: Final = {"policy_id": f"policy_{_SERIAL}", "ttl_seconds": 3600, "reason": "a pod does not start"}
_REASON: Final = {"reason": "the laptop was lost"}

#: By method and path, as a route declares them.
BODIES: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("POST", "clusters"): {"name": "staging-eu", "labels": {"env": "staging"}},
    ("PATCH", "clusters/<cluster>"): {"labels": {"env": "prod", "region": "eu"}},
    ("POST", "clusters/<cluster>/revoke-credentials"): _REASON,
    ("POST", "people"): {"issuer": _ISSUER, "subject": "2481", "name": "ben@example.com", "groups": ["dev"]},
    ("PATCH", "people/<person>"): {"groups": ["dev", "ops"]},
    ("POST", "people/<person>/revoke-credentials"): _REASON,
    ("POST", "people/<person>/access-requests"): _WISH,
    ("POST", "machines"): {"name": "deploy", "ttl_seconds": 86_400},
    ("POST", "machines/<machine>/tokens"): {"label": "nightly", "ttl_seconds": 86_400},
    ("POST", "machines/self/credentials"): {"cluster": "prod-eu", "kind": "plugin"},
    ("POST", "trust-rules"): {
        "machine": "backup",
        "issuer": "https://ci.example.com",
        "conditions": [{"claim": "sub", "values": ["repo:example/backup:*"]}],
    },
    ("POST", "roles"): {
        "name": "pod-reader",
        "description": "see pods and their logs",
        "groups": ["pod-readers"],
        "rules": [{"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods", "pods/log"]}],
        "permissions": ["clusters:read"],
    },
    ("PATCH", "roles/<role>"): {"description": "see everything but secrets"},
    ("POST", "bindings"): {
        "subject": _PERSON,
        "role_id": f"role_{_SERIAL}",
        "scope": _SCOPE,
        "until": "2027-12-31T12:00:00Z",
    },
    ("POST", "request-policies"): {
        "role_id": f"role_{_SERIAL}",
        "scope": _SCOPE,
        "askers": [{"kind": "group", "id": "dev", "issuer": _ISSUER}],
        "approvers": [_PERSON],
        "approvals": 1,
        "max_seconds": 14_400,
        "reason_required": True,
    },
    ("PATCH", "request-policies/<policy>"): {"approvals": 2, "max_seconds": 7_200},
    ("POST", "access-requests"): _WISH,
    ("POST", "me/access-requests"): _WISH,
    ("POST", "access-requests/<request>/approve"): {"ttl_seconds": 1_800},
    ("POST", "access-requests/<request>/deny"): {"reason": "use the staging cluster for this"},
    ("POST", "access-requests/<request>/revoke"): {"reason": "the work is done"},
    ("POST", "credentials"): {"cluster": "prod-eu", "person": "ann@example.com", "ttl_seconds": 3_600},
    ("POST", "credentials/revoke-by-token"): {"token": "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"},
    ("POST", "me/credentials"): {"cluster": "prod-eu", "kind": "plugin"},
    ("POST", "providers"): {
        "slug": "corp",
        "title": "Corporate account",
        "issuer": "https://sso.example.com",
        "client_id": "fairlead",
        "client_secret": "as the provider gave it",
        "claims": {"name": "email", "groups": ["realm_access", "roles"]},
    },
    ("PATCH", "providers/<provider>"): {"enabled": False},
    ("POST", "webhooks"): {"url": "https://hooks.example.com/fairlead", "events": ["access_request.created"]},
    ("POST", "authority/change/finish"): {"force": True},
}
