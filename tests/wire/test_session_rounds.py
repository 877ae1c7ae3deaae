"""Sessions heard where their bytes are seen: what one call leaves behind, and what it may do to others of its round."""

from __future__ import annotations

import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from tests.support.pair import ALICE, get, running, until
from tests.wire.test_session_tls import greet_by_hand, greeted, serve
from tests.wire.test_tls import joined, make_contexts
from wire import frames
from wire.carrier import Carrier
from wire.connection import BATCH_BYTES
from wire.frames import MAX_DATA_BYTES, MAX_NOTE_BYTES
from wire.heads import ResponseHead
from wire.passes import Passes
from wire.passes import _of_this_run as passes_of_this_run
from wire.readiness import ROUND, Readiness
from wire.session import Exchange, Session, SessionEnded, SessionLost
from wire.tls import TLSStream

pytestmark = [
    pytest.mark.real_clock,
    pytest.mark.skipif(not Readiness().available, reason="there is no epoll, and every session is heard by its task"),
]

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return make_contexts(tmp_path_factory.mktemp("tls"))


class Ends:
    """Sessions that run, and the sentences in which they ended."""

    def __init__(self, nursery: trio.Nursery, readiness: Readiness | None) -> None:
        self._nursery = nursery
        self._readiness = readiness
        self.said: dict[Session, str] = {}

    def run(self, session: Session, *, seen: bool = True, begin: Callable[..., bool] | None = None) -> None:
        self._nursery.start_soon(self._run, session, self._readiness if seen else None, begin)

    async def _run(self, session: Session, readiness: Readiness | None, begin: Callable[..., bool] | None) -> None:
        try:
            await session.run(answers, begin, readiness)
        except SessionEnded as ended:
            self.said[session] = str(ended)


async def answers(exchange: Exchange) -> None:
    assert exchange.answer_nowait(ResponseHead(200), exchange.request.target)


async def asks(opener: Session, target: bytes = b"/api") -> bytes:
    async with opener.open(get(target), ALICE, has_body=False) as exchange:
        await exchange.head()
        return await exchange.receive_some()


@asynccontextmanager
async def ends(*, by_a_task: bool = False) -> AsyncIterator[tuple[Readiness, Ends]]:
    readiness = Readiness()
    async with running(readiness), trio.open_nursery() as nursery:
        yield readiness, Ends(nursery, None if by_a_task else readiness)
        nursery.cancel_scope.cancel()


def spend_every_pass() -> None:
    """From here on each pass of this loop has had its share before anything is done in it."""
    made = Passes(clock=itertools.count().__next__)
    made.follow()
    passes_of_this_run.set(made)


async def by_hand(contexts: Contexts) -> tuple[Session, TLSStream, Carrier]:
    """An appliance's session, not yet running, and an agent that has nothing but a carrier."""
    client, server = await joined(contexts)
    sessions: list[Session] = []

    async def accept() -> None:
        sessions.append(await serve(server))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        carrier = await greet_by_hand(client)
    return sessions[0], client, carrier


def notes(carrier: Carrier, numbers: range) -> bytes:
    """NOTEs of the longest kind, one for each number."""
    said = [frames.encode_note(b"%d " % number + bytes(MAX_NOTE_BYTES - 10)) for number in numbers]
    return carrier.wrap(b"".join(said))


async def test_nothing_overtakes_what_is_left_to_the_reader(contexts: Contexts) -> None:
    """One read holds more than a pass allows. Until the reader's task has heard the rest, nobody else may hear."""
    spend_every_pass()
    opener, client, carrier = await by_hand(contexts)
    heard: list[int] = []
    armed: list[int] = []
    async with ends() as (readiness, running_sessions):

        def on_note(body: bytes) -> None:
            if not heard:
                readiness.later(lambda: armed.append(len(readiness)))
            heard.append(int(body.split()[0]))

        opener.on_note(on_note)
        running_sessions.run(opener)
        await until(lambda: len(readiness) == 1)
        await client.write(notes(carrier, range(10)))
        await client.write(notes(carrier, range(10, 14)))
        await until(lambda: len(heard) == 14)
        assert heard == list(range(14))
        assert armed == [0], "it is not called again in the very round in which it leaves something"
    client.abort()


@pytest.mark.parametrize("by_a_task", [False, True])
async def test_a_defect_ends_one_session_of_a_round_and_no_other(
    contexts: Contexts, by_a_task: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """More sessions than a round has calls are spoken to at once. One call is a defect, and leaves work to another."""
    pairs = [await greeted(contexts) for _ in range(ROUND + 2)]
    answered: dict[int, list[bytes]] = {number: [] for number in range(len(pairs))}
    async with ends(by_a_task=by_a_task) as (_, running_sessions):
        for number, (opener, acceptor) in enumerate(pairs):

            def on_note(_: bytes, number: int = number, opener: Session = opener) -> None:
                if number == 3:
                    pairs[7][0].note(b"in passing")
                    raise RuntimeError("a defect")
                opener.note(b"answer")

            opener.on_note(on_note)
            acceptor.on_note(answered[number].append)
            running_sessions.run(opener)
            running_sessions.run(acceptor, seen=False)
        broken = pairs[3][0]
        open_there = broken.open(get(), ALICE, has_body=True)
        for _, acceptor in pairs:
            acceptor.note(b"question")
        with pytest.raises(SessionLost):
            while True:
                await open_there.receive_some()
        await until(lambda: all(b"answer" in got for number, got in answered.items() if number != 3))
        await until(lambda: sorted(answered[7]) == [b"answer", b"in passing"])
        await until(lambda: broken in running_sessions.said)
        assert {session for session in running_sessions.said if session.connection.opener} == {broken}
        assert running_sessions.said[broken] == "a defect of this end"
        assert [await asks(opener) for opener, _ in pairs if opener is not broken] == [b"/api"] * (len(pairs) - 1)
    assert caplog.text.count("a session ended by a defect of ours") == 1


@pytest.mark.parametrize("when", ["while it is heard", "when the round ends"])
async def test_a_session_may_end_between_a_call_and_the_end_of_its_round(contexts: Contexts, when: str) -> None:
    """It has something to write by then, and something left to hear; its descriptor is nobody's."""
    spend_every_pass()
    opener, client, carrier = await by_hand(contexts)
    neighbour, other = await greeted(contexts)
    async with ends() as (readiness, running_sessions):

        def on_note(_: bytes) -> None:
            opener.note(b"never said")
            if when == "while it is heard":
                opener.abort()
            elif opener.alive:
                readiness.later(opener.abort)

        opener.on_note(on_note)
        for session in (opener, neighbour, other):
            running_sessions.run(session)
        await until(lambda: len(readiness) == 3)
        await client.write(notes(carrier, range(7)))
        await until(lambda: opener in running_sessions.said)
        assert len(readiness) == 2
        assert await asks(neighbour) == b"/api"
        assert list(running_sessions.said) == [opener]
    client.abort()


async def test_a_write_that_was_begun_is_repeated_by_the_writer(contexts: Contexts) -> None:
    """A round's answers are more than the kernel takes: half a record is out when the writer's task goes on with it."""
    opener, acceptor = await greeted(contexts)
    assert isinstance(acceptor._stream, TLSStream)
    acceptor._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the kernel makes it its least
    begun: list[int] = []
    async with ends() as (readiness, running_sessions):

        def begin(exchange: Exchange, carry: object) -> bool:
            number = int(exchange.request.target[1:])
            sent = exchange.answer_nowait(ResponseHead(200), bytes([number]) * MAX_DATA_BYTES)
            exchange.close()
            if sent and readiness.in_round:
                readiness.later(lambda: begun.append(len(acceptor._unsent)))
            return sent

        running_sessions.run(opener, seen=False)
        running_sessions.run(acceptor, begin=begin)
        for _ in range(3):
            exchanges = [opener.open(get(b"/%d" % number), ALICE, has_body=False) for number in range(12)]
            for number, exchange in enumerate(exchanges):
                body = b""
                while piece := await exchange.receive_some():
                    body += piece
                assert body == bytes([number]) * MAX_DATA_BYTES
                await exchange.aclose()
        assert max(begun) > BATCH_BYTES // 2
        assert not running_sessions.said


async def test_a_flood_of_the_smallest_frames_starves_nobody(contexts: Contexts) -> None:
    opener, client, carrier = await by_hand(contexts)
    neighbour, other = await greeted(contexts)
    burst = frames.encode_ping(b"12345678") * 4_000
    served = trio.Event()
    flooded = 0

    async def flood() -> None:
        nonlocal flooded
        while carrier.sendable > len(burst) and not served.is_set():
            try:
                await client.write(carrier.wrap(burst))
            except trio.BrokenResourceError:
                return  # the appliance may end such a session
            flooded += 1

    async with ends() as (_, running_sessions):
        for session in (opener, neighbour, other):
            running_sessions.run(session)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            with trio.fail_after(20):
                for number in range(30):
                    assert await asks(neighbour, b"/%d" % number) == b"/%d" % number
            served.set()
        assert flooded > 0
        assert not {neighbour, other} & set(running_sessions.said)
    client.abort()
