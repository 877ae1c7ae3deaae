"""Who is called when bytes come, and who is not: real TLS on loopback, no session."""

from __future__ import annotations

import os
import socket
import ssl

import pytest
import trio

from tests.support.pair import running, until
from tests.wire.test_tls import contexts, joined, loopback_pair  # noqa: F401 -- a fixture
from wire.readiness import ROUND, SHARE, Readiness
from wire.tls import TLSStream

pytestmark = [
    pytest.mark.real_clock,
    pytest.mark.skipif(not Readiness().available, reason="there is no epoll, and nothing is ever called"),
]

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


class Heard:
    """What one stream's call took, and what it does besides."""

    def __init__(self, readiness: Readiness, stream: TLSStream) -> None:
        self.readiness = readiness
        self.stream = stream
        self.taken = b""
        self.told = trio.Event()
        readiness.arm(stream, self.take)

    def take(self) -> None:
        self.taken += self.stream.receive_nowait() or b""
        self.told.set()

    async def hears(self, client: TLSStream, data: bytes) -> bool:
        self.told = trio.Event()
        await client.write(data)
        with trio.move_on_after(5):
            await self.told.wait()
        return self.taken.endswith(data)


async def test_a_call_is_made_while_armed_and_only_then(contexts: Contexts) -> None:  # noqa: F811
    client, server = await joined(contexts)
    readiness = Readiness()
    async with running(readiness):
        heard = Heard(readiness, server)
        assert await heard.hears(client, b"one")
        readiness.disarm(server)
        assert len(readiness) == 0
        await client.write(b"two")
        assert await server.read() == b"two", "a task reads it"
        readiness.arm(server, heard.take)
        assert await heard.hears(client, b"three")
        assert heard.taken == b"onethree"
    client.abort()
    server.abort()


async def test_a_stream_that_closed_does_not_silence_the_next_of_its_number(contexts: Contexts) -> None:  # noqa: F811
    gone_client, gone = await joined(contexts)
    left, right = loopback_pair()
    readiness = Readiness()
    async with running(readiness):
        readiness.arm(gone, lambda: None)
        gone.abort()
        assert len(readiness) == 0
        taken_over = socket.socket(fileno=os.dup(right.fileno()))  # the lowest number that is free
        right.close()
        client, server = await joined(contexts, (left, taken_over))
        assert server.file_number == gone.file_number
        heard = Heard(readiness, server)
        readiness.disarm(gone)  # by a task that learns of its end only now
        assert await heard.hears(client, b"still heard")
    for stream in (gone_client, client, server):
        stream.abort()


async def test_a_call_that_raises_ends_its_own_stream_and_the_round_goes_on(contexts: Contexts) -> None:  # noqa: F811
    """As many as one round has calls; the third is a defect, the fourth closes its stream and the fifth's."""
    pairs = [await joined(contexts) for _ in range(ROUND)]
    readiness = Readiness()
    called: list[int] = []
    left: list[int] = []

    def call(number: int) -> None:
        called.append(number)
        if number == 3:
            pairs[4][1].abort()
        pairs[number][1].receive_nowait()
        readiness.later(lambda: left.append(number))
        if number == 2:
            raise RuntimeError("a defect")
        if number == 3:
            pairs[3][1].abort()

    for number, (client, server) in enumerate(pairs):
        readiness.arm(server, lambda number=number: call(number))  # type: ignore[misc]
        await client.write(b"x")
    async with running(readiness):
        await until(lambda: len(left) >= ROUND - 1)
        assert sorted(called) == sorted(left)
        assert set(range(ROUND)) - set(called) <= {4}, "closed by another's call before its own"
        assert len(readiness) == ROUND - 3
        assert [pairs[number][1].closed for number in range(6)] == [False, False, True, True, True, False]
    for pair in pairs:
        for stream in pair:
            stream.abort()


async def test_what_calls_leave_is_done_once_the_round_is_over(contexts: Contexts) -> None:  # noqa: F811
    client, server = await joined(contexts)
    readiness = Readiness()
    done: list[bool] = []

    def call() -> None:
        server.receive_nowait()
        assert readiness.in_round
        readiness.later(lambda: done.append(readiness.in_round))

    readiness.arm(server, call)
    async with running(readiness):
        assert not readiness.in_round
        for count in range(1, 2 * ROUND):
            await client.write(b"x")
            await until(lambda count=count: len(done) >= count)  # type: ignore[misc]
        assert not any(done)
        assert not readiness.in_round
    client.abort()
    server.abort()


async def test_streams_that_never_fall_silent_leave_the_loop_to_others(contexts: Contexts) -> None:  # noqa: F811
    """Calls that take nothing are made again and again: between two turns of a task, no more than SHARE."""
    pairs = [await joined(contexts) for _ in range(3)]
    readiness = Readiness()
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1

    for client, server in pairs:
        readiness.arm(server, call)
        await client.write(b"never taken")
    async with running(readiness):
        for _ in range(200):
            before = calls
            await trio.lowlevel.checkpoint()
            assert calls - before <= SHARE
        assert calls > 100
    for pair in pairs:
        for stream in pair:
            stream.abort()


async def test_one_that_has_ended_calls_nobody_and_stops_nobody(contexts: Contexts) -> None:  # noqa: F811
    client, server = await joined(contexts)
    readiness = Readiness()
    async with running(readiness):
        await trio.lowlevel.checkpoint()
    readiness.arm(server, lambda: None)
    readiness.disarm(server)
    client.abort()
    server.abort()
