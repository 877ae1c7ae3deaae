"""Changes: to what was read and nothing else, and names that are taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.api.table import ROUTES
from appliance.core.roles import Permission
from tests.appliance.api.rig import Rig, rig

pytestmark = pytest.mark.real_clock  # the store has a thread

ISSUER = "https://login.example.com"

#: One of each resource that can be changed: how it is made, and a change of it.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "clusters": ({"name": "prod", "labels": {"env": "prod"}}, {"labels": {"env": "test"}}),
    "people": ({"issuer": ISSUER, "subject": "1", "name": "ann"}, {"groups": ["dev"]}),
    "roles": ({"name": "viewer", "groups": ["view"]}, {"groups": ["edit"]}),
    "request-policies": (
        {"role_id": "", "scope": {"kind": "everywhere"}, "askers": [{"kind": "group", "id": "dev", "issuer": ISSUER}]},
        {"approvals": 2},
    ),
    "providers": ({"slug": "corp", "issuer": ISSUER, "client_id": "fairlead"}, {"title": "Corporate"}),
}


async def make(api: Rig, kind: str) -> dict[str, Any]:
    body = dict(KINDS[kind][0])
    if "role_id" in body:
        body["role_id"] = (await api.call("POST", "roles", {"name": "asked"})).body["id"]
    made = await api.call("POST", kind, body)
    assert made.status == 201, made.body
    answer: dict[str, Any] = made.body
    assert made.headers["ETag"] == answer["etag"]
    return answer


def test_every_change_is_one_of_these() -> None:
    assert {route.path.partition("/")[0] for route in ROUTES if route.conditional} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_change_is_made_to_what_was_read(tmp_path: Path, kind: str) -> None:
    change = KINDS[kind][1]
    async with rig(tmp_path) as api:
        made = await make(api, kind)
        path = f"{kind}/{made['id']}"
        read = await api.call("GET", path)
        assert (read.headers["ETag"], read.body["etag"]) == (made["etag"], made["etag"])
        (listed,) = [it for it in (await api.call("GET", kind)).body["items"] if it["id"] == made["id"]]
        assert listed["etag"] == made["etag"]

        bare = await api.call("PATCH", path, change, if_match=None)
        assert (bare.status, bare.code) == (428, "PRECONDITION_REQUIRED")
        assert (await api.call("PATCH", path, change, if_match="x")).code == "BAD_REQUEST"
        assert (await api.call("GET", path)).body["etag"] == made["etag"]

        changed = await api.call("PATCH", path, change, if_match=f'"other", {made["etag"]}')
        assert (changed.status, changed.headers["ETag"]) == (200, changed.body["etag"])
        assert changed.body["etag"] != made["etag"]

        lost = await api.call("PATCH", path, change, if_match=made["etag"])
        assert (lost.status, lost.code, lost.body["etag"]) == (412, "PRECONDITION_FAILED", changed.body["etag"])
        assert "ETag" not in lost.headers


async def test_of_two_who_change_a_client_secret_the_second_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        made = await make(api, "providers")
        path, etags = f"providers/{made['id']}", [made["etag"]]
        for given in ("one", "one", None):
            changed = await api.call("PATCH", path, {"client_secret": given}, if_match=etags[-1])
            assert (changed.status, (await api.call("GET", path)).body["etag"]) == (200, changed.body["etag"])
            lost = await api.call("PATCH", path, {"client_secret": "two"}, if_match=etags[-1])
            assert (lost.code, lost.body["etag"]) == ("PRECONDITION_FAILED", changed.body["etag"])
            etags.append(changed.body["etag"])
        assert len(set(etags)) == len(etags)


async def test_a_condition_where_none_is_heeded_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        made = await make(api, "roles")
        refused = await api.call("DELETE", f"roles/{made['id']}", headers={"If-Match": made["etag"]})
        assert (refused.status, refused.code) == (400, "BAD_REQUEST")
        assert (await api.call("GET", f"roles/{made['id']}")).status == 200


async def test_what_moves_by_itself_is_no_change(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        cluster, person = await make(api, "clusters"), await make(api, "people")
        for path in ("clusters/prod/revoke-agent", "clusters/prod/revoke-credentials", "people/ann/revoke-credentials"):
            assert (await api.call("POST", path, {})).status < 300
        assert (await api.call("GET", "clusters/prod")).body["etag"] == cluster["etag"]
        assert (await api.call("GET", "people/ann")).body["etag"] == person["etag"]


@pytest.mark.parametrize("kind", ["clusters", "people", "roles", "providers", "machines"])
async def test_whose_a_taken_name_is(tmp_path: Path, kind: str) -> None:
    body = {"name": "robot"} if kind == "machines" else KINDS[kind][0]
    async with rig(tmp_path) as api:
        made = (await api.call("POST", kind, body)).body
        taken = await api.call("POST", kind, body)
        assert (taken.status, taken.body["existing_id"]) == (409, made["id"])
        if kind == "people":
            named = await api.call("POST", kind, {**body, "name": "another"})
            assert (named.status, named.body["existing_id"]) == (409, made["id"])
        if kind == "roles":
            other = (await api.call("POST", kind, {"name": "other"})).body
            renamed = await api.call("PATCH", f"roles/{other['id']}", {"name": "viewer"})
            assert (renamed.status, renamed.body["existing_id"]) == (409, made["id"])


async def test_a_state_that_was_read_by_somebody_else_is_no_secret_way_in(tmp_path: Path) -> None:
    """Without the right, whether the tag fits cannot be told."""
    async with rig(tmp_path) as api:
        made = await make(api, "roles")
        reader = await api.machine(Permission.ROLES_READ)
        for etag in (made["etag"], '"other"'):
            refused = await api.call("PATCH", f"roles/{made['id']}", {}, token=reader, if_match=etag)
            assert (refused.status, refused.code) == (403, "FORBIDDEN")
