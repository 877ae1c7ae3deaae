"""What the admin API does with clusters, people, roles, bindings, credentials and the audit trail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.core.events import EventType
from appliance.core.liveness import ClusterState
from appliance.core.roles import Permission
from tests.appliance.api.rig import NOW, Rig, rig

pytestmark = pytest.mark.real_clock  # the store has a thread

ANN = {"issuer": "https://login.example.com", "subject": "1", "name": "ann@example.com", "email": "ann@example.com"}


async def made(api: Rig, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await api.call("POST", path, body)
    assert reply.status == 201, reply.body
    answer: dict[str, Any] = reply.body
    return answer


async def test_a_cluster_is_registered_listed_and_removed(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        cluster = await made(api, "clusters", {"name": "prod-eu", "labels": {"env": "prod"}})
        assert cluster["bundle"] == {"cluster": cluster["id"], "token": "flb_x"}
        assert cluster["bundle_expires_at"] == "2027-01-15T09:00:00Z"

        api.states[cluster["id"]] = ClusterState(connected=True, since=NOW, sessions=2)
        (listed,) = (await api.call("GET", "clusters")).body["items"]
        assert (listed["name"], listed["connected"], listed["sessions"]) == ("prod-eu", True, 2)
        assert "bundle" not in listed

        taken = await api.call("POST", "clusters", {"name": "prod-eu"})
        assert (taken.status, taken.code) == (409, "DUPLICATE_CLUSTER_NAME")
        assert (await api.call("POST", "clusters/prod-eu/bundles", {})).status == 201
        assert (await api.call("DELETE", "clusters/prod-eu")).status == 204
        assert (await api.call("DELETE", "clusters/prod-eu")).code == "CLUSTER_NOT_FOUND"
        assert [str(it.type) for it in api.recorded] == ["CCL001I", "CCL005I", "CCL004I"]
        assert {it.actor for it in api.recorded} == {api.recorded[0].actor}


async def test_revoking_a_clusters_agents_raises_its_generation_and_makes_a_bundle(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        cluster = await made(api, "clusters", {"name": "prod-eu"})
        reader = await api.machine(Permission.CLUSTERS_READ)

        refused = await api.call("POST", "clusters/prod-eu/revoke-agent", {}, token=reader)
        assert (refused.status, api.store.snapshot.clusters[cluster["id"]].generation) == (403, 1)

        revoked = await made(api, "clusters/prod-eu/revoke-agent", {})
        assert revoked["bundle"] == {"cluster": cluster["id"], "token": "flb_x"}
        assert api.store.snapshot.clusters[cluster["id"]].generation == 2
        assert (api.recorded[-1].type, api.recorded[-1].details) == (EventType.AGENT_REVOKED, (("generation", "2"),))
        assert (await api.call("POST", "clusters/nope/revoke-agent", {})).code == "CLUSTER_NOT_FOUND"


async def test_a_person_is_made_disabled_and_enabled(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        person = await made(api, "people", ANN)
        assert (person["name"], person["enabled"]) == ("ann@example.com", True)
        assert (await api.call("POST", "people", ANN)).code == "DUPLICATE_USER_NAME"

        disabled = await api.call("POST", f"people/{person['id']}/disable", {})
        assert disabled.body["enabled"] is False
        assert api.store.snapshot.people[person["id"]].not_before == NOW
        assert (await api.call("POST", "people/ann@example.com/enable", {})).body["enabled"] is True
        assert [it["enabled"] for it in (await api.call("GET", "people")).body["items"]] == [True]
        assert (await api.call("POST", "people/nobody/disable", {})).code == "USER_NOT_FOUND"
        assert (await api.call("DELETE", "people/ann@example.com")).status == 204
        assert (await api.call("DELETE", "people/ann@example.com")).code == "USER_NOT_FOUND"
        assert [str(it.type) for it in api.recorded] == ["CUA004I", "CUA005I", "CUA006I", "CUA022I"]


@pytest.mark.parametrize("name", ["system:admin", "System:masters", " x"])
async def test_kubernetes_own_names_are_refused(tmp_path: Path, name: str) -> None:
    async with rig(tmp_path) as api:
        person = await api.call("POST", "people", {**ANN, "name": name})
        role = await api.call("POST", "roles", {"name": "r", "groups": [name]})

    assert (person.status, person.body["field"]) == (422, "name")
    assert (role.status, role.body["field"]) == (422, "groups[0]")


async def test_roles_and_bindings(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        person = await made(api, "people", ANN)
        cluster = await made(api, "clusters", {"name": "prod"})
        rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
        role = await made(api, "roles", {"name": "viewer", "groups": ["team:view"], "rules": [rule]})
        assert role["rules"] == [rule]

        binding = await made(
            api,
            "bindings",
            {
                "subject": {"kind": "person", "id": person["id"]},
                "role_id": role["id"],
                "scope": {"kind": "namespaces", "cluster_id": cluster["id"], "namespaces": ["shop"]},
                "until": "2027-02-01T00:00:00+01:00",
            },
        )
        assert binding["until"] == "2027-01-31T23:00:00Z"
        assert binding["scope"] == {"kind": "namespaces", "cluster_id": cluster["id"], "namespaces": ["shop"]}

        assert (await api.call("DELETE", f"roles/{role['id']}")).code == "ROLE_IN_USE"
        assert (await api.call("DELETE", f"bindings/{binding['id']}")).status == 204
        assert (await api.call("DELETE", f"roles/{role['id']}")).status == 204
        assert (await api.call("DELETE", "bindings/none")).code == "ASSIGNMENT_NOT_FOUND"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"subject": {"kind": "robot", "id": "x"}}, "subject.kind"),
        ({"subject": {"kind": "group", "id": "x"}}, "subject"),
        ({"scope": {"kind": "everywhere", "cluster_id": "x"}}, "scope"),
        ({"scope": {"kind": "namespaces", "cluster_id": "x"}}, "scope"),
        ({"until": "tomorrow"}, "until"),
        ({"until": "2027-13-01T00:00:00Z"}, "until"),
    ],
)
async def test_a_binding_that_means_nothing_is_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    body = {"subject": {"kind": "person", "id": "x"}, "role_id": "x", "scope": {"kind": "everywhere"}, **change}
    async with rig(tmp_path) as api:
        reply = await api.call("POST", "bindings", body)

    assert (reply.status, reply.body["field"]) == (422, field)


@pytest.mark.parametrize(
    "rule",
    [
        {"verbs": []},
        {"verbs": ["get"]},
        {"verbs": ["get"], "resources": ["pods"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "nonResourceURLs": ["/metrics"]},
    ],
)
async def test_a_rule_that_kubernetes_would_refuse_is_refused(tmp_path: Path, rule: dict[str, Any]) -> None:
    async with rig(tmp_path) as api:
        reply = await api.call("POST", "roles", {"name": "r", "rules": [rule]})

    assert (reply.status, reply.body["field"]) == (422, "rules[0]")


async def test_a_credential_is_issued_once_and_revoked(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        person = await made(api, "people", ANN)
        cluster = await made(api, "clusters", {"name": "prod"})
        issued = await made(api, "credentials", {"cluster": "prod", "person": "ann@example.com", "ttl_seconds": 3600})

        assert issued["server"] == "https://fairlead.example.com/api/proxy/prod"
        assert (issued["expires_at"], issued["ca"]) == ("2027-01-15T09:00:00Z", "CA")
        proven = api.verifier.verify(issued["token"].encode(), NOW)
        assert (proven.id, proven.person_id, proven.cluster_id) == (issued["id"], person["id"], cluster["id"])  # type: ignore[union-attr]

        assert (await api.call("DELETE", f"credentials/{issued['id']}")).status == 204
        assert api.store.snapshot.revoked(issued["id"])
        assert (await api.call("DELETE", "credentials/none")).code == "CREDENTIAL_NOT_FOUND"
        assert issued["token"] not in str(api.recorded)


async def test_no_credential_for_who_or_what_is_not_there(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await made(api, "people", ANN)
        await made(api, "clusters", {"name": "prod"})
        wanted = {"cluster": "prod", "person": "ann@example.com"}

        assert (await api.call("POST", "credentials", {**wanted, "cluster": "x"})).code == "CLUSTER_NOT_FOUND"
        assert (await api.call("POST", "credentials", {**wanted, "person": "x"})).code == "USER_NOT_FOUND"
        too_long = await api.call("POST", "credentials", {**wanted, "ttl_seconds": 8 * 3600 + 1})
        assert too_long.body["field"] == "ttl_seconds"
        await api.call("POST", "people/ann@example.com/disable", {})
        assert (await api.call("POST", "credentials", wanted)).code == "PERSON_DISABLED"
        assert api.recorded[-1].type is EventType.CREDENTIAL_ISSUE_FAILED


async def test_the_latest_audit_records(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await made(api, "clusters", {"name": "a"})
        await made(api, "people", ANN)

        assert (await api.call("GET", "audit?limit=1")).body == {"items": [{"type": "CUA004I"}], "next": None}
        assert len((await api.call("GET", "audit?category=clusters")).body["items"]) == 1
        looks = [it.details for it in api.recorded if it.type is EventType.AUDIT_READ]
        assert looks == [(("filters", "limit=1"),), (("filters", "category=clusters"),)]
        for limit in ("0", "501", "x", "-1", "1e3", "%D9%A3", "0000001009999"):
            assert (await api.call("GET", f"audit?limit={limit}")).body["field"] == "?limit"
