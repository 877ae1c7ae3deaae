"""Thousands of changes between the two ways in which a session is heard, with bytes cut anywhere: all arrive, once."""

from __future__ import annotations

import hashlib
import random

import pytest
import trio
import trio.testing

from tests.support.pair import ALICE, get
from tests.wire.test_session_tls import (  # noqa: F401 -- two of them are fixtures
    Contexts,
    contexts,
    heard,
    run,
    serve,
)
from tests.wire.test_tls import joined
from wire.heads import ResponseHead
from wire.opening import dial_session
from wire.passes import PASS_SECONDS, Passes
from wire.passes import _of_this_run as passes_of_this_run
from wire.session import Exchange, Session
from wire.tls import TLSStream

pytestmark = pytest.mark.real_clock

EXCHANGES = 6
BYTES = 4_000_000
"""Each way, for each exchange: together thousands of cuts."""


class Cutting:
    """A session's transport that cuts what it writes, and what it reads, anywhere: after a byte, or after 100 KiB."""

    def __init__(self, stream: TLSStream, chance: random.Random) -> None:
        self._stream = stream
        self._chance = chance
        self.cuts = 0

    def _size(self) -> int:
        self.cuts += 1
        return int(2 ** self._chance.uniform(0, 17))

    async def write(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            size = self._size()
            await self._stream.write(data[start : start + size])
            start += size
            if self._chance.random() < 0.5:
                await trio.lowlevel.checkpoint()  # the other end hears what there is so far

    async def read(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.read(min(max_bytes, self._size()))

    def writable_now(self) -> bool:
        return self._stream.writable_now()

    async def wait_writable(self) -> None:
        await self._stream.wait_writable()

    def abort(self) -> None:
        self._stream.abort()


def spend_passes_at_random(chance: random.Random) -> None:
    """A pass has had its share after any piece of work, or not: so any piece may be left to a task."""
    made = Passes(clock=lambda: chance.random() * PASS_SECONDS * 3)
    made.follow()
    passes_of_this_run.set(made)


@pytest.mark.interpreted
@pytest.mark.parametrize("seed", range(2))
async def test_every_byte_arrives_once_and_in_order_however_it_is_cut(
    contexts: Contexts,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    """One end cuts, the other is the one that is put to the test: the acceptor, then the opener."""
    monkeypatch.setattr("wire.session._PIECE_BYTES", 700)  # so that most of what is read is more than one piece,
    monkeypatch.setattr("wire.session._SHORTCUT_BYTES", 5_000)  # and much of it more than one read
    chance = random.Random(seed)
    spend_passes_at_random(chance)
    client, server = await joined(contexts)
    cutting = Cutting(client if seed else server, chance)
    sessions: dict[str, Session] = {}

    async def accept() -> None:
        sessions["opener"] = await serve(server if seed else cutting)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        acceptor = await dial_session(cutting if seed else client, b"localhost", "agent")
    opener = sessions["opener"]

    async def echo(exchange: Exchange) -> None:
        await exchange.send_head(ResponseHead(200))
        while data := await exchange.read(chance.randrange(1, 70_000)):
            await exchange.write(data)
        await exchange.send_eof()

    async def talk() -> None:
        whole = chance.randbytes(BYTES)
        back = hashlib.sha256()
        async with opener.open(get(), ALICE, has_body=True) as exchange, trio.open_nursery() as bodies:

            async def send() -> None:
                start = 0
                while start < len(whole):
                    size = chance.randrange(1, 20_000)
                    await exchange.write(whole[start : start + size])
                    start += size
                await exchange.send_eof()

            bodies.start_soon(send)
            count = 0
            while data := await exchange.read(chance.randrange(1, 70_000)):
                back.update(data)
                count += len(data)
            assert count == len(whole)
            assert back.digest() == hashlib.sha256(whole).digest()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, acceptor, echo)
        nursery.start_soon(run, opener)
        async with trio.open_nursery() as talks:
            for _ in range(EXCHANGES):
                talks.start_soon(talk)
        opener.abort()
    assert cutting.cuts > 1_000
