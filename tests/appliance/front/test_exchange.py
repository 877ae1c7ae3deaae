"""authenticate, admit, understand, decide, record: what each step refuses, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from appliance.core.buckets import Admission
from appliance.core.clusters import Cluster
from appliance.core.events import EventType
from appliance.core.snapshot import Entity
from appliance.front.exchange import Route
from tests.appliance.front.rig import CLUSTER, Rig, answer, answers_hello, fronted
from wire.session import Exchange

pytestmark = [pytest.mark.real_clock, pytest.mark.usefixtures("way")]


async def refused(rig: Rig, raw: bytes) -> tuple[int, str]:
    talk = await rig.dial()
    await talk.say(raw)
    said = await talk.answer()
    assert rig.tunnel.in_flight == 0, "nothing was opened towards the agent"
    return said.status, said["X-Fairlead-Error-Code"]


@pytest.mark.parametrize(
    ("target", "cluster", "rest"),
    [
        (b"/api/proxy/cl_1/api/v1/pods?limit=5", "cl_1", b"/api/v1/pods?limit=5"),
        (b"/api/proxy/cl_1", "cl_1", b"/"),
        (b"/api/proxy/cl_1?x=/y", "cl_1", b"/?x=/y"),
        (b"/api/proxy/", "", b"/"),
        (b"/api/proxy/cl_1//api", "cl_1", b"//api"),
    ],
)
def test_the_cluster_is_the_first_segment_and_the_rest_is_not_touched(target: bytes, cluster: str, rest: bytes) -> None:
    assert Route.of(target) == Route(cluster, rest)


async def test_a_token_that_is_not_ours_is_refused_and_counted_per_address(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        forged = rig.mint()[:-4] + "AAAA"
        answers = [await refused(rig, rig.get("/api/v1/pods", token=forged)) for _ in range(22)]
        assert answers[0] == (401, "INVALID_TOKEN")
        assert answers[-1] == (429, "RATE_LIMITED")
        assert (await rig.ask("/api/v1/pods")).status == 429, "a token not yet proven waits too"


async def test_a_proven_token_works_although_its_address_fails(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        assert (await rig.ask("/api/v1/pods")).status == 200
        for _ in range(22):
            await refused(rig, rig.get("/api/v1/pods", token="eyJhbGciOiJub25lIn0.e30.x"))
        assert (await rig.ask("/api/v1/pods")).status == 200


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer a b", "Bearer a, Bearer b"])
async def test_only_one_bearer_token_is_a_credential(tmp_path: Path, value: str) -> None:
    async with fronted(tmp_path) as rig:
        raw = f"GET /api/proxy/cl_1/api HTTP/1.1\r\nHost: x\r\nAuthorization: {value}\r\n\r\n".encode()
        assert await refused(rig, raw) == (401, "INVALID_TOKEN")


async def test_two_authorization_headers_are_none(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        raw = rig.get("/api", f"Authorization: Bearer {rig.token}")
        assert await refused(rig, raw) == (401, "INVALID_TOKEN")


async def test_a_credential_opens_its_own_cluster_only(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        token = rig.mint("cr_2", cluster="cl_2")
        assert await refused(rig, rig.get("/api/v1/pods", token=token)) == (404, "CLUSTER_NOT_FOUND")
        rig.store.snapshot.put(Entity.CLUSTER, "cl_2", Cluster("cl_2", "other"))
        await rig.event(EventType.PROXY_DENIED)
        assert await refused(rig, rig.get("/api/v1/pods", token=token)) == (403, "CLUSTER_MISMATCH")
        denied = await rig.event(EventType.PROXY_DENIED)
        assert (denied.cluster_id, denied.credential_id, denied.rule) == (CLUSTER, "cr_2", "credential")


async def test_an_expired_credential_is_401(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        expired = rig.get("/api/v1/pods", token=rig.mint("cr_2", expires_in=-5))
        assert await refused(rig, expired) == (401, "CREDENTIAL_EXPIRED")


@pytest.mark.parametrize("path", ["/api/v1//pods", "/api/v1/../pods", "/api/v1/pods%2fx", "/api/v1/a%5Cb", "/a%00"])
async def test_a_target_with_two_readings_is_refused(tmp_path: Path, path: str) -> None:
    async with fronted(tmp_path) as rig:
        assert (await refused(rig, rig.get(path)))[1] == "BAD_REQUEST"


async def test_without_a_binding_everything_is_denied(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        rig.store.snapshot.put(Entity.BINDING, "bi_1", None)
        said = await rig.ask("/api/v1/namespaces/web/pods", method="POST", body=b"{}")
        assert (said.status, json.loads(said.body)["reason"]) == (403, "Forbidden")
        denied = await rig.event(EventType.PROXY_DENIED)
        assert (denied.code, denied.verb, denied.namespace) == ("NO_ROLE_ASSIGNMENT", "create", "web")
        assert denied.status == 403


async def test_a_stale_store_decides_nothing(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        rig.store.is_fresh = False
        assert await refused(rig, rig.get("/api/v1/pods")) == (503, "STORE_STALE")


async def test_too_many_requests_are_told_when_to_come_back(tmp_path: Path) -> None:
    async with fronted(tmp_path, admission=Admission(per_second=1, burst=2)) as rig:
        said = [await rig.ask("/api/v1/pods") for _ in range(4)]
        assert [it.status for it in said[:2]] == [200, 200]
        assert (said[-1].status, int(said[-1]["Retry-After"]) >= 1) == (429, True)
        assert json.loads(said[-1].body)["details"]["retryAfterSeconds"] >= 1


async def test_an_open_slot_comes_back_when_its_exchange_ends(tmp_path: Path) -> None:
    async with fronted(tmp_path, admission=Admission(max_open=1)) as rig:
        for _ in range(3):
            assert (await rig.ask("/api/v1/pods")).status == 200
        assert rig.parts.admission.open_exchanges("pe_1", CLUSTER) == 0


async def test_no_audit_no_access(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says it once, in a sentence, however many are refused."""
    async with fronted(tmp_path) as rig:
        rig.ledger.available = False
        assert await refused(rig, rig.get("/api/v1/pods")) == (503, "AUDIT_UNAVAILABLE")
        assert await refused(rig, rig.get("/api/v1/pods", method="POST")) == (503, "AUDIT_UNAVAILABLE")
    (told,) = [it for it in caplog.records if "requests are refused" in it.getMessage()]
    assert told.exc_info is None


async def test_a_change_is_on_record_before_its_first_byte_enters_the_tunnel(tmp_path: Path) -> None:
    seen: list[list[EventType]] = []
    rigs: list[Rig] = []

    async def agent(tunnel: Exchange) -> None:
        seen.append([event.type for event in rigs[0].ledger.events])
        await answer(tunnel, 201, b"{}")

    async with fronted(tmp_path, agent) as rig:
        rigs.append(rig)
        await rig.ask("/api/v1/namespaces/web/pods", "Kubectl-Session: abc-1", method="POST", body=b"{}")
        assert seen == [[EventType.PROXY_OPENED]]
        opened, closed = await rig.event(EventType.PROXY_OPENED), await rig.event(EventType.PROXY_CLOSED)
        assert (opened.correlation_id, opened.kubectl_session) == (closed.correlation_id, "abc-1")
        assert (closed.status, closed.bytes_in, closed.bytes_out, closed.duration > 0) == (201, 2, 2, True)


async def test_a_change_whose_record_fails_never_enters_the_tunnel(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:

        async def fails(_: object) -> None:
            await trio.lowlevel.checkpoint()
            raise RuntimeError("the disk is gone")

        rig.ledger.record = fails  # type: ignore[method-assign,assignment]  # a disk that fails on commit
        assert await refused(rig, rig.get("/api/v1/x", method="DELETE")) == (503, "AUDIT_UNAVAILABLE")
        assert (await rig.event(EventType.PROXY_CLOSED)).code == "AUDIT_UNAVAILABLE"


async def test_discovery_is_counted_and_not_recorded(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        assert (await rig.ask("/apis")).status == 200
        assert (await rig.ask("/version")).status == 200
        assert (rig.ledger.counted, rig.ledger.events) == (2, [])


async def test_the_trace_of_the_caller_is_kept(tmp_path: Path) -> None:
    async with fronted(tmp_path, answers_hello) as rig:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        said = await rig.ask("/api/v1/pods", f"traceparent: 00-{trace}-00f067aa0ba902b7-01")
        assert said["X-Correlation-Id"] == trace
        assert (await rig.event(EventType.PROXY_CLOSED)).correlation_id == trace
