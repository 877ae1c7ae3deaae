"""Clients that come through load balancers and proxies: who is believed about their address, and who is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from appliance.core.buckets import FAILURES_BURST
from appliance.core.events import EventType
from appliance.core.networks import Networks
from appliance.front import listener
from appliance.front.parts import Lane
from tests.appliance.front.rig import Answer, Rig, Talk, answers_hello, fronted, no_app, until
from tests.support import proxy_header
from wire.session import Exchange
from wire.tls import dial_handshake

pytestmark = pytest.mark.real_clock

BALANCER, PROXY, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
BALANCERS = Networks.parse([BALANCER])
PROXIES = Networks.parse([PROXY, "10.0.0.0/8"])
CLIENT = "198.51.100.7"


async def connect(rig: Rig, source: str) -> trio.SocketStream:
    sock = trio.socket.socket()
    await sock.bind((source, 0))
    await sock.connect(("127.0.0.1", rig.port))
    return trio.SocketStream(sock)


async def dial(rig: Rig, source: str, said: bytes = b"", *, slowly: bool = False) -> Talk:
    """Connect from an address, say something before TLS, and shake hands."""
    stream = await connect(rig, source)
    for piece in [said[at : at + 1] for at in range(len(said))] if slowly else [said]:
        await stream.send_all(piece)
        await trio.sleep(0.001 * slowly)
    talk = Talk(await dial_handshake(stream.socket, rig.context, "localhost"))
    rig.talks.append(talk)
    return talk


async def address_in_the_records(rig: Rig, talk: Talk, *headers: str) -> str:
    """Make a request and see from where the audit trail says it came."""
    await talk.say(rig.get("/api/v1/pods/x", *headers))
    assert (await talk.answer()).status == 200
    return (await rig.event(EventType.PROXY_CLOSED)).client_address


async def dropped(stream: trio.SocketStream) -> None:
    """The connection ends without a word."""
    with trio.fail_after(5):
        try:
            assert not await stream.receive_some()
        except trio.BrokenResourceError:
            pass  # what was sent after the header was not read
    await stream.aclose()


@pytest.mark.parametrize("slowly", [False, True])
@pytest.mark.parametrize(
    ("said", "address"),
    [
        (proxy_header.of(CLIENT), CLIENT),
        (proxy_header.of("2001:db8::7"), "2001:db8::7"),
        (proxy_header.of(CLIENT, proxy_header.extension(0x02, b"fairlead.example.com")), CLIENT),
        (proxy_header.local(), BALANCER),
        (proxy_header.local(b"to be skipped"), BALANCER),
    ],
)
async def test_a_listed_balancer_names_the_client(tmp_path: Path, said: bytes, address: str, slowly: bool) -> None:
    async with fronted(tmp_path, proxy_protocol_from=BALANCERS) as rig:
        talk = await dial(rig, BALANCER, said, slowly=slowly)
        assert await address_in_the_records(rig, talk) == address
        assert await address_in_the_records(rig, await dial(rig, "127.0.0.1")) == "127.0.0.1"


@pytest.mark.parametrize(
    "said",
    [
        b"PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # TLS at once
        proxy_header.header(proxy_header.UDP4, bytes(12)),
        proxy_header.header(proxy_header.TCP4, bytes(60_000)),
        proxy_header.of(CLIENT, b"\x02\x00\x05four"),
    ],
)
async def test_a_balancer_that_does_not_is_refused(
    tmp_path: Path, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with fronted(tmp_path, proxy_protocol_from=BALANCERS) as rig:
        stream = await connect(rig, BALANCER)
        await stream.send_all(said)
        await dropped(stream)
        assert "a PROXY header was refused" in caplog.text
        assert (await rig.ask("/api/v1/pods")).status == 200


@pytest.mark.parametrize("said", [b"", proxy_header.of(CLIENT)[:5], proxy_header.of(CLIENT)[:20]])
async def test_a_header_that_does_not_come_is_not_waited_for_long(
    tmp_path: Path, said: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "PROXY_HEADER_SECONDS", 0.1)
    async with fronted(tmp_path, proxy_protocol_from=BALANCERS) as rig:
        stream = await connect(rig, BALANCER)
        if said:
            await stream.send_all(said)
        await dropped(stream)
        assert "not whole after" in caplog.text


@pytest.mark.parametrize(("said", "logged"), [(b"", False), (proxy_header.of(CLIENT)[:20], True)])
async def test_a_balancer_that_looks_and_leaves_is_no_event(
    tmp_path: Path, said: bytes, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with fronted(tmp_path, proxy_protocol_from=BALANCERS) as rig:
        stream = await connect(rig, BALANCER)
        if said:
            await stream.send_all(said)
        await stream.send_eof()
        await dropped(stream)
    assert ("it is cut short" in caplog.text) is logged


async def test_a_stranger_does_not_choose_its_address(tmp_path: Path) -> None:
    async with fronted(tmp_path, proxy_protocol_from=BALANCERS, trusted_proxies=PROXIES) as rig:
        with pytest.raises(trio.BrokenResourceError):
            await dial(rig, STRANGER, proxy_header.of(CLIENT))
        talk = await dial(rig, STRANGER)
        for line in (f"X-Forwarded-For: {CLIENT}", f"Forwarded: for={CLIENT}", f"X-Real-IP: {CLIENT}"):
            assert await address_in_the_records(rig, talk, line) == STRANGER


async def test_clients_behind_one_balancer_are_limited_one_by_one(tmp_path: Path) -> None:
    async with fronted(tmp_path, proxy_protocol_from=BALANCERS) as rig:
        guesser = await dial(rig, BALANCER, proxy_header.of(CLIENT))
        for number in range(FAILURES_BURST + 1):
            await guesser.say(rig.get("/api/v1/pods", token=f"guess{number}"))
            said = await guesser.answer()
        assert said.status == 429
        other = await dial(rig, BALANCER, proxy_header.of("198.51.100.8"))
        await other.say(rig.get("/api/v1/pods", token="guess"))
        assert (await other.answer()).status == 401


async def test_one_client_behind_a_balancer_cannot_hold_every_handshake(tmp_path: Path) -> None:
    async with fronted(tmp_path, proxy_protocol_from=BALANCERS) as rig:
        hoarders = [await connect(rig, BALANCER) for _ in range(listener.HANDSHAKES * 2)]
        for stream in hoarders:
            await stream.send_all(proxy_header.of(CLIENT) + b"\x16")
        await until(lambda: len(rig.front.handshakes))
        with trio.fail_after(listener.HANDSHAKE_SECONDS / 2):
            other = await dial(rig, BALANCER, proxy_header.of("198.51.100.8"))
            assert await address_in_the_records(rig, other) == "198.51.100.8"
        for stream in hoarders:
            await stream.aclose()


@pytest.mark.parametrize("lane", ["express", "hypercorn"])
async def test_a_listed_proxy_tells_for_whom_each_request_is(tmp_path: Path, lane: Lane) -> None:
    seen: list[Exchange] = []

    async def agent(tunnel: Exchange) -> None:
        seen.append(tunnel)
        await answers_hello(tunnel)

    async with fronted(tmp_path, agent, lane=lane, trusted_proxies=PROXIES) as rig:
        talk = await dial(rig, PROXY)
        for lines, address in (
            ((f"X-Forwarded-For: 203.0.113.9, {CLIENT}", "X-Forwarded-Proto: https"), CLIENT),
            (("X-Forwarded-For: 198.51.100.8, 10.0.0.1",), "198.51.100.8"),
            (('Forwarded: for="[2001:db8::7]:4711";proto=https',), "2001:db8::7"),
            ((), PROXY),
            ((f"x-forwarded-for: {CLIENT}", f"FORWARDED: for={CLIENT}"), CLIENT),
        ):
            assert await address_in_the_records(rig, talk, *lines) == address
    for tunnel in seen:
        names = {name.lower() for name, _ in tunnel.request.headers}
        assert not {name for name in names if b"forwarded" in name}, "nobody behind the appliance hears of it"


async def test_a_proxy_whose_headers_do_not_agree_is_told_so(tmp_path: Path) -> None:
    async with fronted(tmp_path, trusted_proxies=PROXIES) as rig:
        talk = await dial(rig, PROXY)
        await talk.say(rig.get("/api/v1/pods", f"X-Forwarded-For: {CLIENT}", "Forwarded: for=203.0.113.9"))
        said = await talk.answer()
        assert (said.status, said["X-Fairlead-Error-Code"]) == (400, "BAD_REQUEST")
        assert b"name different clients" in said.body
        assert await talk.ended() == "goodbye"
        assert not rig.ledger.events


async def test_a_balancer_may_stand_before_a_proxy(tmp_path: Path) -> None:
    async with fronted(tmp_path, proxy_protocol_from=BALANCERS, trusted_proxies=PROXIES) as rig:
        through_proxy = await dial(rig, BALANCER, proxy_header.of("10.0.0.5"))
        assert await address_in_the_records(rig, through_proxy, f"X-Forwarded-For: {CLIENT}") == CLIENT
        direct = await dial(rig, BALANCER, proxy_header.of("203.0.113.9"))
        assert await address_in_the_records(rig, direct, f"X-Forwarded-For: {CLIENT}") == "203.0.113.9"


async def test_a_listed_proxy_may_begin_many_connections_at_once(tmp_path: Path) -> None:
    """It speaks for many: only the slots in all bind it."""
    async with fronted(tmp_path, trusted_proxies=PROXIES) as rig:
        slow = [await connect(rig, PROXY) for _ in range(listener.HANDSHAKES_PER_SOURCE)]
        for stream in slow:
            await stream.send_all(b"\x16")
        with trio.fail_after(listener.HANDSHAKE_SECONDS / 2):
            await dial(rig, PROXY)
        for stream in slow:
            await stream.aclose()


async def test_an_application_learns_the_client_from_us_alone(tmp_path: Path) -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scopes.append(scope)
        await no_app(scope, receive, send)

    async with fronted(tmp_path, app=app, trusted_proxies=PROXIES) as rig:
        talk = await dial(rig, PROXY)
        lines = f"X-Forwarded-For: {CLIENT}\r\nX-Forwarded-Host: evil.example.com\r\nX-Real-IP: 1.2.3.4\r\n"
        await talk.say(f"GET /fairlead/v1/x HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        said: Answer = await talk.answer()
        assert said.body == b"app"
    (scope,) = scopes
    assert scope["client"][0] == CLIENT
    assert not [name for name, _ in scope["headers"] if b"forwarded" in name or b"real" in name]
