"""Who gets a tunnel, who does not, and what a hostile peer costs the others."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from agent.identity import Identity
from appliance.core.events import EventType
from appliance.store import units
from appliance.store.clock import utc_micros
from appliance.tunnel import listener
from appliance.tunnel.authority import Authority
from tests.appliance.front.test_listener import dial_from
from tests.appliance.tunnel.rig import CLUSTER, Harbour, harbour
from tests.support.pair import ALICE, get
from wire import calls
from wire.contexts import client_context
from wire.endings import TunnelRefused
from wire.heads import ResponseHead
from wire.session import Exchange, Session, SessionEnded

pytestmark = pytest.mark.real_clock


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def answering(exchange: Exchange) -> None:
    exchange.answer_nowait(ResponseHead(200), b"here")


async def run(session: Session) -> None:
    with suppress(SessionEnded):
        await session.run(answering)


async def works(here: Harbour) -> bool:
    session = here.registry.session_for(CLUSTER)
    assert session is not None
    async with session.open(get(), ALICE, has_body=False) as exchange:
        await exchange.head()
        return await exchange.receive_some() == b"here"


async def test_an_enrolled_agent_gets_a_tunnel_and_is_connected_while_it_holds(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here, trio.open_nursery() as nursery:
        session = await here.dial(await here.enrolled())
        nursery.start_soon(run, session)
        await until(lambda: here.registry.session_for(CLUSTER))

        assert await works(here)
        assert session.peer.name == b"test appliance"

        session.abort()
        await until(lambda: here.registry.session_for(CLUSTER) is None)
        state = here.registry.state(CLUSTER)
        assert state is not None
        assert not state.connected
        assert state.reason
        await until(lambda: EventType.CLUSTER_DISCONNECTED in here.kinds())
        assert EventType.CLUSTER_CONNECTED in here.kinds()
        nursery.cancel_scope.cancel()


async def test_notes_that_cannot_be_read_are_one_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with harbour(tmp_path) as here, trio.open_nursery() as nursery:
        session = await here.dial(await here.enrolled())
        nursery.start_soon(run, session)
        await until(lambda: here.registry.session_for(CLUSTER))

        for _ in range(50):
            session.note(b"\xc1")
        session.note(calls.encode({"version": "9"}))

        await until(lambda: (state := here.registry.state(CLUSTER)) and state.agents[0].report)
        assert [it for it in caplog.messages if "note" in it] == ["an agent's note cannot be read"]
        nursery.cancel_scope.cancel()


async def test_no_certificate_no_tunnel(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        with pytest.raises(TunnelRefused, match="Enrol with a bootstrap bundle") as caught:
            await here.dial(None)
        assert caught.value.status == 401


async def test_a_certificate_of_another_ca_does_not_pass_tls(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        identity = await here.enrolled()
        forged = _signed_by(Authority.make(utc_micros()), here, identity)

        with pytest.raises(SessionEnded):
            await here.dial(forged)
        assert here.registry.session_for(CLUSTER) is None


async def test_a_serial_the_store_does_not_know_opens_nothing(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        identity = await here.enrolled()

        with pytest.raises(TunnelRefused, match="serial is not known") as caught:
            await here.dial(_signed_by(here.authority, here, identity))
        assert caught.value.status == 401
        assert here.kinds()[-1] is EventType.AGENT_AUTH_FAILED


async def test_a_server_certificate_of_ours_is_no_agent(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        server = Identity("x", here.url, "", "", tmp_path / "server.crt", tmp_path / "server.key", 0, 0, 0)

        with pytest.raises((TunnelRefused, SessionEnded)):
            await here.dial(server)
        assert here.registry.session_for(CLUSTER) is None


async def test_raising_the_generation_ends_the_session_and_keeps_it_out(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here, trio.open_nursery() as nursery:
        identity = await here.enrolled()
        nursery.start_soon(run, await here.dial(identity))
        await until(lambda: here.registry.session_for(CLUSTER))

        await here.store.write(units.raise_generation(CLUSTER, utc_micros()))
        with trio.fail_after(15):
            await until(lambda: here.registry.session_for(CLUSTER) is None)

        for _ in range(5):  # as fast as handshakes go
            with pytest.raises(TunnelRefused, match="generation was revoked"):
                await here.dial(identity)
        assert here.kinds().count(EventType.AGENT_AUTH_FAILED) == 1, "one record a minute stands for all"
        nursery.cancel_scope.cancel()


async def test_a_deleted_clusters_agent_is_ended_and_kept_out(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here, trio.open_nursery() as nursery:
        identity = await here.enrolled()
        nursery.start_soon(run, await here.dial(identity))
        await until(lambda: here.registry.session_for(CLUSTER))

        await here.store.write(units.remove_cluster(CLUSTER, utc_micros()))
        await until(lambda: here.registry.session_for(CLUSTER) is None)

        with pytest.raises(TunnelRefused, match="cluster does not exist"):
            await here.dial(identity)
        nursery.cancel_scope.cancel()


async def test_a_second_session_of_the_same_agent_lives_when_the_first_ends(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here, trio.open_nursery() as nursery:
        identity = await here.enrolled()
        first, second = await here.dial(identity), await here.dial(identity)
        nursery.start_soon(run, first)
        nursery.start_soon(run, second)
        await until(lambda: len(list(here.registry.sessions())) == 2)

        first.abort()
        await until(lambda: len(list(here.registry.sessions())) == 1)

        assert await works(here)
        nursery.cancel_scope.cancel()


async def test_a_stopping_appliance_drains_and_returns(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here, trio.open_nursery() as nursery:
        session = await here.dial(await here.enrolled())
        nursery.start_soon(run, session)
        await until(lambda: here.registry.session_for(CLUSTER))

        here.stop.set()
        await until(lambda: session.draining)
        await until(lambda: not session.alive)

        with pytest.raises(OSError, match=r"all attempts to connect|Connection refused"):
            await trio.open_tcp_stream("127.0.0.1", here.port)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "hostile",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x00" * 4096,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x06\x04\x00\x00\x00\x00\x00" * 40_000,
        b"",
    ],
)
async def test_hostile_bytes_cost_nobody_else_anything(tmp_path: Path, hostile: bytes) -> None:
    async with harbour(tmp_path) as here, trio.open_nursery() as nursery:
        nursery.start_soon(run, await here.dial(await here.enrolled()))
        await until(lambda: here.registry.session_for(CLUSTER))

        stream = await here.connect()
        with suppress(trio.BrokenResourceError):
            await stream.send_all(hostile)
            if not hostile:
                await stream.send_eof()
            with trio.fail_after(listener.REQUEST_SECONDS - 2):
                while await stream.receive_some():
                    pass
        stream.abort()

        assert await works(here)
        await until(lambda: not here.parts.unproven)
        nursery.cancel_scope.cancel()


async def test_peers_that_never_speak_are_limited_by_address_and_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKE_SECONDS", 2.0)
    monkeypatch.setattr(listener, "MAX_UNPROVEN_PER_ADDRESS", 16)  # they all must be in before the first is cut off
    async with harbour(tmp_path) as here:
        silent = [
            await trio.open_tcp_stream("127.0.0.1", here.port) for _ in range(listener.MAX_UNPROVEN_PER_ADDRESS + 8)
        ]
        await until(lambda: here.parts.unproven["127.0.0.1"] == listener.MAX_UNPROVEN_PER_ADDRESS)
        await until(lambda: not here.parts.unproven)
        for stream in silent:
            await stream.aclose()

        assert await here.enrolled()


async def test_silent_peers_hold_no_handshake_slot(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        silent = [await trio.open_tcp_stream("127.0.0.1", here.port) for _ in range(listener.HANDSHAKE_SLOTS)]
        await until(lambda: here.parts.unproven["127.0.0.1"] == listener.HANDSHAKE_SLOTS)
        with trio.fail_after(listener.HANDSHAKE_SECONDS - 2):
            await here.enrolled()
        for stream in silent:
            await stream.aclose()


async def test_one_address_cannot_hold_every_handshake(tmp_path: Path) -> None:
    """A byte of a ClientHello from each of many connections, all of one address; agents elsewhere come in at once."""
    async with harbour(tmp_path) as here:
        hoarders = [await dial_from("127.0.0.2", here.port) for _ in range(listener.HANDSHAKE_SLOTS * 2)]
        for stream in hoarders:
            await stream.send_all(b"\x16")
        await until(lambda: len(here.parts.handshakes))
        with trio.fail_after(listener.HANDSHAKE_SECONDS / 2):
            await here.enrolled()
        for stream in hoarders:
            await stream.aclose()
        await until(lambda: not len(here.parts.handshakes))


@pytest.mark.parametrize("beside", [ValueError("a defect"), trio.BrokenResourceError("it left")])
async def test_a_fault_beside_a_cancellation_stays_in_its_connection(
    tmp_path: Path, beside: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the appliance stops, one connection's clean-up fails: nobody else hears of it."""
    begun = trio.Event()

    async def fails_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise beside

    async def serve_handshake(*_: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fails_when_cancelled)
            nursery.start_soon(trio.sleep_forever)
            begun.set()

    monkeypatch.setattr(listener, "serve_handshake", serve_handshake)
    async with harbour(tmp_path) as here, await trio.open_tcp_stream("127.0.0.1", here.port) as stream:
        await stream.send_all(b"\x16")
        await begun.wait()
    assert ("a defect of ours" in caplog.text) is isinstance(beside, ValueError)
    assert not here.parts.unproven


async def test_one_that_connects_and_asks_for_nothing_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "REQUEST_SECONDS", 0.2)
    async with harbour(tmp_path) as here:
        stream = await here.connect()
        with trio.fail_after(8), suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass
        stream.abort()
        await until(lambda: not here.parts.unproven)


async def test_older_tls_and_other_protocols_are_not_spoken(tmp_path: Path) -> None:
    async with harbour(tmp_path) as here:
        old = client_context(here.authority.certificate_pem, alpn=["h2"], tls13_only=False)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        http1 = client_context(here.authority.certificate_pem, alpn=["http/1.1"])
        for context in (old, http1):
            tcp = await trio.open_tcp_stream("127.0.0.1", here.port)
            from wire.tls import dial_handshake

            with pytest.raises(trio.BrokenResourceError):
                stream = await dial_handshake(tcp.socket, context, "127.0.0.1")
                try:
                    await stream.receive_some()
                finally:
                    stream.abort()
        await until(lambda: not here.parts.unproven)


def _signed_by(authority: Authority, here: Harbour, identity: Identity) -> Identity:
    """The agent's key, certified by someone without the store's knowledge."""
    key = here.agent().private_key().public_key()
    path = here.directory / "other.crt"
    path.write_text(authority.agent_certificate(key, CLUSTER, 1, utc_micros()).pem)
    return Identity(CLUSTER, here.url, identity.ca_pem, "", path, identity.key_path, 0, 0, 0)
