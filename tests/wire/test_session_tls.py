"""Sessions over real TLS and real sockets: floods, cut paths, mangled bytes."""

from __future__ import annotations

import os
import random
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.support.pair import ALICE, get, running, until
from tests.wire.test_tls import joined, make_contexts
from wire import frames
from wire.carrier import Carrier, TunnelOpened, TunnelRequested
from wire.credit import FIRST_WINDOW
from wire.heads import ResponseHead
from wire.opening import ROOM_BYTES, accept_session, dial_session
from wire.readiness import Readiness
from wire.session import Exchange, Session, SessionDraining, SessionEnded, SessionLost
from wire.tls import TLSStream
from wire.transport import ByteStream

pytestmark = pytest.mark.real_clock

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]

HEARTBEAT_SECONDS = 0.01
LATE_SECONDS = 0.05
"""How much work a process may do between two heartbeats while a peer floods it, in seconds of its own CPU: what else
the machine does is not the peer's fault."""

SO_BUF_LOCK, RECEIVE_LOCKED = 72, 2  # <asm-generic/socket.h>, <linux/socket.h>: the size was set, and will not grow
ROOM_OPTIONS = (socket.SO_RCVBUF, socket.SO_RCVLOWAT, SO_BUF_LOCK)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return make_contexts(tmp_path_factory.mktemp("tls"))


async def serve(stream: ByteStream) -> Session:
    carrier = Carrier(client=False)
    while True:
        for event in carrier.receive(await stream.read()):
            if isinstance(event, TunnelRequested):
                return await accept_session(stream, carrier, event.stream_id, "appliance")


async def greeted(contexts: Contexts) -> tuple[Session, Session]:
    client, server = await joined(contexts)
    sessions: dict[str, Session] = {}

    async def accept() -> None:
        sessions["opener"] = await serve(server)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        sessions["acceptor"] = await dial_session(client, b"localhost", "agent")
    return sessions["opener"], sessions["acceptor"]


async def greet_by_hand(client: TLSStream) -> Carrier:
    """Greet as an agent that has nothing but a carrier."""
    carrier = Carrier(client=True)
    carrier.request_tunnel(b"localhost")
    await client.write(carrier.take())
    while TunnelOpened() not in carrier.receive(await client.read()):
        pass
    hello = frames.encode_hello(frames.Hello(1, 1, (), 65536, 10, b""))
    await client.write(carrier.take() + carrier.wrap(hello))
    return carrier


@pytest.fixture(autouse=True, params=["by a task", "where it is seen"])
def heard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test twice: what is said is heard by the reader's task, or before any task runs."""
    HEARD["how"] = request.param
    yield
    HEARD.clear()


HEARD: dict[str, str] = {}


async def run(session: Session, handler: object = None) -> None:
    readiness = Readiness() if HEARD["how"] == "where it is seen" else None
    async with running(readiness):
        with pytest.raises(SessionEnded):
            await session.run(handler, None, readiness)  # type: ignore[arg-type]


async def test_the_kernel_takes_a_burst_from_the_first_byte_on_and_grows_its_room_further(contexts: Contexts) -> None:
    client, server = await joined(contexts)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, server)
        nursery.start_soon(dial_session, client, b"localhost", "agent")
    for stream in (client, server):
        with socket.socket(fileno=os.dup(stream.file_number)) as sock:
            stream.abort()
            room, least, locked = (sock.getsockopt(socket.SOL_SOCKET, it) for it in ROOM_OPTIONS)
        assert room >= ROOM_BYTES
        assert least == 1, "one byte wakes the reader"
        assert not locked & RECEIVE_LOCKED


async def test_64_mib_pass_both_ways_at_once(contexts: Contexts) -> None:
    opener, acceptor = await greeted(contexts)
    size = 64 << 20

    async def agent(exchange: Exchange) -> None:
        await exchange.send_head(ResponseHead(200))
        received = 0

        async def receive() -> None:
            nonlocal received
            while data := await exchange.read():
                received += len(data)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            for _ in range(size // 65536):
                await exchange.write(bytes(65536))
        assert received == size
        await exchange.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, opener)
        nursery.start_soon(run, acceptor, agent)
        exchange = opener.open(get(), ALICE, has_body=True)

        async def send() -> None:
            for _ in range(size // 65536):
                await exchange.write(bytes(65536))
            await exchange.send_eof()

        async with trio.open_nursery() as bodies:
            bodies.start_soon(send)
            await exchange.head()
            total = 0
            while data := await exchange.read():
                total += len(data)
        assert total == size
        opener.abort()


async def test_a_flooding_agent_does_not_delay_a_heartbeat(contexts: Contexts) -> None:
    """PINGs as fast as a socket takes them. The session may end; the appliance's loop stays its own."""
    client, server = await joined(contexts)
    late: list[float] = []

    async def heartbeat() -> None:
        while True:
            began = time.process_time()
            await trio.sleep(HEARTBEAT_SECONDS)
            late.append(time.process_time() - began)

    async def flood() -> None:
        carrier = await greet_by_hand(client)
        burst = frames.encode_ping(b"12345678") * 4000
        try:
            while carrier.sendable > len(burst):
                await client.write(carrier.wrap(burst))
        except trio.BrokenResourceError:
            pass

    async def appliance() -> None:
        session = await serve(server)
        await run(session)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat)
        nursery.start_soon(appliance)
        with trio.move_on_after(3):
            await flood()
        nursery.cancel_scope.cancel()
    client.abort()
    assert len(late) > 2
    assert max(late) <= LATE_SECONDS  # the flooding client shares this loop, so its own work counts too


async def test_a_path_that_is_cut_fails_what_is_open_at_once(contexts: Contexts) -> None:
    opener, acceptor = await greeted(contexts)

    async def agent(exchange: Exchange) -> None:
        await exchange.send_head(ResponseHead(200))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, opener)
        nursery.start_soon(run, acceptor, agent)
        exchange = opener.open(get(), ALICE, has_body=False)
        await exchange.head()
        acceptor.abort()
        with pytest.raises(SessionLost), trio.fail_after(15):
            await exchange.receive_some()


@pytest.mark.parametrize("position", range(0, 400, 23))
async def test_mangled_bytes_end_the_session_and_nothing_else(
    contexts: Contexts, position: int, tmp_path: Path
) -> None:
    """One byte of a valid transcript is changed at `position`: the session ends with a sentence or goes on."""
    client, server = await joined(contexts)
    carrier = Carrier(client=True)
    carrier.request_tunnel(b"localhost")
    opening = carrier.take()
    hello = frames.encode_hello(frames.Hello(1, 1, (), 65536, 10, b"agent"))
    wire = opening + b"\x00\x00" + bytes([len(hello)]) + b"\x00\x00\x00\x00\x00\x01" + hello + opening[24:]
    mangled = wire[:position] + bytes([wire[position % len(wire)] ^ 0x55]) + wire[position + 1 :]

    async def appliance() -> None:
        with trio.move_on_after(1):
            try:
                session = await serve(server)
                await session.run()
            except (SessionEnded, trio.BrokenResourceError, Exception) as error:
                assert type(error).__name__ in {"SessionEnded", "BrokenResourceError", "CarrierError"}

    async with trio.open_nursery() as nursery:
        nursery.start_soon(appliance)
        await client.write(mangled)
        client.abort()
    server.abort()


async def test_a_session_aborted_while_its_writer_is_about_to_run_has_ended(contexts: Contexts) -> None:
    opener, acceptor = await greeted(contexts)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, acceptor)
        nursery.start_soon(run, opener)
        assert await opener.stands()
        await trio.testing.wait_all_tasks_blocked(0.01)
        opener.note(b"\x80")
        opener.abort()  # as a revocation does; `run` sees that nothing but SessionEnded comes of it


@pytest.mark.interpreted
async def test_a_write_that_fails_ends_the_session_though_nothing_is_heard(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a PING cannot be written; the peer neither ends nor reads, and no pulse comes to notice."""
    monkeypatch.setattr("wire.session.PULSE_SECONDS", 1_000.0)
    client, server = await joined(contexts)

    async def appliance() -> None:
        await run(await serve(server))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(appliance)
        carrier = await greet_by_hand(client)
        await client.write(carrier.wrap(frames.encode_ping(b"first")))
        while b"first" not in await client.read():
            pass  # what comes before it is HELLO and a PING
        server.socket.shutdown(socket.SHUT_WR)
        await client.write(carrier.wrap(frames.encode_ping(b"second")))
        await until(lambda: server.closed)
    client.abort()


async def test_what_concerns_no_exchange_is_heard(contexts: Contexts) -> None:
    """PING, NOTE and DRAIN, while an exchange is open that is still to end whole."""
    opener, acceptor = await greeted(contexts)
    go_on = trio.Event()
    said: list[tuple[str, bytes]] = []

    async def agent(exchange: Exchange) -> None:
        await go_on.wait()
        assert exchange.answer_nowait(ResponseHead(200), b"whole")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, opener)
        nursery.start_soon(run, acceptor, agent)
        assert await opener.stands()
        assert await acceptor.stands()
        opener.on_note(lambda body: said.append(("acceptor", body)))
        acceptor.on_note(lambda body: said.append(("opener", body)))
        opener.on_drain(lambda: said.append(("acceptor", b"DRAIN")))
        exchange = opener.open(get(), ALICE, has_body=False)
        opener.note(b"one")
        acceptor.note(b"two")
        await until(lambda: len(said) == 2)
        acceptor.drain(10)
        await until(lambda: len(said) == 3)
        with pytest.raises(SessionDraining):
            opener.open(get(), ALICE, has_body=False)
        go_on.set()
        assert await exchange.receive_some() == b"whole"
        # And both ends leave by themselves: nothing is open and nothing will be.
    assert sorted(said) == [("acceptor", b"DRAIN"), ("acceptor", b"two"), ("opener", b"one")]


async def test_a_reader_that_pauses_stops_its_sender_and_loses_nothing(contexts: Contexts) -> None:
    opener, acceptor = await greeted(contexts)
    whole = random.Random(1).randbytes(4 << 20)
    sent = 0

    async def agent(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.send_head(ResponseHead(200))
        if exchange.request.target == b"/long":
            for start in range(0, len(whole), 10_000):
                await exchange.write(whole[start : start + 10_000])
                sent += 10_000
        await exchange.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, opener)
        nursery.start_soon(run, acceptor, agent)
        slow = opener.open(get(b"/long"), ALICE, has_body=False)
        await until(lambda: sent + 10_000 > FIRST_WINDOW)
        for _ in range(50):
            async with opener.open(get(), ALICE, has_body=False) as neighbour:
                assert await neighbour.receive_some() == b""
        assert sent <= FIRST_WINDOW, "no more than the reader has given credit for"
        received = b""
        while piece := await slow.receive_some():
            received += piece
        assert received == whole
        opener.abort()
