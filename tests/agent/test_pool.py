"""Which connection is used next, and which never again. Real ones: tests/agent/test_relay."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, cast

import pytest
import trio

from agent.pool import IDLE_SECONDS, MAX_AGE_SECONDS, MAX_IDLE, Connection, Pool
from wire.tls import TLSStream

pytestmark = pytest.mark.interpreted  # its streams are stand-ins


@dataclass
class Line:
    """A TLS stream as far as the pool sees one."""

    number: int
    waiting: bytes | None = None
    broken: bool = False
    closed: bool = False
    ends: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    all: ClassVar[list[Line]] = []

    def __post_init__(self) -> None:
        Line.all.append(self)

    @property
    def socket(self) -> socket.socket:
        return self.ends[0]

    def stir(self) -> None:
        """Let the kernel say that there is something to read."""
        self.ends[1].send(b"x")

    def receive_nowait(self) -> bytes | None:
        if self.broken:
            raise trio.BrokenResourceError
        return self.waiting

    def abort(self) -> None:
        self.closed = True
        for end in self.ends:
            end.close()


class Lines:
    def __init__(self) -> None:
        self.made: list[Line] = []

    async def dial(self) -> TLSStream:
        await trio.lowlevel.checkpoint()
        self.made.append(Line(len(self.made)))
        return cast("TLSStream", self.made[-1])


def line(connection: Connection | None) -> Line:
    assert connection is not None
    return cast("Line", connection.stream)


async def filled(count: int) -> tuple[Pool, list[Line]]:
    lines = Lines()
    pool = Pool(lines.dial)
    for connection in [await pool.connect() for _ in range(count)]:
        pool.give(connection)
    return pool, lines.made


@pytest.fixture(autouse=True)
def no_open_sockets() -> Iterator[None]:
    """Close what a test leaves open."""
    Line.all.clear()
    yield
    for one in Line.all:
        one.abort()


async def test_the_one_used_last_is_used_first() -> None:
    pool, lines = await filled(3)

    assert [line(pool.take()).number for _ in lines] == [2, 1, 0]
    assert pool.take() is None


async def test_one_that_ended_or_has_unread_bytes_is_not_used() -> None:
    pool, lines = await filled(4)
    lines[3].waiting = b""
    lines[2].waiting = b"HTTP/1.1 400"
    lines[1].broken = True
    for one in lines:
        one.stir()

    assert line(pool.take()).number == 0
    assert [one.closed for one in lines] == [False, True, True, True]


async def test_idle_ones_are_closed_in_time() -> None:
    pool, lines = await filled(2)
    await trio.sleep(IDLE_SECONDS - 1)
    used = pool.take()
    assert used is not None
    pool.give(used)
    await trio.sleep(2)

    pool.sweep()

    assert [one.closed for one in lines] == [True, False]
    await trio.sleep(IDLE_SECONDS)
    assert pool.take() is None


async def test_none_grows_older_than_ten_minutes() -> None:
    pool, lines = await filled(1)
    for _ in range(int(MAX_AGE_SECONDS // 30)):
        await trio.sleep(30)
        connection = pool.take()
        if connection is None:
            break
        pool.give(connection)

    assert lines[0].closed


async def test_leftover_bytes_keep_a_connection_out() -> None:
    pool, lines = await filled(1)
    connection = pool.take()
    assert connection is not None
    connection.buffer = b"x"

    pool.give(connection)

    assert lines[0].closed


async def test_only_so_many_are_kept() -> None:
    pool, lines = await filled(MAX_IDLE + 3)

    assert len(pool) == MAX_IDLE
    assert sum(one.closed for one in lines) == 3


async def test_a_closed_pool_keeps_nothing() -> None:
    pool, lines = await filled(1)
    late = await pool.connect()

    pool.close()
    pool.give(late)

    assert all(one.closed for one in lines)
