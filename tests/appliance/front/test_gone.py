"""Each way a client can leave while it is waited for, and what must not be taken for leaving."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
import trio

from appliance.core.events import EventType
from appliance.front import gone
from appliance.front.client import Client
from tests.appliance.front.rig import Talk, answers_hello, fronted, until
from wire.heads import ResponseHead
from wire.session import Exchange

pytestmark = [pytest.mark.real_clock, pytest.mark.usefixtures("way")]


class Waits:
    """An agent that begins an answer and then waits for the end of its request."""

    def __init__(self, *, begin: bool) -> None:
        self.begin = begin
        self.asked = trio.Event()
        self.ended = trio.Event()

    async def __call__(self, tunnel: Exchange) -> None:
        if self.begin:
            await tunnel.send_head(ResponseHead(200))
            await tunnel.send_all(b"event")
        self.asked.set()
        try:
            await tunnel.head()
        except trio.BrokenResourceError:
            self.ended.set()


def fin(talk: Talk) -> None:
    talk.stream.socket.shutdown(socket.SHUT_WR)


def rst(talk: Talk) -> None:
    talk.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.stream.abort()


@pytest.mark.parametrize("leave", [fin, rst])
@pytest.mark.parametrize("begin", [False, True])
async def test_a_fin_or_reset_ends_the_request_and_waits_for_no_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leave: object, begin: bool
) -> None:
    monkeypatch.setattr(gone, "SWEEP_SECONDS", 1000)
    agent = Waits(begin=begin)
    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods?watch=1"))
        with trio.fail_after(15):
            await agent.asked.wait()
            if begin:
                await talk.until(b"event\r\n")
        leave(talk)  # type: ignore[operator]
        with trio.fail_after(15):
            await agent.ended.wait()
        closed = await rig.event(EventType.PROXY_CLOSED)
        assert closed.status == (200 if begin else 0)


@pytest.mark.parametrize("epoll", [True, False])
async def test_a_close_notify_alone_ends_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoll: bool) -> None:
    """Also where there is no epoll: then the sweep looks by itself."""
    if not epoll:
        monkeypatch.delattr("select.epoll")
    monkeypatch.setattr(gone, "SWEEP_SECONDS", 0.1)
    agent = Waits(begin=True)
    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods?watch=1"))
        await talk.until(b"event\r\n")
        await talk.stream.send_eof()
        with trio.fail_after(15):
            await agent.ended.wait()


async def test_a_request_sent_early_is_kept_for_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gone, "SWEEP_SECONDS", 0.05)
    go = trio.Event()

    async def agent(tunnel: Exchange) -> None:
        if b"slow" in tunnel.request.target:
            await go.wait()
        await answers_hello(tunnel)

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/slow"))
        await trio.sleep(0.2)
        await talk.say(rig.get("/api/v1/pods"))
        await trio.sleep(0.2)
        go.set()
        assert (await talk.answer()).status == 200
        assert (await talk.answer()).status == 200


async def test_whoever_left_before_being_served_starts_nothing(tmp_path: Path) -> None:
    seen: list[Exchange] = []

    async def agent(tunnel: Exchange) -> None:
        seen.append(tunnel)
        await answers_hello(tunnel)

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        client: Client = await _first(rig.front.watcher)
        client.hung_up = True
        await talk.say(rig.get("/api/v1/x", method="DELETE"))
        assert await talk.ended() == "cut"
        assert seen == []


async def _first(watcher: gone.Watcher) -> Client:
    await until(watcher.clients)
    return watcher.clients()[0]


async def test_a_number_used_again_is_not_forgotten_for_its_predecessor(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        talk = await rig.dial()
        old = await _first(rig.front.watcher)
        twin = Client(old.stream, "127.0.0.1")
        rig.front.watcher.remove(twin)
        assert rig.front.watcher.clients() == [old]
        await talk.say(rig.get("/api/v1/pods"))
        assert (await talk.answer()).status == 200


async def test_a_reader_that_pauses_is_not_dead(tmp_path: Path) -> None:
    """Its window is closed, but its host acknowledges."""

    async def agent(tunnel: Exchange) -> None:
        await tunnel.send_head(ResponseHead(200))
        while True:
            await tunnel.send_all(b"x" * 65536)

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        await talk.say(rig.get("/api/v1/pods"))
        client = await _first(rig.front.watcher)
        await trio.sleep(0.3)
        assert client.writing
        assert not gone.died_in_silence(client)


async def test_a_request_that_ended_leaves_nobody_watching_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Armed for input since a request lasted; or each of the next ones would wake the listener."""
    monkeypatch.setattr(gone, "SWEEP_SECONDS", 0.05)
    go = trio.Event()

    async def agent(tunnel: Exchange) -> None:
        await go.wait()
        await answers_hello(tunnel)

    async with fronted(tmp_path, agent) as rig:
        talk = await rig.dial()
        client = await _first(rig.front.watcher)
        await talk.say(rig.get("/api/v1/slow"))
        await until(lambda: client.on_rest)
        go.set()
        assert (await talk.answer()).status == 200
        await until(lambda: not client.on_rest)
        await talk.say(rig.get("/api/v1/pods"))
        assert (await talk.answer()).status == 200
