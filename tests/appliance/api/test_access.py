"""Machines, policies, access requests and questions, through the admin API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.core.explain import MAX_PEOPLE
from appliance.core.roles import Permission, Scope, ScopeKind
from tests.appliance.api.rig import HOUR, NOW, Rig, rig
from tests.appliance.api.test_rights import ANN, EVERYWHERE, made, on

pytestmark = pytest.mark.real_clock


def codes(api: Rig, *, start: int = 0) -> list[str]:
    return [str(it.type) for it in api.recorded[start:]]


async def test_a_machine_is_made_used_and_removed(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        machine = await made(api, "machines", {"name": "ci", "ttl_seconds": 3600})
        token = machine.pop("token")
        assert (machine["expires_at"], machine["name"]) == ("2027-01-15T09:00:00Z", "ci")
        assert token not in str((await api.call("GET", "machines")).body)
        assert token not in str(api.recorded)
        assert machine["created_by"] == api.recorded[0].actor_id
        assert (await api.call("GET", "roles", token=token)).code == "FORBIDDEN"

        role = await made(api, "roles", {"name": "reader", "permissions": ["roles:read"]})
        subject = {"kind": "machine", "id": machine["id"]}
        await made(api, "bindings", {"subject": subject, "role_id": role["id"], "scope": EVERYWHERE})
        assert (await api.call("GET", "roles", token=token)).status == 200
        assert (await api.call("POST", "machines", {"name": "ci"})).code == "DUPLICATE_MACHINE_NAME"
        assert (await api.call("POST", "machines", {"name": "x", "ttl_seconds": 366 * 86400})).status == 422

        api.now = NOW + HOUR
        assert (await api.call("GET", "roles", token=token)).code == "INVALID_TOKEN"
        assert (await api.call("DELETE", f"machines/{machine['id']}")).status == 204
        assert not [it for it in api.store.snapshot.bindings.values() if it.subject.id == machine["id"]]
        assert (await api.call("DELETE", "machines/none")).code == "MACHINE_NOT_FOUND"
        assert [it for it in codes(api) if it != "CUA009W"] == ["CUA007I", "CRL001I", "CUA002I", "CUA008I"]


async def test_a_role_and_a_person_are_changed(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        role = await made(api, "roles", {"name": "viewer", "groups": ["viewers"]})
        edited = await api.call("PATCH", f"roles/{role['id']}", {"name": "watcher", "groups": ["watchers"]})
        assert (edited.body["name"], edited.body["groups"], edited.body["id"]) == ("watcher", ["watchers"], role["id"])
        await made(api, "roles", {"name": "taken"})
        assert (await api.call("PATCH", f"roles/{role['id']}", {"name": "taken"})).code == "DUPLICATE_ROLE_NAME"
        assert (await api.call("PATCH", "roles/none", {})).code == "ROLE_NOT_FOUND"
        await made(api, "people", ANN)
        person = await api.call("PATCH", "people/ann@example.com", {"groups": ["dev"]})
        assert (person.body["groups"], person.body["email"]) == (["dev"], "ann@example.com")
        assert codes(api) == ["CRL001I", "CRL002I", "CRL001I", "CUA004I", "CUA020I"]


async def test_someone_not_yet_seen_is_bound_by_their_email(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        role = await made(api, "roles", {"name": "viewer", "groups": ["viewers"]})
        subject = {"kind": "email", "id": "Ann@Example.com", "issuer": ANN["issuer"]}
        body = {"subject": subject, "role_id": role["id"], "scope": EVERYWHERE}
        waiting = await made(api, "bindings", body)
        assert waiting["subject"]["id"] == "ann@example.com"
        for bad in ("ann", "a nn@example.com", "\u0430nn@example.com"):
            assert (await api.call("POST", "bindings", {**body, "subject": {**subject, "id": bad}})).status == 422
        person = await made(api, "people", {**ANN, "email_verified": True})
        (claimed,) = (it for it in (await api.call("GET", "bindings")).body["items"] if it["id"] == waiting["id"])
        assert claimed["subject"] == {"kind": "person", "id": person["id"]}
        assert codes(api)[-2:] == ["CUA004I", "CUA021I"]


class Office:
    """A desk that asks for Ann, two approvers, and a policy that wants both."""

    def __init__(self, api: Rig) -> None:
        self.api = api

    async def open(self, **fields: Any) -> None:
        self.person = await made(self.api, "people", ANN)
        self.cluster = await made(self.api, "clusters", {"name": "prod"})
        self.role = await made(self.api, "roles", {"name": "operator", "groups": ["operators"]})
        scope = on(self.cluster)
        self.desk = await self.api.machine(Permission.ACCESS_REQUEST_FOR, Permission.ACCESS_READ, scope=scope)
        self.eve = await self.api.machine(Permission.ACCESS_APPROVE, Permission.ACCESS_READ, scope=scope)
        self.fay = await self.api.machine(Permission.ACCESS_APPROVE, scope=scope)
        body = {
            "role_id": self.role["id"],
            "scope": {"kind": "cluster", "cluster_id": self.cluster["id"]},
            "askers": [{"kind": "person", "id": self.person["id"]}],
            "approvals": 2,
            "max_seconds": 3600,
            "reason_required": True,
            **fields,
        }
        self.policy = await made(self.api, "request-policies", body)

    async def ask(self) -> dict[str, Any]:
        wish = {"policy_id": self.policy["id"], "reason": "incident 7", "ttl_seconds": 600}
        reply = await self.api.call("POST", "people/ann@example.com/access-requests", wish, token=self.desk)
        assert reply.status == 201, reply.body
        answer: dict[str, Any] = reply.body
        return answer

    async def may(self) -> bool:
        query = "person=ann@example.com&cluster=prod&verb=create&resource=pods&subresource=exec&name=web&namespace=x"
        reply = await self.api.call("GET", f"explain?{query}")
        allowed: bool = reply.body["allowed"]
        return allowed


async def test_access_for_a_while_from_asking_to_revoking(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.open()
        start = len(api.recorded)
        asked = await office.ask()
        assert (asked["state"], asked["scope"]["kind"], asked["ttl_seconds"]) == ("pending", "cluster", 600)
        path = f"access-requests/{asked['id']}"
        assert not await office.may()
        first = await api.call("POST", f"{path}/approve", {}, token=office.eve)
        assert (first.body["state"], len(first.body["approvals"])) == ("pending", 1)
        assert not await office.may()
        second = await api.call("POST", f"{path}/approve", {"ttl_seconds": 300}, token=office.fay)
        assert (second.body["state"], second.body["until"]) == ("approved", "2027-01-15T08:05:00Z")
        assert await office.may()
        revoked = await api.call("POST", f"{path}/revoke", {"reason": "done"}, token=office.eve)
        assert (revoked.body["state"], revoked.body["note"]) == ("revoked", "done")
        assert not await office.may()
        assert codes(api, start=start) == ["CAR001I", "CAR006I", "CAR002I", "CAR004I"]
        first_record = dict(api.recorded[start].details)
        assert first_record["requester"] == "ann@example.com"
        assert (first_record["role"], first_record["reason"], first_record["seconds"]) == (
            "operator",
            "incident 7",
            "600",
        )
        assert api.recorded[start].cluster == "prod"


async def test_a_denied_request_stays_denied(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.open()
        asked = await office.ask()
        path = f"access-requests/{asked['id']}"
        assert (await api.call("POST", f"{path}/deny", {}, token=office.eve)).status == 422  # without a reason
        denied = await api.call("POST", f"{path}/deny", {"reason": "not today"}, token=office.eve)
        assert (denied.body["state"], denied.body["closed_by"]) == ("denied", api.recorded[-1].actor)
        reply = await api.call("POST", f"{path}/approve", {}, token=office.fay)
        assert (reply.status, reply.code) == (409, "REQUEST_NOT_PENDING")
        assert "denied" in reply.body["detail"]
        assert codes(api)[-1] == "CAR003W"


async def test_the_clock_ends_a_grant_without_any_sweep(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.open(approvals=1)
        asked = await office.ask()
        await api.call("POST", f"access-requests/{asked['id']}/approve", {}, token=office.eve)
        assert await office.may()
        api.now = NOW + 600 * 1_000_000
        assert not await office.may()  # nobody has swept yet
        assert (await api.call("GET", f"access-requests/{asked['id']}", token=office.eve)).body["state"] == "expired"


async def test_requests_and_policies_are_seen_where_one_may_see(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.open()
        asked = await office.ask()
        other = await made(api, "clusters", {"name": "other"})
        stranger = await api.machine(
            Permission.ACCESS_READ,
            Permission.ACCESS_APPROVE,
            Permission.POLICIES_READ,
            Permission.POLICIES_WRITE,
            scope=on(other),
        )
        for token, seen in ((office.desk, True), (office.eve, True), (stranger, False), (None, True)):
            items = (await api.call("GET", "access-requests?state=pending", token=token)).body["items"]
            assert [it["id"] for it in items] == ([asked["id"]] if seen else [])
        assert (await api.call("GET", "access-requests?state=denied")).body["items"] == []
        assert (await api.call("GET", "access-requests?state=x")).status == 422
        assert (await api.call("GET", "request-policies", token=stranger)).body["items"] == []
        assert [it["id"] for it in (await api.call("GET", "request-policies")).body["items"]] == [office.policy["id"]]
        tries: tuple[tuple[str, str, Any], ...] = (
            ("GET", "access-requests/{}", None),
            ("POST", "access-requests/{}/approve", {}),
            ("POST", "access-requests/{}/deny", {"reason": "x"}),
            ("POST", "access-requests/{}/revoke", {}),
        )
        for method, path, body in tries:
            there = await api.call(method, path.format(asked["id"]), body, token=stranger)
            nowhere = await api.call(method, path.format("request_none"), body, token=stranger)
            assert (there.status, there.code, there.body["detail"]) == (
                404,
                "REQUEST_NOT_FOUND",
                nowhere.body["detail"],
            )
        for method, changes in (("PATCH", {"approvals": 1}), ("DELETE", None)):
            reply = await api.call(method, f"request-policies/{office.policy['id']}", changes, token=stranger)
            assert (reply.status, reply.code) == (404, "REQUEST_POLICY_NOT_FOUND")


async def test_a_policy_is_changed_and_removed(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        await office.open()
        asked = await office.ask()
        path = f"request-policies/{office.policy['id']}"
        edited = await api.call("PATCH", path, {"approvals": 1, "max_seconds": 7200})
        assert (edited.body["approvals"], edited.body["max_seconds"]) == (1, 7200)
        assert edited.body["askers"] == office.policy["askers"]
        assert (await api.call("DELETE", path)).status == 204
        assert (await api.call("GET", f"access-requests/{asked['id']}")).body["state"] == "denied"
        refused: tuple[dict[str, Any], ...] = (
            {"askers": []},
            {"askers": [{"kind": "email", "id": "a@example.com", "issuer": "i"}]},
            {"approvals": 3},
            {"approvals": 0},
            {"max_seconds": 31 * 86400},
        )
        for body in refused:
            assert (await api.call("PATCH", path, body)).status == 422
        assert [it for it in codes(api) if it.startswith("CAR00")] == ["CAR007I", "CAR001I", "CAR008I", "CAR009I"]


async def test_a_machine_asks_for_itself(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        office = Office(api)
        token = await api.machine(Permission.ACCESS_REQUEST)
        (me,) = (it.id for it in api.store.snapshot.machines.values() if it.name.endswith(token[-8:]))
        await office.open(askers=[{"kind": "machine", "id": me}])
        wish = {"policy_id": office.policy["id"], "reason": "nightly"}
        asked = await api.call("POST", "access-requests", wish, token=token)
        assert (asked.status, asked.body["subject"], asked.body["asked_by"]["id"]) == (
            201,
            {"kind": "machine", "id": me},
            me,
        )
        assert asked.body["ttl_seconds"] == 3600
        again = await api.call("POST", "access-requests", wish, token=token)
        assert (again.status, again.code, again.body["requestId"]) == (409, "PENDING_REQUEST_EXISTS", asked.body["id"])
        reply = await api.call("POST", "people/ann@example.com/access-requests", wish, token=office.desk)
        assert reply.code == "REQUEST_POLICY_NOT_FOUND"  # the policy is not for her, which is not hers to know
        unknown = await api.call("POST", "access-requests", {**wish, "policy_id": "none"}, token=token)
        assert unknown.body["detail"] == reply.body["detail"]


async def test_why_and_who(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        ann = await made(api, "people", {**ANN, "groups": ["dev"]})
        await made(api, "people", {**ANN, "subject": "2", "name": "ben@example.com"})
        prod, other = await made(api, "clusters", {"name": "prod"}), await made(api, "clusters", {"name": "other"})
        rule = {"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["deployments"]}
        role = await made(api, "roles", {"name": "viewer", "groups": ["viewers"], "rules": [rule]})
        spaces = {"kind": "namespaces", "cluster_id": prod["id"], "namespaces": ["blue"]}
        here = await made(
            api,
            "bindings",
            {
                "subject": {"kind": "group", "id": "dev", "issuer": ANN["issuer"]},
                "role_id": role["id"],
                "scope": spaces,
            },
        )
        there = await made(
            api,
            "bindings",
            {
                "subject": {"kind": "person", "id": ann["id"]},
                "role_id": role["id"],
                "scope": {"kind": "cluster", "cluster_id": other["id"]},
            },
        )
        what = "cluster=prod&verb=get&group=apps&resource=deployments&name=web"
        yes = await api.call("GET", f"explain?person=ann@example.com&namespace=blue&{what}")
        assert (yes.body["allowed"], yes.body["groups"]) == (True, ["viewers"])
        assert {it["id"]: it["verdict"] for it in yes.body["bindings"]} == {
            here["id"]: "allows",
            there["id"]: "it holds on other clusters",
        }
        no = await api.call("GET", f"explain?person=ann@example.com&namespace=green&{what}")
        assert no.body["allowed"] is False
        assert [it["verdict"] for it in no.body["bindings"] if it["id"] == here["id"]] == [
            "it holds in other namespaces"
        ]
        assert no.body["request"]["namespace"] == "green"

        who = await api.call("GET", f"who-can?namespace=blue&{what}")
        (item,) = who.body["items"]
        assert (item["id"], [it["name"] for it in item["people"]]) == (here["id"], ["ann@example.com"])
        assert item["truncated"] is False
        assert (await api.call("GET", f"who-can?namespace=green&{what}")).body["items"] == []
        paths = await api.call("GET", "who-can?cluster=prod&verb=get&path=/version")
        assert [it["id"] for it in paths.body["items"]] == [here["id"]]

        # With the permission for one cluster: what lies elsewhere is not shown, nor who else is known.
        token = await api.machine(Permission.BINDINGS_READ, scope=Scope(ScopeKind.CLUSTER, prod["id"]))
        seen = await api.call("GET", f"explain?person=ann@example.com&namespace=blue&{what}", token=token)
        assert [it["id"] for it in seen.body["bindings"]] == [here["id"]]
        for name in ("ben@example.com", "nobody"):
            reply = await api.call("GET", f"explain?person={name}&namespace=blue&{what}", token=token)
            assert (reply.status, reply.code) == (404, "USER_NOT_FOUND")


async def test_of_a_large_group_some_are_named(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await made(api, "clusters", {"name": "prod"})
        role = await made(api, "roles", {"name": "viewer", "groups": ["viewers"]})
        group = {"kind": "group", "id": "dev", "issuer": ANN["issuer"]}
        everywhere = {"kind": "everywhere"}
        here = await made(api, "bindings", {"subject": group, "role_id": role["id"], "scope": everywhere})
        for number in reversed(range(MAX_PEOPLE + 1)):
            person = {"subject": f"{number}", "name": f"dev{number:03}@example.com", "groups": ["dev"]}
            await made(api, "people", {**ANN, **person})
            if number == 1:
                (found,) = (await api.call("GET", "who-can?cluster=prod&verb=get&resource=pods")).body["items"]
                assert (found["truncated"], len(found["people"])) == (False, MAX_PEOPLE)
        (found,) = (await api.call("GET", "who-can?cluster=prod&verb=get&resource=pods")).body["items"]
        assert (found["id"], found["truncated"]) == (here["id"], True)
        assert [it["name"] for it in found["people"]] == [f"dev{it:03}@example.com" for it in range(MAX_PEOPLE)]


@pytest.mark.parametrize(
    "query",
    [
        "verb=get&resource=pods",
        "cluster=prod&resource=pods",
        "cluster=prod&verb=impersonate&resource=users",
        "cluster=prod&verb=get",
        "cluster=prod&verb=get&resource=pods/exec",
        "cluster=prod&verb=get&resource=..",
        "cluster=prod&verb=get&resource=pods&subresource=log",
        "cluster=prod&verb=get&path=/version&resource=pods",
        "cluster=prod&verb=get&path=/api/v1/pods",
        "cluster=prod&verb=get&path=version",
        "cluster=prod&verb=get&resource=pods&colour=red",
    ],
)
async def test_a_question_that_means_nothing_is_refused(tmp_path: Path, query: str) -> None:
    async with rig(tmp_path) as api:
        await made(api, "clusters", {"name": "prod"})
        assert (await api.call("GET", f"who-can?{query}")).status == 422
