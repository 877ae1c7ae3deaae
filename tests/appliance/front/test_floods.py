"""Sixteen connections at once that flood the users' listener from another process. Others keep the loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.appliance.front.rig import Rig, answers_hello, fronted, no_app, revoke
from tests.support.flood import CONNECTIONS, Flood, client_hello, flooding, text
from tests.support.heartbeat import LATE_SECONDS, worst_beat
from wire.session import Exchange

pytestmark = pytest.mark.real_clock

TINY_CHUNKS = b"1\r\nx\r\n" * 10_000


async def swallows(tunnel: Exchange) -> None:
    """An API server that reads whatever comes and never answers."""
    while await tunnel.receive_some():
        pass


async def reads_everything(scope: Any, receive: Any, send: Any) -> None:
    """An application that wants the whole body."""
    while scope["type"] == "http" and (await receive()).get("more_body"):
        pass
    await no_app(scope, receive, send)


def heads(rig: Rig) -> Flood:
    """Requests whose credential was revoked: a refusal needs no tunnel, so nothing is cheaper to ask for."""
    revoke(rig.store.snapshot)
    return Flood(rig.port, burst=text(rig.get("/api/v1/pods") * 500), ca_pem=rig.ca_pem)


def pages(rig: Rig) -> Flood:
    return Flood(rig.port, burst=text(b"GET /help/X HTTP/1.1\r\nHost: x\r\n\r\n" * 2000), ca_pem=rig.ca_pem)


def calls(rig: Rig) -> Flood:
    return Flood(rig.port, burst=text(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" * 2000), ca_pem=rig.ca_pem)


def chunks(rig: Rig) -> Flood:
    head = rig.get("/api/v1/x", "Transfer-Encoding: chunked", method="POST")
    return Flood(rig.port, opening=text(head), burst=text(TINY_CHUNKS), ca_pem=rig.ca_pem)


def chunks_for_the_application(rig: Rig) -> Flood:
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return Flood(rig.port, opening=text(head), burst=text(TINY_CHUNKS), ca_pem=rig.ca_pem)


@pytest.mark.parametrize("kind", [heads, pages, calls, chunks, chunks_for_the_application])
async def test_sixteen_at_once_leave_the_loop_to_others(tmp_path: Path, kind: Callable[[Rig], Flood]) -> None:
    agent = swallows if kind is chunks else answers_hello
    app = reads_everything if kind is chunks_for_the_application else no_app
    async with fronted(tmp_path, agent, app=app) as rig:
        with flooding(kind(rig)):
            await begun(lambda: rig.front.connections >= CONNECTIONS)
            worst = await worst_beat()
    assert worst <= LATE_SECONDS


async def begun(condition: Callable[[], object]) -> None:
    """Wait until a flood is under way; its process and its connections may take long to start on a busy machine."""
    with trio.fail_after(60):
        while not condition():  # noqa: ASYNC110 -- what another process does comes with no event of ours
            await trio.sleep(0.05)


async def test_handshakes_that_are_begun_and_left_leave_the_loop_to_others(tmp_path: Path) -> None:
    async with fronted(tmp_path) as rig:
        with flooding(Flood(rig.port, opening=text(client_hello("http/1.1")), again=True)):
            await begun(lambda: rig.handshakes >= CONNECTIONS)
            worst = await worst_beat()
            with trio.fail_after(10):
                assert (await rig.ask("/api/v1/pods")).status == 200
    assert worst <= LATE_SECONDS
