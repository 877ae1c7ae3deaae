"""TLS streams over real sockets: Trio's own conformance checks, endings, and cancelled writes."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.support.certificates import TestCA
from wire import tls
from wire.contexts import client_context, server_context

pytestmark = pytest.mark.real_clock


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return make_contexts(tmp_path_factory.mktemp("tls"))


def make_contexts(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    ca = TestCA.make()
    server = server_context(*ca.issue(directory, "server"), alpn=["h2"], tls13_only=True)
    client = client_context(ca.pem, alpn=["h2"])
    return server, client


async def joined(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], pair: tuple[socket.socket, socket.socket] | None = None
) -> tuple[tls.TLSStream, tls.TLSStream]:
    """Return (client, server) over `pair`, or over a real TCP connection on loopback."""
    left, right = pair or loopback_pair()
    streams: dict[str, tls.TLSStream] = {}

    async def serve() -> None:
        streams["server"] = await tls.serve_handshake(right, contexts[0])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        streams["client"] = await tls.dial_handshake(left, contexts[1], "localhost")
    return streams["client"], streams["server"]


def loopback_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        left = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    return left, right


async def test_passes_the_stream_checks_of_trio(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def stream_maker() -> tuple[tls.TLSStream, tls.TLSStream]:
        return await joined(contexts, socket.socketpair())

    async def clogged_stream_maker() -> tuple[tls.TLSStream, tls.TLSStream]:
        # A UNIX socket pair: what one end has not read stays in the other's account, so it really clogs.
        client, server = await stream_maker()
        for stream in (client, server):
            while stream.writable_now():
                stream.socket.send(bytes(4096))
        return client, server

    await trio.testing.check_half_closeable_stream(stream_maker, clogged_stream_maker)


async def test_the_end_without_close_notify_is_not_the_end(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client, server = await joined(contexts)
    await server.send_all(b"half of it")
    server.abort()

    assert await client.receive_some() == b"half of it"
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()
    client.abort()


async def test_close_notify_is_the_end(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client, server = await joined(contexts)
    await server.send_all(b"all of it")
    await server.aclose()

    assert await client.receive_some() == b"all of it"
    assert await client.receive_some() == b""
    await client.aclose()


async def test_half_close_leaves_the_other_direction_open(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Also when bytes of the other direction are already waiting as we say goodbye."""
    client, server = await joined(contexts)
    await server.send_all(b"early ")
    await trio.testing.wait_all_tasks_blocked()
    await client.send_eof()
    assert await server.receive_some() == b""
    await server.send_all(b"late")
    await server.aclose()

    received = b""
    while data := await client.receive_some():
        received += data
    assert received == b"early late"
    await client.aclose()


async def test_a_dropped_write_buffer_is_not_noticed(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client, server = await joined(contexts)
    client.drop_write_buffer()
    assert server.receive_nowait() is None  # nothing was sent
    await client.send_all(b"a request")
    assert await server.receive_some() == b"a request"
    await server.send_all(b"an answer")
    client.drop_write_buffer()
    assert await client.receive_some() == b"an answer"
    await client.send_eof()
    client.drop_write_buffer()
    assert await server.receive_some() == b""
    await server.send_all(b"the rest")
    assert await client.receive_some() == b"the rest"
    for stream in (client, server):
        stream.abort()
        stream.drop_write_buffer()


async def test_a_cancelled_write_breaks_the_stream_for_good(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client, server = await joined(contexts)
    with trio.move_on_after(0.1) as scope:
        await client.send_all(bytes(64 << 20))
    assert scope.cancelled_caught

    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"more")
    await client.aclose()
    with pytest.raises(trio.BrokenResourceError):
        while await server.receive_some():
            pass
    server.abort()


async def test_large_transfers_arrive_whole_both_ways(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client, server = await joined(contexts)
    payload = bytes(range(256)) * 16384

    async def send(stream: tls.TLSStream) -> None:
        await stream.send_all(payload)

    async def receive(stream: tls.TLSStream) -> None:
        got = bytearray()
        while len(got) < len(payload):
            got += await stream.read()
        assert got == payload

    async with trio.open_nursery() as nursery:
        for stream in (client, server):
            nursery.start_soon(send, stream)
            nursery.start_soon(receive, stream)
    await client.aclose()
    await server.aclose()


async def test_a_server_of_another_ca_is_not_trusted(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path
) -> None:
    _, stranger = make_contexts(tmp_path)
    left, right = loopback_pair()

    async def serve() -> None:
        with pytest.raises(trio.BrokenResourceError):
            stream = await tls.serve_handshake(right, contexts[0])
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(trio.BrokenResourceError, match="certificate"):
            await tls.dial_handshake(left, stranger, "localhost")


async def test_a_server_computes_nothing_of_a_handshake_before_its_turn(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    left, right = loopback_pair()
    asked, granted = trio.open_memory_channel[None](0), trio.open_memory_channel[None](0)
    served: list[tls.TLSStream] = []

    async def turn() -> None:
        await asked[0].send(None)
        await granted[1].receive()

    async def serve() -> None:
        served.append(await tls.serve_handshake(right, contexts[0], turn))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        dialled: list[tls.TLSStream] = []

        async def dial() -> None:
            dialled.append(await tls.dial_handshake(left, contexts[1], "localhost"))

        nursery.start_soon(dial)
        for finished in (0, 1):  # what the server says first completes the client's end, and not yet its own
            with trio.fail_after(15):
                await asked[1].receive()
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert (len(dialled), served) == (finished, [])
                await granted[0].send(None)
    assert len(served) == 1
    for stream in (*served, *dialled):
        stream.abort()


async def test_a_flood_does_not_starve_the_loop(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """A reader whose bytes are always there must still let a counting task run."""
    client, server = await joined(contexts)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        nursery.start_soon(client.send_all, bytes(8 << 20))
        left = 8 << 20
        while left:
            left -= len(await server.read())
        nursery.cancel_scope.cancel()
    assert turns >= (8 << 20) // (256 * 1024)
    client.abort()
    server.abort()
