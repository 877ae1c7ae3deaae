"""Requests served where their bytes are seen: what they leave behind, and when a task goes on with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from appliance.core.buckets import Admission
from appliance.core.events import EventType
from tests.appliance.front.rig import CLUSTER, answer, answers_hello, fronted, until
from wire.frames import ResetCode
from wire.session import Exchange

pytestmark = pytest.mark.real_clock


async def test_an_answer_that_is_whole_needs_no_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_task(*_: object) -> None:
        raise AssertionError("a task was needed")

    async with fronted(tmp_path) as rig:
        monkeypatch.setattr("appliance.front.listener.exchange", no_task)
        talk = await rig.dial()
        for _ in range(3):
            await talk.say(rig.get("/api/v1/pods"))
            said = await talk.answer()
            assert (said.status, said.body) == (200, b'{"hello":"world"}')
    closed = [event for event in rig.ledger.events if event.type is EventType.PROXY_CLOSED]
    assert [(event.status, event.bytes_out) for event in closed] == [(200, 17)] * 3


async def test_a_reader_that_pauses_gets_every_answer_whole(tmp_path: Path) -> None:
    body = bytes(range(256)) * 60

    async def agent(tunnel: Exchange) -> None:
        await answer(tunnel, 200, body)

    async with fronted(tmp_path, agent, admission=Admission(per_second=100_000, burst=100_000)) as rig:
        talk = await rig.dial()
        sent = 0
        blocked = False
        while not blocked:
            await talk.say(rig.get("/api/v1/pods"))
            sent += 1
            with trio.move_on_after(1) as waited:
                await until(lambda sent=sent: len(rig.ledger.events) >= sent)  # type: ignore[misc]
            blocked = waited.cancelled_caught  # the kernel takes no more for a reader that stopped
            assert sent < 5_000
        assert (await rig.ask("/api/v1/pods")).body == body, "a neighbour is served meanwhile"
        for _ in range(sent):
            assert (await talk.answer()).body == body


async def test_requests_that_come_while_one_is_under_way_are_answered_in_order(tmp_path: Path) -> None:
    async def agent(tunnel: Exchange) -> None:
        await answer(tunnel, 200, tunnel.request.target)

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        targets = [f"/api/v1/pods/{number}" for number in range(40)]
        for target in targets:
            await talk.say(rig.get(target))
        assert [(await talk.answer()).body.decode() for _ in targets] == targets


async def test_whoever_sends_more_than_is_kept_meanwhile_is_answered_in_order(tmp_path: Path) -> None:
    go_on = trio.Event()

    async def agent(tunnel: Exchange) -> None:
        if tunnel.request.target == b"/api/v1/first":
            await go_on.wait()
        await answer(tunnel, 200, tunnel.request.target)

    async with fronted(tmp_path, agent, admission=Admission(per_second=100_000, burst=100_000)) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/first"))
        await until(lambda: rig.tunnel.in_flight == 1)
        # More than one read keeps, so that whole requests arrive while the first is under way.
        targets = [f"/api/v1/pods/{number}" for number in range(300)]
        async with trio.open_nursery() as nursery:
            for start in range(0, len(targets), 100):
                await talk.say(b"".join(rig.get(target) for target in targets[start : start + 100]))
                await trio.testing.wait_all_tasks_blocked(0.05)
            assert rig.tunnel.in_flight == 1, "one request at a time"
            nursery.start_soon(talk.say, rig.get("/api/v1/last"))
            go_on.set()
            assert (await talk.answer()).body == b"/api/v1/first"
            assert [(await talk.answer()).body.decode() for _ in targets] == targets
            assert (await talk.answer()).body == b"/api/v1/last"


async def test_a_client_that_leaves_ends_what_is_under_way(tmp_path: Path) -> None:
    ended = trio.Event()

    async def agent(tunnel: Exchange) -> None:
        await until(lambda: tunnel.unwanted)
        ended.set()

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods"))
        await until(lambda: rig.tunnel.in_flight == 1)
        talk.stream.abort()
        with trio.fail_after(15):
            await ended.wait()
        await until(lambda: any(event.type is EventType.PROXY_CLOSED for event in rig.ledger.events))
        assert rig.parts.admission.open_exchanges("pe_1", CLUSTER) == 0


async def test_what_is_lost_without_a_task_is_told_by_one(tmp_path: Path) -> None:
    async def agent(tunnel: Exchange) -> None:
        tunnel.reset(ResetCode.UPSTREAM_UNREACHABLE, "nobody is there")

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods"))
        said = await talk.answer()
        assert (said.status, said["X-Fairlead-Error-Code"]) == (502, "UPSTREAM_UNREACHABLE")
        await talk.say(rig.get("/api/v1/pods"))
        assert (await talk.answer()).status == 502, "the connection lives on"


@pytest.mark.interpreted
async def test_a_defect_ends_one_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    async with fronted(tmp_path, answers_hello) as rig:
        talk = await rig.dial()
        with monkeypatch.context() as patch:
            patch.setattr("appliance.front.errand.whole_nowait", broken)
            await talk.say(rig.get("/api/v1/pods"))
            assert await talk.ended() != "goodbye"
        assert (await rig.ask("/api/v1/pods")).status == 200


@pytest.mark.interpreted
async def test_a_defect_before_the_answer_leaves_nobody_asleep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    async with fronted(tmp_path, answers_hello) as rig:
        monkeypatch.setattr("appliance.front.errand.open_nowait", broken)
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods"))
        assert await talk.ended() != "goodbye"
        await until(lambda: not rig.front.connections)
        assert rig.parts.admission.open_exchanges("pe_1", CLUSTER) == 0
    closed = [event for event in rig.ledger.events if event.type is EventType.PROXY_CLOSED]
    assert len(closed) == 1
    assert caplog.text.count("a connection ended by a defect of ours") == 1
