"""What the demo asks of the admin API: a cluster, a role, a person, a binding, and credentials.

Every step finds what an earlier run with the same data left, so that a second start changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ops.demo.admin import ApiError, Appliance

PERSON = "demo@example.com"
CREDENTIAL_SECONDS = 8 * 3600  # the most the appliance allows


@dataclass(frozen=True, slots=True)
class Registered:
    """The ids of what now exists, and the bundle for the agent if the cluster is new."""

    cluster_id: str
    person_id: str
    bundle: dict[str, Any] | None


async def register(appliance: Appliance, cluster: str, group: str) -> Registered:
    """Make whatever is missing of cluster, role, person and binding."""
    known = await _find(appliance, "clusters", cluster)
    if known is None:
        made = await appliance.call("POST", "clusters", {"name": cluster})
        cluster_id, bundle = made["id"], made["bundle"]
    else:
        cluster_id, bundle = known["id"], None
    role_name = "demo-" + re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")
    role = await _ensure(appliance, "roles", {"name": role_name, "groups": [group]})
    person = await _ensure(
        appliance,
        "people",
        {"issuer": "https://demo.example.com", "subject": "demo", "name": PERSON, "email": PERSON},
    )
    bound = (await appliance.call("GET", f"bindings?subject={person['id']}&role={role['id']}&limit=500"))["items"]
    wanted = {
        "subject": {"kind": "person", "id": person["id"]},
        "role_id": role["id"],
        "scope": {"kind": "cluster", "cluster_id": cluster_id},
    }
    if not any(all(_covers(entry.get(key), value) for key, value in wanted.items()) for entry in bound):
        await appliance.call("POST", "bindings", wanted)
    return Registered(cluster_id, person["id"], bundle)


async def new_bundle(appliance: Appliance, cluster_id: str) -> dict[str, Any]:
    """Another bundle for a cluster that is known."""
    made = await appliance.call("POST", f"clusters/{cluster_id}/bundles", {})
    bundle: dict[str, Any] = made["bundle"]
    return bundle


async def credential(appliance: Appliance, registered: Registered) -> dict[str, Any]:
    """A fresh kubeconfig credential: `token`, `server`, and `ca` when our own CA signs."""
    issued: dict[str, Any] = await appliance.call(
        "POST",
        "credentials",
        {
            "cluster": registered.cluster_id,
            "person": registered.person_id,
            "ttl_seconds": CREDENTIAL_SECONDS,
        },
    )
    return issued


async def _ensure(appliance: Appliance, collection: str, body: dict[str, Any]) -> dict[str, Any]:
    found = await _find(appliance, collection, body["name"])
    if found is not None:
        return found
    try:
        made: dict[str, Any] = await appliance.call("POST", collection, body)
    except ApiError as error:
        if error.status != 409:
            raise
        found = await _find(appliance, collection, body["name"])
        if found is None:
            raise
        return found
    return made


async def _find(appliance: Appliance, collection: str, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await appliance.call("GET", f"{collection}/{quote(name, safe='')}")
    except ApiError as error:
        if error.status != 404:
            raise
        return None
    return found


def _covers(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(given, dict) and all(_covers(given.get(key), value) for key, value in wanted.items())
    return bool(given == wanted)
