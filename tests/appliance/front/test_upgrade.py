"""exec, attach and port-forward: nothing is read before the decision, then raw bytes both ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from appliance.core.events import EventType
from appliance.front.parts import Lane
from tests.appliance.front.rig import answer, fronted, revoke
from wire.heads import ResponseHead
from wire.session import Exchange

pytestmark = [
    pytest.mark.real_clock,
    pytest.mark.parametrize("lane", ["express", "hypercorn"]),
    pytest.mark.usefixtures("way"),
]

EXEC = "/api/v1/namespaces/web/pods/a/exec?command=sh&command=-c&stdin=true"
SPDY = ("Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")


async def echo(tunnel: Exchange) -> None:
    await tunnel.send_head(ResponseHead(101, ((b"Upgrade", b"SPDY/3.1"), (b"X-Stream-Protocol-Version", b"v4"))))
    while data := await tunnel.receive_some():
        await tunnel.send_all(data)
    await tunnel.send_all(b"bye")
    await tunnel.send_eof()


async def test_raw_bytes_flow_both_ways_and_each_way_ends_by_itself(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, echo, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(EXEC, *SPDY, method="POST") + b"early")
        head = await talk.head()
        assert head.status == 101
        assert (b"Connection", b"Upgrade") in head.headers
        assert (b"Upgrade", b"SPDY/3.1") in head.headers
        await talk.until(b"early")
        await talk.say(b"\x00\xff raw")
        await talk.until(b"\x00\xff raw")
        await talk.stream.send_eof()
        await talk.until(b"bye")
        assert await talk.ended() == "goodbye"

        opened = await rig.event(EventType.PROXY_OPENED)
        assert (opened.verb, opened.subresource, opened.command) == ("create", "exec", ("sh", "-c"))
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert (closed.status, closed.bytes_in, closed.bytes_out) == (101, 11, 14)
        assert closed.correlation_id == opened.correlation_id


async def test_a_refused_upgrade_is_an_ordinary_answer_then_the_end(tmp_path: Path, lane: Lane) -> None:
    async def agent(tunnel: Exchange) -> None:
        await answer(tunnel, 403, b'{"kind":"Status"}')

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(EXEC, *SPDY, method="POST"))
        said = await talk.answer()
        assert (said.status, said.body, said["Connection"]) == (403, b'{"kind":"Status"}', "close")
        assert await talk.ended() == "goodbye"


async def test_a_denied_upgrade_never_reaches_the_tunnel(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, echo, lane=lane) as rig:
        revoke(rig.store.snapshot)
        assert (await rig.ask(EXEC, *SPDY, method="POST")).status == 401
        assert rig.tunnel.in_flight == 0


async def test_a_client_that_leaves_before_the_answer_ends_the_exchange(tmp_path: Path, lane: Lane) -> None:
    asked, ended = trio.Event(), trio.Event()

    async def agent(tunnel: Exchange) -> None:
        asked.set()
        try:
            await tunnel.head()
        except trio.BrokenResourceError:
            ended.set()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(EXEC, *SPDY, method="POST"))
        with trio.fail_after(15):
            await asked.wait()
            talk.stream.abort()
            await ended.wait()


async def test_a_client_that_leaves_after_101_is_the_end_of_its_direction(tmp_path: Path, lane: Lane) -> None:
    ended = trio.Event()

    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(101, ((b"Upgrade", b"SPDY/3.1"),)))
        while await tunnel.receive_some():
            pass
        ended.set()
        await tunnel.send_eof()

    async with fronted(tmp_path, agent, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(EXEC, *SPDY, method="POST"))
        await talk.head()
        talk.stream.abort()
        with trio.fail_after(15):
            await ended.wait()
        assert (await rig.event(EventType.PROXY_CLOSED)).status == 101


async def test_losing_the_right_cuts_a_session(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, echo, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(EXEC, *SPDY, method="POST"))
        await talk.head()
        revoke(rig.store.snapshot)
        with trio.fail_after(15):
            assert await talk.ended() == "cut"


async def test_a_lost_tunnel_cuts_a_session(tmp_path: Path, lane: Lane) -> None:
    async with fronted(tmp_path, echo, lane=lane) as rig:
        talk = await rig.dial()
        await talk.say(rig.get(EXEC, *SPDY, method="POST"))
        await talk.head()
        rig.tunnel.abort()
        assert await talk.ended() == "cut"
        assert (await rig.event(EventType.PROXY_CLOSED)).code == "TUNNEL_LOST"
