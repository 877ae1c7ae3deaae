"""Upgraded exchanges: raw bytes both ways, half-closed, and refused like anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.agent.rig import Caller, Stage, everything, ok, staged
from wire.frames import ResetCode
from wire.heads import Headers
from wire.session import Exchange, ExchangeReset, SessionLost

pytestmark = [pytest.mark.real_clock, pytest.mark.usefixtures("way")]

UPGRADE: Headers = ((b"Upgrade", b"SPDY/3.1"), (b"X-Stream-Protocol-Version", b"v4.channel.k8s.io"))
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"


def exec_(stage: Stage) -> Exchange:
    return stage.ask(b"POST", b"/api/v1/namespaces/a/pods/p/exec?command=sh", UPGRADE, upgrade=True)


async def test_raw_bytes_flow_both_ways_and_each_way_ends_by_itself(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        head = await caller.head()
        assert b"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n" in head
        await caller.say(SWITCH + b"first")
        assert await caller.body(4) == b"ping"
        await caller.say(b"pong")
        assert await caller.stream.receive_some() == b""
        await caller.say(b"last words")
        await caller.stream.aclose()

    async with staged(tmp_path, script) as stage, exec_(stage) as exchange:
        head = await exchange.head()
        assert (head.status, head.headers) == (101, ((b"Upgrade", b"SPDY/3.1"),))
        assert await exchange.receive_some() == b"first"
        await exchange.send_all(b"ping")
        assert await exchange.receive_some() == b"pong"
        await exchange.send_eof()
        assert await everything(exchange) == b"last words"
        assert stage.relay.idle == 0


async def test_a_refused_upgrade_is_an_ordinary_answer(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await caller.gone()

    async with staged(tmp_path, script) as stage, exec_(stage) as exchange:
        assert (await exchange.head()).status == 403
        assert await everything(exchange) == b"no"


async def test_an_upgrade_never_rides_on_a_used_connection(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        while head := await caller.head():
            await caller.say(SWITCH if b"Upgrade" in head else ok(b""))

    async with staged(tmp_path, script) as stage:
        await stage.fetch()
        async with exec_(stage) as exchange:
            await exchange.head()
        assert len(stage.callers) == 2


async def test_a_connection_broken_off_after_101_is_reset(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(SWITCH + b"half")
        await caller.body(1)

    async with staged(tmp_path, script) as stage, exec_(stage) as exchange:
        await exchange.head()
        assert await exchange.receive_some() == b"half"
        await exchange.send_all(b"x")
        with pytest.raises(ExchangeReset) as caught:
            await everything(exchange)
        assert caught.value.code == ResetCode.TRUNCATED


@pytest.mark.parametrize("half_closed", [False, True])
async def test_a_client_that_leaves_ends_the_session_upstream(tmp_path: Path, half_closed: bool) -> None:
    gone = trio.Event()

    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(SWITCH)
        await caller.gone()
        if half_closed:
            try:
                while True:
                    await caller.say(b"more")
                    await trio.sleep(0.01)
            except trio.BrokenResourceError:
                pass
        gone.set()

    async with staged(tmp_path, script) as stage:
        exchange = exec_(stage)
        await exchange.head()
        if half_closed:
            await exchange.send_eof()
        exchange.reset(ResetCode.CANCELLED, "left")
        with trio.fail_after(15):
            await gone.wait()


async def test_a_lost_session_ends_its_open_exec_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Both directions meet the same end at once: it must come out of their nursery as one ordinary end."""
    gone = trio.Event()

    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(SWITCH)
        await caller.gone()
        gone.set()

    async with staged(tmp_path, script) as stage:
        exchange = exec_(stage)
        await exchange.head()
        stage.tunnel.abort()
        with trio.fail_after(15):
            await gone.wait()
        with pytest.raises(SessionLost):
            await exchange.receive_some()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_an_upgrade_to_something_unknown_is_refused(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        raise AssertionError("nothing may go up")

    async with staged(tmp_path, script) as stage:
        async with stage.ask(b"GET", b"/api/v1/x", ((b"Upgrade", b"h2c"),), upgrade=True) as exchange:
            with pytest.raises(ExchangeReset) as caught:
                await exchange.head()
        assert caught.value.code == ResetCode.BAD_REQUEST
