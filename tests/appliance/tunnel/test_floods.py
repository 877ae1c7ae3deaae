"""Sixteen connections at once that flood the agents' listener from another process: agents, and strangers."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.appliance.front.test_floods import begun
from tests.appliance.tunnel.rig import Harbour, harbour
from tests.support.flood import CONNECTIONS, HTTP2_OPENING, HTTP2_SETTINGS, Flood, client_hello, flooding, text
from tests.support.heartbeat import LATE_SECONDS, worst_beat
from wire import calls, frames
from wire.carrier import Carrier

pytestmark = pytest.mark.real_clock

STRANGE = {
    "settings": HTTP2_SETTINGS,
    "priority": b"\x00\x00\x05\x02\x00\x00\x00\x00\x03\x00\x00\x00\x00\x10",
    "ping": b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + bytes(8),
    "unknown": b"\x00\x00\x00\x7f\x00\x00\x00\x00\x00",
}
FRAMES = {
    "ping": frames.encode_ping(b"1"),
    "note": frames.encode_note(calls.encode({"version": "1", "clock": 1})),
    "optional": b"\x92\x41\x00",
}


async def agents_flood(here: Harbour, burst: bytes) -> Flood:
    identity = await here.enrolled()
    paths = str(identity.certificate_path), str(identity.key_path)
    pem = here.authority.certificate_pem
    return Flood(here.port, "", text(burst), pem, *paths, alpn="h2", tunnel=True)


@pytest.mark.parametrize("kind", FRAMES)
async def test_sixteen_agents_that_flood_leave_the_loop_to_others(tmp_path: Path, kind: str) -> None:
    frame = FRAMES[kind]
    async with harbour(tmp_path) as here:
        with flooding(await agents_flood(here, frame * (60_000 // len(frame)))):
            await begun(lambda: len(list(here.registry.sessions())) == CONNECTIONS)
            worst = await worst_beat()
    assert worst <= LATE_SECONDS


@pytest.mark.parametrize("kind", STRANGE)
async def test_strangers_who_flood_with_http2_leave_the_loop_to_others(tmp_path: Path, kind: str) -> None:
    async with harbour(tmp_path) as here:
        flood = Flood(
            here.port, text(HTTP2_OPENING), text(STRANGE[kind] * 4000), here.authority.certificate_pem, alpn="h2"
        )
        with flooding(flood):
            await begun(lambda: here.parts.unproven)
            worst = await worst_beat()
            with trio.fail_after(10):
                await here.enrolled("honest")
    assert worst <= LATE_SECONDS


async def test_handshakes_that_are_begun_and_left_leave_the_loop_to_others(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        with flooding(Flood(here.port, opening=text(client_hello("h2")), again=True)):
            await begun(lambda: here.parts.unproven)
            worst = await worst_beat()
            with trio.fail_after(10):
                await here.enrolled("honest")
    assert worst <= LATE_SECONDS


def test_what_a_session_needs_is_far_below_the_limit_of_frames() -> None:
    """python-h2's own frames between a carrier and its peer: counted where they are limited."""
    client, server = Carrier(client=True), Carrier(client=False)
    client.request_tunnel(b"localhost")
    server.receive(client.take())
    client.receive(server.take())
    server.receive(client.take())
    assert server._frames_left > 50
    assert client._frames_left > 50
