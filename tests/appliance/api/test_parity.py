"""What the seed system offered over HTTP to administrators, row by row: each test is named after the row.

Where ours differs on purpose, a line of decision 21 says why; `REPLACED` names those of the codes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.core.events import NAMES, EventType
from appliance.core.problems import Code
from tests.appliance.api.rig import Reply, rig
from tests.appliance.api.world import ANN, HERE, World, furnished, named

pytestmark = pytest.mark.real_clock


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    async with rig(directory) as api:
        yield await furnished(api)


async def ok(it: World, method: str, path: str, body: Any = None, **given: Any) -> Any:
    reply = await it.api.call(method, path, body, **given)
    assert reply.status < 300, reply.body
    return reply.body


async def refused(it: World, code: str, method: str, path: str, body: Any = None, **given: Any) -> Reply:
    reply = await it.api.call(method, path, body, **given)
    assert reply.code == code, reply.body
    return reply


async def test_post_clusters(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        made = await ok(it, "POST", "clusters", {"name": "dev", "labels": {"env": "dev"}})
        assert made["bundle"]["token"]
        assert made["bundle_expires_at"] > made["created_at"], "a bootstrap token does not last for ever"
        taken = await refused(it, "DUPLICATE_CLUSTER_NAME", "POST", "clusters", {"name": "dev"})
        assert (taken.status, taken.body["existing_id"]) == (409, made["id"])
        assert (await refused(it, "VALIDATION_ERROR", "POST", "clusters", {"name": ""})).body["field"] == "name"


async def test_get_clusters(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await ok(it, "POST", "clusters", {"name": "dev"})
        page = await ok(it, "GET", "clusters?limit=1&connected=false")
        assert [one["name"] for one in page["items"]] == ["dev"]
        rest = await ok(it, "GET", f"clusters?limit=1&connected=false&cursor={page['next']}")
        assert ([one["name"] for one in rest["items"]], rest["next"]) == (["prod-eu"], None)
        await refused(it, "VALIDATION_ERROR", "GET", "clusters?connected=Pending")


async def test_get_cluster(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        assert await ok(it, "GET", f"clusters/{HERE.cluster_id}") == await ok(it, "GET", "clusters/prod-eu")
        await refused(it, "CLUSTER_NOT_FOUND", "GET", "clusters/nothing")


async def test_delete_cluster(tmp_path: Path) -> None:
    """With all that hangs on it; what was revoked stays so."""
    async with world(tmp_path) as it:
        await ok(it, "DELETE", f"credentials/{named('credential')}")
        await ok(it, "DELETE", "clusters/prod-eu")
        assert named("credential") in it.api.store.snapshot.revocations
        await refused(it, "ASSIGNMENT_NOT_FOUND", "GET", f"bindings/{named('binding')}")
        await refused(it, "REQUEST_POLICY_NOT_FOUND", "GET", f"request-policies/{named('policy')}")
        assert (await ok(it, "GET", f"access-requests/{named('request')}"))["state"] == "denied"
        await refused(it, "CLUSTER_NOT_FOUND", "DELETE", "clusters/prod-eu")


async def test_post_clusters_revoke_and_bootstrap_tokens(tmp_path: Path) -> None:
    """Which the seed system described and did not have."""
    async with world(tmp_path) as it:
        assert (await ok(it, "POST", "clusters/prod-eu/bundles", {}))["bundle"]
        assert (await ok(it, "POST", "clusters/prod-eu/revoke-agent", {}))["bundle"]
        assert it.api.store.snapshot.clusters[HERE.cluster_id].generation == 2


async def test_get_roles(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        names = [one["name"] for one in (await ok(it, "GET", "roles"))["items"]]
        assert "viewer" in names
        assert names == sorted(names)


async def test_post_roles(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        made = await ok(it, "POST", "roles", {"name": "ops", "description": "all of it", "groups": ["edit"]})
        assert (made["description"], made["groups"]) == ("all of it", ["edit"])
        await refused(it, "DUPLICATE_ROLE_NAME", "POST", "roles", {"name": "ops"})


async def test_put_role(tmp_path: Path) -> None:
    """PATCH here: what is not given stays."""
    async with world(tmp_path) as it:
        assert (await ok(it, "PATCH", "roles/viewer", {"groups": ["view", "list"]}))["groups"] == ["view", "list"]
        await refused(it, "DUPLICATE_ROLE_NAME", "PATCH", "roles/viewer", {"name": "asked-for"})
        await refused(it, "ROLE_NOT_FOUND", "PATCH", "roles/nothing", {})


async def test_delete_role(tmp_path: Path) -> None:
    """Refused while it is bound: what it gave would vanish unseen."""
    async with world(tmp_path) as it:
        await refused(it, "ROLE_IN_USE", "DELETE", "roles/viewer")
        await ok(it, "POST", "roles", {"name": "spare"})
        await ok(it, "DELETE", "roles/spare")
        await refused(it, "ROLE_NOT_FOUND", "DELETE", "roles/spare")


async def test_get_users_me(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        me = await ok(it, "GET", "me", token=it.ann)
        assert (me["name"], me["clusters"]) == ("ann@example.com", ["prod-eu"])
        assert (await ok(it, "GET", "me/access-requests", token=it.ann))["items"][0]["id"] == named("request")
        await refused(it, "FORBIDDEN", "GET", "me")


async def test_get_users(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        (ann,) = (await ok(it, "GET", "people?email=ann@example.com"))["items"]
        assert (ann["id"], ann["enabled"]) == (ANN.id, True)


async def test_get_user_assignments(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        (bound,) = (await ok(it, "GET", f"bindings?subject={ANN.id}"))["items"]
        assert (bound["id"], bound["scope"]["cluster_id"]) == (named("binding"), HERE.cluster_id)


async def test_post_user_assignment(tmp_path: Path) -> None:
    """Any number for one person on one cluster; one does not replace another."""
    async with world(tmp_path) as it:
        role = it.api.store.snapshot.role_by_name["asked-for"].id
        body = {"subject": {"kind": "person", "id": ANN.id}, "role_id": role, "scope": {"kind": "everywhere"}}
        await ok(it, "POST", "bindings", body)
        assert len((await ok(it, "GET", f"bindings?subject={ANN.id}"))["items"]) == 2
        await refused(it, "ROLE_NOT_FOUND", "POST", "bindings", {**body, "role_id": "role_none"})
        nobody = {"kind": "person", "id": "person_none"}
        await refused(it, "USER_NOT_FOUND", "POST", "bindings", {**body, "subject": nobody})
        nowhere = {"kind": "cluster", "cluster_id": "cluster_none"}
        await refused(it, "CLUSTER_NOT_FOUND", "POST", "bindings", {**body, "scope": nowhere})


async def test_delete_user_assignment(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await ok(it, "DELETE", f"bindings/{named('binding')}")
        await refused(it, "ASSIGNMENT_NOT_FOUND", "DELETE", f"bindings/{named('binding')}")


async def test_post_kubeconfig_credential(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        got = await ok(it, "POST", "me/credentials", {"cluster": "prod-eu", "ttl_seconds": 600}, token=it.ann)
        assert got["server"].endswith("/api/proxy/prod-eu")
        assert (got["issued_at"][11:16], got["expires_at"][11:16]) == ("08:00", "08:10")
        too_long = {"cluster": "prod-eu", "ttl_seconds": 8 * 3600 + 1}
        assert (await refused(it, "VALIDATION_ERROR", "POST", "me/credentials", too_long, token=it.ann)).status == 422
        await refused(it, "CLUSTER_NOT_FOUND", "POST", "me/credentials", {"cluster": "none"}, token=it.ann)
        assert it.api.recorded[-1].type is EventType.CREDENTIAL_ISSUE_FAILED


async def test_delete_credential(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await ok(it, "DELETE", f"credentials/{named('credential')}")
        (one,) = (await ok(it, "GET", "credentials?state=revoked"))["items"]
        assert one["id"] == named("credential")
        await refused(it, "CREDENTIAL_NOT_FOUND", "DELETE", "credentials/credential_none")
        assert it.api.recorded[-1].type is EventType.CREDENTIAL_REVOKE_DENIED


async def test_post_revoke_by_token(tmp_path: Path) -> None:
    """Whoever holds the token may give it up, and needs nothing else."""
    async with world(tmp_path) as it:
        got = await ok(it, "POST", "me/credentials", {"cluster": "prod-eu"}, token=it.ann)
        gone = await ok(it, "POST", "credentials/revoke-by-token", {"token": got["token"]}, token="")
        assert (gone["id"], gone["state"]) == (got["id"], "revoked")
        assert got["id"] in it.api.store.snapshot.revocations


async def test_get_version_and_discovery(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        found = await it.api.call("GET", "/.well-known/fairlead-configuration", headers={"Authorization": ""})
        assert found.status == 200
        assert found.body["version"]


async def test_get_audit(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await ok(it, "POST", "clusters", {"name": "dev"})
        assert (await ok(it, "GET", "audit?category=clusters&limit=1"))["items"] == [{"type": "CCL001I"}]
        assert (await ok(it, "GET", "audit?type=role.created"))["items"] == []
        for query in ("category=none", "severity=bad", "type=X", "since=yesterday", "limit=0"):
            refusal = await refused(it, "VALIDATION_ERROR", "GET", f"audit?{query}")
            assert refusal.body["field"] == "?" + query.partition("=")[0]


async def test_get_audit_record(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await ok(it, "POST", "clusters", {"name": "dev"})
        assert await ok(it, "GET", "audit/1-1") == {"type": "CCL001I"}
        await refused(it, "AUDIT_EVENT_NOT_FOUND", "GET", "audit/9-9")


async def test_a_kubeconfig_credential_opens_no_administration(tmp_path: Path) -> None:
    """There it opened every route, and made people who were not there."""
    async with world(tmp_path) as it:
        got = await ok(it, "POST", "me/credentials", {"cluster": "prod-eu"}, token=it.ann)
        people = len(it.api.store.snapshot.people)
        assert (await it.api.call("GET", "me", token=got["token"])).status == 401
        assert len(it.api.store.snapshot.people) == people


SEED_CODES = [
    "AUTHENTICATION_REQUIRED",
    "INVALID_TOKEN",
    "FORBIDDEN",
    "RATE_LIMITED",
    "ROUTE_NOT_FOUND",
    "UPSTREAM_UNREACHABLE",
    "UPSTREAM_UNAVAILABLE",
    "UPSTREAM_TIMEOUT",
    "GATEWAY_ERROR",
    "INVALID_CLUSTER_ID",
    "CLUSTER_MISMATCH",
    "CREDENTIAL_REVOKED",
    "CREDENTIAL_EXPIRED",
    "NO_ROLE_ASSIGNMENT",
    "USER_NOT_FOUND",
    "AGENT_NOT_CONNECTED",
    "TUNNEL_TIMEOUT",
    "TUNNEL_ERROR",
    "AGENT_ERROR",
    "CLUSTER_NOT_FOUND",
    "ROLE_NOT_FOUND",
    "CREDENTIAL_NOT_FOUND",
    "REQUEST_NOT_FOUND",
    "ASSIGNMENT_NOT_FOUND",
    "AUDIT_EVENT_NOT_FOUND",
    "DUPLICATE_CLUSTER_NAME",
    "DUPLICATE_ROLE_NAME",
    "STATIC_ASSIGNMENT_EXISTS",
    "PENDING_REQUEST_EXISTS",
    "GRANT_ALREADY_ACTIVE",
    "REQUEST_NOT_PENDING",
    "REQUEST_EXPIRED",
    "GRANT_NOT_APPROVED",
    "GRANT_ALREADY_REVOKED",
    "GRANT_ALREADY_EXPIRED",
    "INVALID_DURATION",
    "INVALID_FORMAT",
    "VALIDATION_ERROR",
    "UNAUTHORIZED",
    "CLIENT_CLOSED",
    "TIMEOUT",
    "BAD_REQUEST",
    "UNPROCESSABLE",
    "INTERNAL_ERROR",
]

#: Codes of the seed system that we do not have, with ours that say it, or none.
REPLACED: dict[str, tuple[Code, ...]] = {
    "UPSTREAM_UNAVAILABLE": (Code.SHUTTING_DOWN, Code.STORE_STALE, Code.AUDIT_UNAVAILABLE),
    "GATEWAY_ERROR": (Code.INTERNAL_ERROR,),
    "INVALID_CLUSTER_ID": (Code.CLUSTER_NOT_FOUND,),
    "TUNNEL_TIMEOUT": (Code.TUNNEL_LOST,),
    "TUNNEL_ERROR": (Code.TUNNEL_LOST, Code.TUNNEL_BUSY),
    "AGENT_ERROR": (Code.AGENT_REFUSED, Code.UPSTREAM_UNREACHABLE, Code.UPSTREAM_TLS_FAILED, Code.UPSTREAM_LOST),
    "INVALID_FORMAT": (Code.VALIDATION_ERROR,),
    "UNAUTHORIZED": (Code.AUTHENTICATION_REQUIRED,),
    "CLIENT_CLOSED": (),  # there is nobody to tell
    "TIMEOUT": (Code.REQUEST_TIMEOUT, Code.UPSTREAM_TIMEOUT),
    "UNPROCESSABLE": (Code.VALIDATION_ERROR,),
}


def test_every_error_code_is_ours_or_replaced() -> None:
    assert len(SEED_CODES) == 44
    assert {code for code in SEED_CODES if code not in set(Code)} == set(REPLACED)


def test_every_audit_event_has_its_code_and_category() -> None:
    categories = {"CAR": "access_requests", "CCR": "credentials", "CCL": "clusters", "CRL": "roles", "CPR": "proxy"}
    seed = [
        "CAR001I",
        "CAR002I",
        "CAR003W",
        "CAR004I",
        "CAR005I",
        "CCR001I",
        "CCR002I",
        "CCR003W",
        "CCR004W",
        "CCL001I",
        "CCL002I",
        "CCL003W",
        "CCL004I",
        "CRL001I",
        "CRL002I",
        "CRL003I",
        "CUA002I",
        "CUA003I",
        "CAG001W",
        "CPR001I",
        "CPR002W",
    ]
    assert len(seed) == 21  # of 22: CUA001I said that a call was made, on every call
    for code in seed:
        kind = EventType(code)
        assert NAMES[kind]
        assert kind.category == categories.get(code[:3], kind.category)
