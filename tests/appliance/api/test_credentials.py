"""Kubeconfig credentials through the admin API: who gets one, who sees which, and how each ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.api.routes import Proof
from appliance.api.table import ROUTES
from appliance.core.buckets import FAILURES_BURST
from appliance.core.credentials import SECOND, Credential
from appliance.core.events import EventType
from appliance.core.problems import Problem
from appliance.core.roles import Permission, Scope, ScopeKind, Subject, SubjectKind
from appliance.store import issuing, units
from appliance.store.store import Store
from tests.appliance.api.rig import NOW, Reply, Rig, rig
from tests.appliance.api.test_entities import ANN, made

pytestmark = pytest.mark.real_clock  # the store has a thread

BOB = {**ANN, "subject": "2", "name": "bob@example.com"}
SHOWN = "credentials/revoke-by-token"


async def furnish(api: Rig) -> None:
    for person in (ANN, BOB):
        await made(api, "people", person)
    for cluster in ("prod", "dev"):
        await made(api, "clusters", {"name": cluster})
    api.recorded.clear()


async def issued(api: Rig, person: str = "ann", cluster: str = "prod", **more: Any) -> dict[str, Any]:
    return await made(api, "credentials", {"cluster": cluster, "person": f"{person}@example.com", **more})


async def listed(api: Rig, query: str = "") -> list[str]:
    items = (await api.call("GET", f"credentials{query}")).body["items"]
    return [f"{it['person']} {it['cluster']} {it['state']}" for it in items]


def proven(api: Rig, token: str) -> Credential:
    found = api.verifier.verify(token.encode(), api.now)
    assert not isinstance(found, Problem)
    return found


def refused_now(api: Rig, token: str) -> bool:
    """What the proxy path would say of it, by the snapshot as it is at this moment."""
    it = proven(api, token)
    snapshot = api.store.snapshot
    person, cluster = snapshot.people.get(it.person_id), snapshot.clusters.get(it.cluster_id)
    if person is None or cluster is None or not person.enabled or snapshot.revoked(it.id):
        return True
    return it.issued_at <= max(person.not_before, cluster.not_before)


@pytest.mark.parametrize(
    ("kind", "seconds", "lives"),
    [("static", None, 8 * 3600), ("static", 8 * 3600, 8 * 3600), ("plugin", None, 900), ("plugin", 60, 60)],
)
async def test_each_kind_lives_as_long_as_it_may(tmp_path: Path, kind: str, seconds: int | None, lives: int) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        wanted: dict[str, Any] = {} if seconds is None else {"ttl_seconds": seconds}
        it = proven(api, (await issued(api, kind=kind, **wanted))["token"])
        assert it.expires_at - it.issued_at == lives * SECOND
        assert (await api.call("GET", "credentials")).body["items"][0]["kind"] == kind
        assert dict(api.recorded[-1].details)["kind"] == kind


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "plugin", "ttl_seconds": 901}, "ttl_seconds"),
        ({"ttl_seconds": 8 * 3600 + 1}, "ttl_seconds"),
        ({"ttl_seconds": 59}, "ttl_seconds"),
        ({"kind": "eternal"}, "kind"),
    ],
)
async def test_none_lives_longer(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        reply = await api.call("POST", "credentials", {"cluster": "prod", "person": "ann@example.com", **change})
        assert (reply.status, reply.body["field"]) == (422, field)


@pytest.mark.parametrize(
    ("change", "code"), [({"cluster": "gone"}, "CLUSTER_NOT_FOUND"), ({"person": "gone"}, "USER_NOT_FOUND")]
)
async def test_a_failed_issue_is_recorded(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        wanted = {"cluster": "prod", "person": "ann@example.com", **change}
        assert (await api.call("POST", "credentials", wanted)).code == code
        (event,) = api.recorded
        assert event.type is EventType.CREDENTIAL_ISSUE_FAILED
        assert dict(event.details) == {
            "person": wanted["person"],
            "cluster_named": wanted["cluster"],
            "reason": code,
        }


async def test_the_list_is_filtered_and_paged_and_holds_no_token(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        first = await issued(api, "ann", "prod", ttl_seconds=60)
        for person, cluster in (("ann", "dev"), ("bob", "prod"), ("bob", "dev")):
            api.now += 1
            await issued(api, person, cluster)
        await api.call("DELETE", f"credentials/{(await issued(api))['id']}")
        api.now += 60 * SECOND

        assert await listed(api, "?person=ann@example.com") == [
            "ann@example.com prod revoked",
            "ann@example.com dev live",
            "ann@example.com prod expired",
        ]
        assert await listed(api, "?cluster=dev&state=live") == ["bob@example.com dev live", "ann@example.com dev live"]
        assert await listed(api, "?state=expired") == ["ann@example.com prod expired"]

        seen: list[str] = []
        query = "?limit=2"
        while True:
            page = (await api.call("GET", f"credentials{query}")).body
            seen += [it["id"] for it in page["items"]]
            if page["next"] is None:
                break
            query = f"?limit=2&cursor={page['next']}"
        assert len(seen) == len(set(seen)) == 5
        assert seen[-1] == first["id"]
        assert first["token"] not in str((await api.call("GET", "credentials")).body)


async def test_what_was_deleted_is_still_listed_by_its_id(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        cluster_id = proven(api, (await issued(api))["token"]).cluster_id
        await api.call("DELETE", "clusters/prod")

        (it,) = (await api.call("GET", f"credentials?cluster={cluster_id}")).body["items"]
        assert (it["cluster"], it["state"]) == (None, "revoked")
        assert (await api.call("GET", "credentials?cluster=prod")).code == "CLUSTER_NOT_FOUND"


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "limit=%D9%A3", "state=dead", "a=b"])
async def test_a_list_that_cannot_be_meant_is_refused(tmp_path: Path, query: str) -> None:
    async with rig(tmp_path) as api:
        reply = await api.call("GET", f"credentials?{query}")
        assert (reply.status, reply.body["field"]) == (422, "?" + query.partition("=")[0])


async def test_all_of_a_person_are_refused_and_the_next_one_works(tmp_path: Path) -> None:
    """All within one microsecond."""
    async with rig(tmp_path) as api:
        await furnish(api)
        old = [(await issued(api, "ann", cluster))["token"] for cluster in ("prod", "dev")]
        other = (await issued(api, "bob"))["token"]
        reply = await api.call("POST", "people/ann@example.com/revoke-credentials", {"reason": "lost laptop"})

        assert reply.status == 200
        assert [refused_now(api, it) for it in [*old, other]] == [True, True, False]
        assert not refused_now(api, (await issued(api, "ann"))["token"])
        event = api.recorded[-2]
        assert event.type is EventType.CREDENTIAL_REVOKED
        assert {"all_of": "person", "person": "ann@example.com", "reason": "lost laptop"}.items() <= dict(
            event.details
        ).items()


async def test_all_of_a_cluster_are_refused_and_the_next_one_works(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        old = [(await issued(api, person, "prod"))["token"] for person in ("ann", "bob")]
        other = (await issued(api, "ann", "dev"))["token"]
        assert (await api.call("POST", "clusters/prod/revoke-credentials", {})).status == 200

        assert [refused_now(api, it) for it in [*old, other]] == [True, True, False]
        assert not refused_now(api, (await issued(api, "ann"))["token"])
        assert (await api.call("POST", "clusters/gone/revoke-credentials", {})).code == "CLUSTER_NOT_FOUND"


async def test_a_credential_of_the_second_before_a_disable_is_dead_after_enabling(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        old = (await issued(api))["token"]
        for step in ("disable", "enable"):
            assert (await api.call("POST", f"people/ann@example.com/{step}", {})).status == 200
        assert refused_now(api, old)
        assert not refused_now(api, (await issued(api))["token"])


async def test_a_cluster_of_the_same_name_revives_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        revoked, live = [await issued(api) for _ in range(2)]
        await api.call("DELETE", f"credentials/{revoked['id']}")
        await api.call("DELETE", "clusters/prod")
        await made(api, "clusters", {"name": "prod"})

        assert api.store.snapshot.revoked(revoked["id"])
        assert refused_now(api, revoked["token"])
        assert refused_now(api, live["token"])


async def shown(api: Rig, token: str) -> Reply:
    """Ask with nothing but the token."""
    return await api.call("POST", SHOWN, {"token": token}, headers={"Authorization": ""})


async def test_whoever_holds_a_token_may_have_it_revoked(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        it = await issued(api)
        api.called.clear()
        reply = await shown(api, it["token"])

        assert (reply.status, reply.body["id"], reply.body["state"]) == (200, it["id"], "revoked")
        (call,) = api.called
        assert (call.actor_id, call.path, call.correlation_id) == (
            "",
            f"/fairlead/v1/{SHOWN}",
            api.recorded[-1].correlation_id,
        )
        assert refused_now(api, it["token"])
        event = api.recorded[-1]
        assert (event.type, event.actor, event.credential_id) == (
            EventType.CREDENTIAL_REVOKED,
            "ann@example.com",
            it["id"],
        )
        assert (await shown(api, it["token"])).body["state"] == "already revoked"


async def test_an_expired_token_is_called_expired_and_still_ends_what_runs_on_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        it = await issued(api, ttl_seconds=60)
        api.now += 61 * SECOND
        assert (await shown(api, it["token"])).body["state"] == "expired"
        await api.store.poll()
        assert api.store.snapshot.revoked(it["id"])


async def test_a_token_of_a_deleted_cluster_can_be_revoked(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        it = await issued(api)
        await api.call("DELETE", "clusters/prod")
        assert (await shown(api, it["token"])).body["state"] == "revoked"


async def test_a_token_that_is_not_ours_learns_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path / "a") as api, rig(tmp_path / "b") as other:
        await furnish(api)
        await furnish(other)
        ours = (await issued(api))["token"]
        answers = []
        for token in ("x", "flm_x", ours[:-4] + "AAAA", ours + "x", (await issued(other))["token"], api.token):
            api.now += 60 * SECOND  # failed tries are limited
            reply = await shown(api, token)
            answers.append((reply.status, reply.code, reply.body["detail"]))
        assert len(set(answers)) == 1
        assert answers[0][:2] == (401, "INVALID_TOKEN")
        assert api.recorded[-1].type is EventType.CREDENTIAL_REVOKE_DENIED
        assert ours not in str(api.recorded)
        assert not refused_now(api, ours)


async def test_guessing_tokens_is_limited(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        ours = (await issued(api))["token"]
        codes = [(await shown(api, f"x{number}")).code for number in range(FAILURES_BURST + 1)]
        assert codes == ["INVALID_TOKEN"] * FAILURES_BURST + ["RATE_LIMITED"]
        assert (await shown(api, ours)).code == "RATE_LIMITED"


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": "x" * 5000}, {"token": 7}, {"token": "a", "id": "b"}])
async def test_revoking_by_token_takes_one_token(tmp_path: Path, body: dict[str, Any]) -> None:
    async with rig(tmp_path) as api:
        assert (await api.call("POST", SHOWN, body, headers={"Authorization": ""})).status == 422


async def test_a_credential_that_is_not_there_is_not_revoked_and_that_is_recorded(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        for named, kept in (("credential_none", "credential_none"), ("%0aforged", "")):
            assert (await api.call("DELETE", f"credentials/{named}")).code == "CREDENTIAL_NOT_FOUND"
            assert (api.recorded[-1].type, api.recorded[-1].credential_id) == (
                EventType.CREDENTIAL_REVOKE_DENIED,
                kept,
            )


async def test_revoking_and_disabling_at_once_leave_one_whole_story(tmp_path: Path) -> None:
    """Issues and refusals that race: what is answered first is refused, what is answered after the last lives."""
    async with rig(tmp_path) as api:
        await furnish(api)
        tokens: list[str] = []

        async def issue_some() -> None:
            tokens.extend([(await issued(api))["token"] for _ in range(10)])

        async def refuse() -> None:
            await api.call("POST", "people/ann@example.com/revoke-credentials", {})

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(issue_some)
            nursery.start_soon(refuse)
        not_before = api.store.snapshot.person_by_name["ann@example.com"].not_before
        assert all(refused_now(api, it) == (proven(api, it).issued_at <= not_before) for it in tokens)
        await refuse()
        assert all(refused_now(api, it) for it in tokens)
        assert not refused_now(api, (await issued(api))["token"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda it: f"{it.method} {it.path}")
async def test_no_route_takes_another_kind_of_token(tmp_path: Path, route: Any) -> None:
    """Not a kubeconfig credential, not a bootstrap token, not one that has expired, not a machine's without rights."""
    async with rig(tmp_path) as api:
        await furnish(api)
        path = "/fairlead/v1/" + route.path.replace("<", "").replace(">", "")
        kubeconfig = (await issued(api))["token"]
        without = await api.machine()
        expired = await api.machine(*Permission, expires_at=NOW)
        api.recorded.clear()
        body = {"name": "x"} if route.body is not None else None
        for token, status in ((kubeconfig, 401), ("flb_" + "x" * 43, 401), (expired, 401), ("", 401), (without, 403)):
            if route.proof is Proof.MACHINE and token == without:
                continue  # it is one, and what it needs it has not: that is the answer's subject
            if route.proof is not Proof.SHOWN_IN_BODY:
                reply = await api.call(route.method, path, body, token=token)
                assert reply.status == status, (token[:4], reply.body)
            else:
                reply = await api.call(route.method, path, body, token=token)
                assert reply.status == 422, "the header does not matter, and the body holds no token"
        assert {it.type for it in api.recorded} <= {EventType.API_DENIED}


async def test_nothing_is_revoked_that_cannot_be_recorded_and_nonsense_is_not_recorded(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        it = await issued(api)
        api.called.clear()
        assert (await api.call("POST", SHOWN, {"token": 7}, headers={"Authorization": ""})).status == 422
        assert api.called == []
        api.audit_broken = True
        assert (await shown(api, it["token"])).code == "AUDIT_UNAVAILABLE"
        api.audit_broken = False
        assert not refused_now(api, it["token"])


async def test_a_machine_token_in_the_body_revokes_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        assert (await shown(api, api.token)).code == "INVALID_TOKEN"
        assert (await api.call("GET", "clusters")).status == 200


async def test_a_revocation_by_another_process_is_in_the_snapshot_with_the_next_look(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        first, second = await issued(api), await issued(api, "bob")
        other = await Store.open(tmp_path / "data" / "fairlead.db")
        await other.write(units.revoke_credential(first["id"], "by hand", NOW))
        await other.write(issuing.refuse_person(proven(api, second["token"]).person_id, NOW))
        await other.aclose()
        await api.store.poll()
        assert refused_now(api, first["token"])
        assert refused_now(api, second["token"])


async def test_a_permission_on_one_cluster_counts_there_only(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        prod = api.store.snapshot.cluster_by_name["prod"].id
        here, there = await issued(api, "ann", "prod"), await issued(api, "ann", "dev")
        token = await api.machine(*Permission, scope=Scope(ScopeKind.CLUSTER, prod))

        async def call(method: str, path: str, body: Any = None) -> Reply:
            return await api.call(method, path, body, token=token)

        assert (await call("POST", "credentials", {"cluster": "prod", "person": "ann@example.com"})).status == 201
        elsewhere = await call("POST", "credentials", {"cluster": "dev", "person": "ann@example.com"})
        assert elsewhere.code == "CLUSTER_NOT_FOUND"
        assert [it["cluster"] for it in (await call("GET", "credentials?cluster=prod")).body["items"]] == ["prod"] * 2
        assert (await call("GET", "credentials?cluster=dev")).code == "CLUSTER_NOT_FOUND"
        assert [it["cluster"] for it in (await call("GET", "credentials")).body["items"]] == ["prod"] * 2
        assert (await call("DELETE", f"credentials/{there['id']}")).code == "CREDENTIAL_NOT_FOUND"
        assert (await call("POST", "clusters/dev/revoke-credentials", {})).code == "CLUSTER_NOT_FOUND"
        assert (await call("POST", "people/ann@example.com/revoke-credentials", {})).code == "FORBIDDEN"
        assert not refused_now(api, there["token"])
        assert (await call("DELETE", f"credentials/{here['id']}")).status == 204
        assert (await call("POST", "clusters/prod/revoke-credentials", {})).status == 200


async def test_deleting_the_last_administrator_is_refused(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        await furnish(api)
        role = await made(api, "roles", {"name": "chief", "permissions": ["roles:escalate"]})
        ann = api.store.snapshot.person_by_name["ann@example.com"]
        subject = {"kind": "person", "id": ann.id}
        await made(api, "bindings", {"subject": subject, "role_id": role["id"], "scope": {"kind": "everywhere"}})
        helper = await api.machine(Permission.PEOPLE_WRITE)
        (own,) = api.store.snapshot.bindings_of(
            next(
                Subject(SubjectKind.MACHINE, it.id)
                for it in api.store.snapshot.machines.values()
                if it.name.endswith(api.token[-8:])
            )
        )
        assert (await api.call("DELETE", f"bindings/{own.id}")).status == 204
        refused = await api.call("DELETE", "people/ann@example.com", token=helper)
        assert (refused.status, refused.code) == (409, "LAST_ADMINISTRATOR")
        assert (await api.call("DELETE", "people/bob@example.com", token=helper)).status == 204
