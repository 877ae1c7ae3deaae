"""Agents that come through a load balancer: their own addresses are counted and recorded."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import trio

from agent.identity import Identity
from appliance.core.events import EventType
from appliance.core.networks import Networks
from appliance.tunnel import listener
from tests.appliance.front.test_listener import dial_from
from tests.appliance.front.test_proxied import dropped
from tests.appliance.tunnel.rig import Harbour, harbour
from tests.appliance.tunnel.test_listener import until
from tests.support import proxy_header
from wire import calls
from wire.contexts import client_context
from wire.tls import dial_handshake

pytestmark = pytest.mark.real_clock

BALANCER = "127.0.0.2"
BALANCERS = Networks.parse([BALANCER])
AGENT = "198.51.100.7"


async def enrol_with_nonsense(here: Harbour, said: bytes, source: str = BALANCER) -> int:
    """A call through the balancer that is refused and recorded; its status."""
    stream = await dial_from(source, here.port)
    await stream.send_all(said)
    context = client_context(here.authority.certificate_pem, alpn=["h2"])
    tls = await dial_handshake(stream.socket, context, "127.0.0.1")
    body = {"token": "flb_nonsense", "request": here.agent().signing_request()}
    try:
        with trio.fail_after(15):
            status, _ = await calls.call(tls, b"agents.example.com", calls.ENROL_PATH, body)
    finally:
        tls.abort()
    return status


@pytest.mark.parametrize(
    ("said", "source", "address"),
    [
        (proxy_header.of(AGENT), BALANCER, AGENT),
        (proxy_header.of("2001:db8::7"), BALANCER, "2001:db8::7"),
        (proxy_header.local(), BALANCER, BALANCER),
        (b"", "127.0.0.3", "127.0.0.3"),
    ],
)
async def test_the_agents_own_address_is_recorded(tmp_path: Path, said: bytes, source: str, address: str) -> None:
    async with harbour(tmp_path, BALANCERS) as here:
        assert await enrol_with_nonsense(here, said, source) == 401
        refused = [event for event in here.events if event.type is EventType.AGENT_AUTH_FAILED]
        assert [event.client_address for event in refused] == [address]
        await until(lambda: not here.parts.unproven)


@pytest.mark.parametrize("said", [b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", proxy_header.of(AGENT)[:20], b""])
async def test_a_balancer_that_sends_no_header_is_cut_off(
    tmp_path: Path, said: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(listener, "PROXY_HEADER_SECONDS", 0.1)
    async with harbour(tmp_path, BALANCERS) as here:
        stream = await dial_from(BALANCER, here.port)
        with suppress(trio.BrokenResourceError):
            if said:
                await stream.send_all(said)
        await dropped(stream)
        identity: Identity = await here.enrolled()
        assert identity.certificate_path.exists(), "whoever comes directly is served"
    reasons = [getattr(record, "reason", "") for record in caplog.records]
    assert any("a PROXY header was refused" in reason for reason in reasons)


async def test_one_agents_connections_are_counted_and_not_its_balancers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "MAX_UNPROVEN_PER_ADDRESS", 4)
    async with harbour(tmp_path, BALANCERS) as here:
        flood = [await dial_from(BALANCER, here.port) for _ in range(8)]
        for stream in flood:
            await stream.send_all(proxy_header.of(AGENT))
        await until(lambda: here.parts.unproven == {AGENT: 4})
        assert await enrol_with_nonsense(here, proxy_header.of("198.51.100.8")) == 401
        for stream in flood:
            await stream.aclose()
        await until(lambda: not here.parts.unproven)
