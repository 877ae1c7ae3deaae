"""What callers of the admin API may not do, each test named after what must not happen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.api.table import ROUTES
from appliance.core.events import EventType
from appliance.core.roles import Permission, Scope, ScopeKind
from tests.appliance.api.rig import Reply, Rig, rig

pytestmark = pytest.mark.real_clock

ANN = {"issuer": "https://login.example.com", "subject": "1", "name": "ann@example.com", "email": "ann@example.com"}
EVERYWHERE = {"kind": "everywhere"}
GUARDED = [it for it in ROUTES if it.proof is None]  # the one route that has another proof takes no machine's token


async def made(api: Rig, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await api.call("POST", path, body)
    assert reply.status == 201, reply.body
    answer: dict[str, Any] = reply.body
    return answer


def on(cluster: dict[str, Any]) -> Scope:
    return Scope(ScopeKind.CLUSTER, cluster["id"])


def same(one: Reply, other: Reply) -> bool:
    """Whether two answers tell their reader the same, the name they asked for and the correlation id apart."""
    left, right = ({k: v for k, v in it.body.items() if k not in {"correlation_id", "detail"}} for it in (one, other))
    return one.status == other.status and left == right


async def test_no_caller_without_a_role_does_anything(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        token = await api.machine()
        await made(api, "clusters", {"name": "prod"})
        for route in GUARDED:
            path = "/".join("x" if part.startswith("<") else part for part in route.path.split("/"))
            reply = await api.call(route.method, path, None if route.body is None else {}, token=token)
            assert (reply.status, reply.code) == (403, "FORBIDDEN"), path


@pytest.mark.parametrize("permission", Permission)
async def test_no_permission_opens_a_route_that_does_not_name_it(tmp_path: Path, permission: Permission) -> None:
    async with rig(tmp_path) as api:
        token = await api.machine(permission)
        for route in GUARDED:
            path = "/".join("x" if part.startswith("<") else part for part in route.path.split("/"))
            reply = await api.call(route.method, path, None if route.body is None else {}, token=token)
            assert (reply.status == 403) is (route.permissions != (permission,)), path


async def test_a_user_does_not_make_a_role_and_give_it_to_itself(tmp_path: Path) -> None:
    """The seed's S3: no administrator was checked for anything."""
    async with rig(tmp_path) as api:
        token = await api.machine(Permission.ROLES_WRITE, Permission.BINDINGS_WRITE)
        (me,) = (it.id for it in api.store.snapshot.machines.values() if it.name.endswith(token[-8:]))
        powerful = await made(api, "roles", {"name": "powerful", "groups": ["masters"]})
        for method, path, body in (
            ("POST", "roles", {"name": "r", "groups": ["masters"]}),
            ("POST", "roles", {"name": "r", "permissions": ["audit:read"]}),
            ("PATCH", f"roles/{powerful['id']}", {"groups": ["masters", "more"]}),
            (
                "POST",
                "bindings",
                {"subject": {"kind": "machine", "id": me}, "role_id": powerful["id"], "scope": EVERYWHERE},
            ),
        ):
            reply = await api.call(method, path, body, token=token)
            assert (reply.status, reply.code) == (403, "ESCALATION_FORBIDDEN"), path
        assert "the group masters" in reply.body["detail"]
        own = await api.call("POST", "roles", {"name": "mine", "permissions": ["roles:write"]}, token=token)
        assert own.status == 201


async def test_a_user_does_not_approve_its_own_request(tmp_path: Path) -> None:
    """S3 again."""
    async with rig(tmp_path) as api:
        person = await made(api, "people", ANN)
        role = await made(api, "roles", {"name": "viewer", "groups": ["viewers"]})
        asker = {"kind": "person", "id": person["id"]}
        policy = await made(api, "request-policies", {"role_id": role["id"], "scope": EVERYWHERE, "askers": [asker]})
        desk = await api.machine(Permission.ACCESS_REQUEST_FOR, Permission.ACCESS_APPROVE)
        asked = await api.call(
            "POST", f"people/{person['id']}/access-requests", {"policy_id": policy["id"]}, token=desk
        )
        reply = await api.call("POST", f"access-requests/{asked.body['id']}/approve", {}, token=desk)
        assert (reply.status, reply.code) == (403, "SELF_APPROVAL_FORBIDDEN")


async def test_a_permission_for_one_cluster_does_nothing_to_another(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        mine, other = await made(api, "clusters", {"name": "mine"}), await made(api, "clusters", {"name": "other"})
        token = await api.machine(
            Permission.CLUSTERS_READ, Permission.CLUSTERS_WRITE, Permission.BINDINGS_READ, scope=on(mine)
        )
        role = await made(api, "roles", {"name": "viewer", "groups": ["viewers"]})
        person = await made(api, "people", ANN)
        for cluster in (mine, other):
            scope = {"kind": "cluster", "cluster_id": cluster["id"]}
            body = {"subject": {"kind": "person", "id": person["id"]}, "role_id": role["id"], "scope": scope}
            await made(api, "bindings", body)

        listed = (await api.call("GET", "clusters", token=token)).body["items"]
        assert [it["name"] for it in listed] == ["mine"]
        bindings = (await api.call("GET", "bindings", token=token)).body["items"]
        assert {it["scope"].get("cluster_id") for it in bindings} == {mine["id"]}

        tries: tuple[tuple[str, str, Any], ...] = (
            ("POST", "clusters/{}/bundles", {}),
            ("PATCH", "clusters/{}", {"labels": {}}),
            ("DELETE", "clusters/{}", None),
            ("GET", "explain?person=ann@example.com&verb=get&resource=pods&cluster={}", None),
            ("GET", "who-can?verb=get&resource=pods&cluster={}", None),
        )
        for method, path, sent in tries:
            there = await api.call(method, path.format(other["id"]), sent, token=token)
            nowhere = await api.call(method, path.format("cluster_none"), sent, token=token)
            assert (there.status, there.code) == (404, "CLUSTER_NOT_FOUND"), path
            assert same(there, nowhere)
            assert there.body["detail"].replace(other["id"], "cluster_none") == nowhere.body["detail"]
        assert (await api.call("POST", "clusters", {"name": "third"}, token=token)).code == "FORBIDDEN"
        assert (await api.call("PATCH", "clusters/mine", {"labels": {"a": "b"}}, token=token)).status == 200
        assert (await api.call("DELETE", "clusters/mine", token=token)).status == 204


async def test_what_belongs_to_no_cluster_is_not_touched_with_a_clusters_permission(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        mine = await made(api, "clusters", {"name": "mine"})
        token = await api.machine(*Permission, scope=on(mine))
        for route in GUARDED:
            if not route.scoped:
                path = "/".join("x" if part.startswith("<") else part for part in route.path.split("/"))
                reply = await api.call(route.method, path, None if route.body is None else {}, token=token)
                assert (reply.status, reply.code) == (403, "FORBIDDEN"), path
                assert "everywhere" in reply.body["detail"]
        assert {it.type for it in api.recorded[1:]} == {EventType.API_DENIED}


async def test_deleting_a_cluster_does_not_make_a_revoked_credential_good_again(tmp_path: Path) -> None:
    """The seed's S7: the records of revocation went with the cluster, and a missing record meant "good"."""
    async with rig(tmp_path) as api:
        await made(api, "people", ANN)
        await made(api, "clusters", {"name": "prod"})
        issued = await made(api, "credentials", {"cluster": "prod", "person": "ann@example.com"})
        await api.call("DELETE", f"credentials/{issued['id']}")
        await api.call("DELETE", "clusters/prod")
        again = await made(api, "clusters", {"name": "prod"})
        assert api.store.snapshot.revoked(issued["id"])
        assert again["id"] != api.verifier.verify(issued["token"].encode(), api.now).cluster_id  # type: ignore[union-attr]


async def test_deleting_a_cluster_leaves_no_right_behind_for_the_next_of_its_name(tmp_path: Path) -> None:
    """S7: assignments survived."""
    async with rig(tmp_path) as api:
        person = await made(api, "people", ANN)
        cluster = await made(api, "clusters", {"name": "prod"})
        role = await made(api, "roles", {"name": "viewer", "groups": ["viewers"]})
        scope = {"kind": "cluster", "cluster_id": cluster["id"]}
        subject = {"kind": "person", "id": person["id"]}
        await made(api, "bindings", {"subject": subject, "role_id": role["id"], "scope": scope})
        policy = await made(api, "request-policies", {"role_id": role["id"], "scope": scope, "askers": [subject]})
        await api.call("DELETE", "clusters/prod")
        await made(api, "clusters", {"name": "prod"})
        asked = await api.call("GET", "explain?person=ann@example.com&cluster=prod&verb=get&resource=pods")
        assert asked.body["allowed"] is False
        wish = {"policy_id": policy["id"]}
        reply = await api.call("POST", f"people/{person['id']}/access-requests", wish)
        assert reply.code == "REQUEST_POLICY_NOT_FOUND"


async def test_a_kubeconfig_credential_is_no_key_to_the_admin_api(tmp_path: Path) -> None:
    """The seed's S4."""
    async with rig(tmp_path) as api:
        await made(api, "people", ANN)
        await made(api, "clusters", {"name": "prod"})
        issued = await made(api, "credentials", {"cluster": "prod", "person": "ann@example.com"})
        before = dict(api.store.snapshot.people)
        for route in ROUTES[:4]:
            reply = await api.call(route.method, route.path, None if route.body is None else {}, token=issued["token"])
            assert (reply.status, reply.code) == (401, "INVALID_TOKEN")
        assert api.store.snapshot.people == before  # no phantom either


@pytest.mark.parametrize(
    "name",
    [
        "system:masters",
        "SYSTEM:masters",
        "\uff53\uff59\uff53\uff54\uff45\uff4d\uff1amasters",  # full width
        "\u017fystem:masters",  # long s
        "s\u0301ystem:masters",  # an accent
        "sys\ufe0ftem:masters",  # a mark nobody sees
        "\u0455\u0443\u0455t\u0435m:masters",  # Cyrillic
        "system\u2236masters",  # a ratio sign
        "system\u200b:masters",  # a space without width
        " system:masters",
    ],
)
async def test_no_name_of_kubernetes_own_gets_in_by_any_door(tmp_path: Path, name: str) -> None:
    async with rig(tmp_path) as api:
        person = await made(api, "people", ANN)
        role = await made(api, "roles", {"name": "viewer", "groups": ["viewers"]})
        group = {"kind": "group", "id": name, "issuer": "https://login.example.com"}
        for method, path, body in (
            ("POST", "people", {**ANN, "subject": "2", "name": name}),
            ("POST", "people", {**ANN, "subject": "2", "name": "b", "groups": [name]}),
            ("PATCH", f"people/{person['id']}", {"groups": [name]}),
            ("POST", "roles", {"name": "r", "groups": [name]}),
            ("PATCH", f"roles/{role['id']}", {"groups": [name]}),
            ("POST", "bindings", {"subject": group, "role_id": role["id"], "scope": EVERYWHERE}),
            ("POST", "machines", {"name": name}),
            ("POST", "request-policies", {"role_id": role["id"], "scope": EVERYWHERE, "askers": [group]}),
            (
                "POST",
                "request-policies",
                {
                    "role_id": role["id"],
                    "scope": EVERYWHERE,
                    "askers": [{"kind": "person", "id": "x"}],
                    "approvers": [group],
                },
            ),
        ):
            assert (await api.call(method, path, body)).status == 422, (method, path)


async def test_names_that_only_remind_of_it_are_nobodys_business(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        groups = ["systems", "my-system:x", "сисадмины", "système", "op\u00e9rations"]
        assert (await made(api, "roles", {"name": "r", "groups": groups}))["groups"] == groups


async def test_the_last_administrator_is_not_removed(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        (binding,) = (await api.call("GET", "bindings")).body["items"]
        (machine,) = (await api.call("GET", "machines")).body["items"]
        for method, path, body in (
            ("DELETE", f"bindings/{binding['id']}", None),
            ("DELETE", f"machines/{machine['id']}", None),
            ("PATCH", f"roles/{binding['role_id']}", {"permissions": ["roles:read"]}),
        ):
            reply = await api.call(method, path, body)
            assert (reply.status, reply.code) == (409, "LAST_ADMINISTRATOR"), path
        assert [it.type for it in api.recorded] == []


async def test_the_last_administrator_is_neither_disabled_nor_deleted(tmp_path: Path) -> None:
    """A person, who was bound so; the machine through which it is tried may do everything but escalate."""
    async with rig(tmp_path) as api:
        person = await made(api, "people", ANN)
        role = await made(api, "roles", {"name": "admin", "permissions": [str(it) for it in Permission]})
        subject = {"kind": "person", "id": person["id"]}
        await made(api, "bindings", {"subject": subject, "role_id": role["id"], "scope": EVERYWHERE})
        token = await api.machine(*(it for it in Permission if it is not Permission.ROLES_ESCALATE))
        for machine in (await api.call("GET", "machines")).body["items"]:
            if not machine["name"].endswith(token[-8:]):
                assert (await api.call("DELETE", f"machines/{machine['id']}", token=token)).status == 204
        for method, path, body in (
            ("POST", f"people/{person['id']}/disable", {}),
            ("DELETE", f"people/{person['id']}", None),
        ):
            reply = await api.call(method, path, body, token=token)
            assert (reply.status, reply.code) == (409, "LAST_ADMINISTRATOR"), path
        kept = api.store.snapshot.people[person["id"]]
        assert (kept.enabled, kept.not_before) == (True, 0)
        assert (await api.call("POST", f"people/{person['id']}/revoke-credentials", {}, token=token)).status == 200


async def test_credentials_of_another_cluster_are_not_issued_seen_or_revoked(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        mine, other = await made(api, "clusters", {"name": "mine"}), await made(api, "clusters", {"name": "other"})
        gone = await made(api, "clusters", {"name": "gone"})
        person = await made(api, "people", ANN)
        held = {
            it: await made(api, "credentials", {"cluster": it, "person": person["id"]})
            for it in ("mine", "other", "gone")
        }
        await api.call("DELETE", "clusters/gone")
        token = await api.machine(
            Permission.CREDENTIALS_READ, Permission.CREDENTIALS_ISSUE, Permission.CREDENTIALS_REVOKE, scope=on(mine)
        )

        async def seen(query: str = "") -> list[str]:
            items = (await api.call("GET", f"credentials{query}", token=token)).body["items"]
            return [it["id"] for it in items]

        assert await seen() == await seen("?cluster=mine") == [held["mine"]["id"]]
        assert await seen("?state=revoked") == []
        for query in ("other", other["id"], gone["id"], "cluster_0", "none"):
            reply = await api.call("GET", f"credentials?cluster={query}", token=token)
            assert (reply.status, reply.code) == (404, "CLUSTER_NOT_FOUND"), query
        for known in (other["id"], gone["id"]):
            wish = {"cluster": known, "person": person["id"]}
            for path, body in (("credentials", wish), (f"clusters/{known}/revoke-credentials", {})):
                there = await api.call("POST", path, body, token=token)
                nowhere = {name: "cluster_none" if value == known else value for name, value in body.items()}
                absent = await api.call("POST", path.replace(known, "cluster_none"), nowhere, token=token)
                assert (there.status, there.code) == (404, "CLUSTER_NOT_FOUND"), path
                assert same(there, absent)
        absent = await api.call("DELETE", "credentials/credential_none", token=token)
        for name in ("other", "gone"):
            there = await api.call("DELETE", f"credentials/{held[name]['id']}", token=token)
            assert (there.status, there.code) == (404, "CREDENTIAL_NOT_FOUND")
            assert same(there, absent)
            assert there.body["detail"] == absent.body["detail"]
            assert not api.store.snapshot.revoked(held[name]["id"])
        assert api.store.snapshot.clusters[other["id"]].not_before == 0
        assert (await api.call("POST", f"people/{person['id']}/revoke-credentials", {}, token=token)).status == 403

        wish = {"cluster": "mine", "person": person["id"]}
        assert (await api.call("POST", "credentials", wish, token=token)).status == 201
        assert (await api.call("DELETE", f"credentials/{held['mine']['id']}", token=token)).status == 204
        assert (await api.call("POST", "clusters/mine/revoke-credentials", {}, token=token)).status == 200
        assert len(await seen("?state=revoked")) == 2
        assert (await api.call("DELETE", f"credentials/{held['gone']['id']}")).status == 204  # everywhere is everywhere


async def test_nobody_issues_themselves_a_stronger_person_or_wakes_one(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await made(api, "clusters", {"name": "prod"})
        person = await made(api, "people", ANN)
        role = await made(api, "roles", {"name": "operator", "groups": ["operators"]})
        strong = {"subject": {"kind": "person", "id": person["id"]}, "role_id": role["id"], "scope": EVERYWHERE}
        await made(api, "bindings", strong)
        desk = await api.machine(Permission.CREDENTIALS_ISSUE, Permission.PEOPLE_WRITE)
        wish = {"cluster": "prod", "person": person["id"]}
        refused = await api.call("POST", "credentials", wish, token=desk)
        assert (refused.status, refused.code) == (403, "ESCALATION_FORBIDDEN")
        assert "the group operators" in refused.body["detail"]
        assert api.recorded[-1].type is EventType.CREDENTIAL_ISSUE_FAILED
        assert (await api.call("GET", "credentials")).body["items"] == []
        assert (await api.call("POST", f"people/{person['id']}/disable", {}, token=desk)).status == 200
        woken = await api.call("POST", f"people/{person['id']}/enable", {}, token=desk)
        assert (woken.status, woken.code) == (403, "ESCALATION_FORBIDDEN")
        assert (await api.call("POST", f"people/{person['id']}/enable", {})).status == 200
        assert (await api.call("POST", "credentials", wish)).status == 201


async def test_a_permission_in_no_cluster_shows_no_credential(tmp_path: Path) -> None:
    """Neither by namespaces, which are less than a cluster, nor by a label that nothing has."""
    async with rig(tmp_path) as api:
        mine = await made(api, "clusters", {"name": "mine"})
        await made(api, "people", ANN)
        await made(api, "credentials", {"cluster": "mine", "person": "ann@example.com"})
        for scope in (
            Scope(ScopeKind.NAMESPACES, mine["id"], namespaces=("blue",)),
            Scope(ScopeKind.LABELS, labels=(("env", "dev"),)),
        ):
            token = await api.machine(Permission.CREDENTIALS_READ, scope=scope)
            assert (await api.call("GET", "credentials", token=token)).body == {"items": [], "next": None}


async def test_what_waits_for_a_deleted_person_is_closed(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        person = await made(api, "people", ANN)
        role = await made(api, "roles", {"name": "viewer", "groups": ["viewers"]})
        subject = {"kind": "person", "id": person["id"]}
        await made(api, "bindings", {"subject": subject, "role_id": role["id"], "scope": EVERYWHERE})
        more = await made(api, "roles", {"name": "editor", "groups": ["editors"]})
        policy = await made(api, "request-policies", {"role_id": more["id"], "scope": EVERYWHERE, "askers": [subject]})
        desk = await api.machine(Permission.ACCESS_REQUEST_FOR)
        wish = {"policy_id": policy["id"]}
        asked = await api.call("POST", f"people/{person['id']}/access-requests", wish, token=desk)
        assert (await api.call("DELETE", f"people/{person['id']}")).status == 204
        closed = (await api.call("GET", f"access-requests/{asked.body['id']}")).body
        assert (closed["state"], closed["note"]) == ("denied", "the person was deleted")
        assert all(it.subject.id != person["id"] for it in api.store.snapshot.bindings.values())
