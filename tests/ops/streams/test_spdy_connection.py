"""Two ends of a SPDY connection in memory: order, half-close, resets, credit, and bounds when nobody reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from ops.demo.toy.streams.outbox import OUTBOX_BYTES
from ops.demo.toy.streams.spdy_connection import (
    INITIAL_WINDOW,
    MAX_DATA_BYTES,
    MAX_STREAMS,
    MAX_UNREAD_BYTES,
    SpdyConnection,
)
from ops.demo.toy.streams.spdy_frames import (
    Data,
    Decoder,
    Encoder,
    Ping,
    RstStream,
    Settings,
    SynReply,
    SynStream,
    WindowUpdate,
)
from tests.ops.streams.rig_local import read_all


@asynccontextmanager
async def both_ends(*, counts_credit: bool = False) -> AsyncIterator[tuple[SpdyConnection, SpdyConnection]]:
    left, right = trio.testing.lockstep_stream_pair()  # keeps nothing: what is buffered is buffered by us
    client = SpdyConnection(left, client=True, counts_credit=counts_credit)
    server = SpdyConnection(right)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        nursery.start_soon(server.run)
        yield client, server
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("counts_credit", [False, True])
async def test_many_streams_at_once_each_in_order_with_half_close(counts_credit: bool) -> None:
    async with both_ends(counts_credit=counts_credit) as (client, server), trio.open_nursery() as nursery:

        async def echo() -> None:
            stream = await server.accept()
            assert stream.headers["streamtype"] == "data"
            while data := await stream.receive_some():
                await stream.send_all(data)
            await stream.send_eof()

        async def talk(number: int) -> None:
            stream = client.open_stream((("streamtype", "data"),))
            sent = bytes((number,)) * 300_000
            nursery.start_soon(stream.send_all, sent)
            received = b""
            while len(received) < len(sent):
                received += await stream.receive_some()
            await stream.send_eof()
            assert await stream.receive_some() == b""
            assert received == sent

        async with trio.open_nursery() as talks:
            for number in range(20):
                nursery.start_soon(echo)
                talks.start_soon(talk, number)
        await trio.testing.wait_all_tasks_blocked()
        assert not client.streams
        assert not server.streams


@pytest.mark.parametrize("counts_credit", [False, True])
async def test_a_peer_that_does_not_read_stops_the_sender_in_bounded_memory(counts_credit: bool) -> None:
    async with both_ends(counts_credit=counts_credit) as (client, server), trio.open_nursery() as nursery:
        theirs = client.open_stream(())
        ours = await server.accept()
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await ours.send_all(bytes(16 * 1024))
                sent += 16 * 1024

        nursery.start_soon(flood)
        await trio.testing.wait_all_tasks_blocked()
        assert theirs.unread <= (INITIAL_WINDOW if counts_credit else MAX_UNREAD_BYTES + MAX_DATA_BYTES)
        assert sent <= MAX_UNREAD_BYTES + 2 * OUTBOX_BYTES + 4 * MAX_DATA_BYTES
        before = sent
        for _ in range(64):
            await theirs.receive_some()
        await trio.testing.wait_all_tasks_blocked()
        assert sent > before
        nursery.cancel_scope.cancel()


async def test_with_credit_a_stalled_stream_does_not_hold_up_its_neighbour() -> None:
    async with both_ends(counts_credit=True) as (client, server), trio.open_nursery() as nursery:
        stalled, lively = client.open_stream(()), client.open_stream(())
        first, second = await server.accept(), await server.accept()
        nursery.start_soon(first.send_all, bytes(1_000_000))

        async def send() -> None:
            await second.send_all(bytes(1_000_000))
            await second.send_eof()

        nursery.start_soon(send)
        assert len(await read_all(lively)) == 1_000_000
        assert stalled.unread == INITIAL_WINDOW
        nursery.cancel_scope.cancel()


async def test_a_reset_breaks_both_directions_of_one_stream_only() -> None:
    async with both_ends() as (client, server):
        one, two = client.open_stream(()), client.open_stream(())
        theirs, other = await server.accept(), await server.accept()
        theirs.reset()
        with pytest.raises(trio.BrokenResourceError):
            await one.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await one.send_all(b"x")
        await other.send_all(b"still here")
        assert await two.receive_some() == b"still here"


async def test_when_the_connection_goes_every_waiter_learns_it() -> None:
    left, right = trio.testing.memory_stream_pair()
    server = SpdyConnection(right)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        await left.send_all(Encoder().encode(SynStream(1, ())))
        stream = await server.accept()

        async def wait() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
            with pytest.raises(trio.EndOfChannel):
                await server.accept()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await left.aclose()
        await server.closed.wait()


@asynccontextmanager
async def raw_client() -> AsyncIterator[tuple[trio.abc.Stream, SpdyConnection, Encoder, Decoder]]:
    """A server whose client is written by hand."""
    left, right = trio.testing.memory_stream_pair()
    server = SpdyConnection(right)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        yield left, server, Encoder(), Decoder()
        nursery.cancel_scope.cancel()


async def test_a_ping_comes_back_and_a_stream_is_answered() -> None:
    async with raw_client() as (wire, _, encoder, decoder):
        await wire.send_all(encoder.encode(Ping(1)) + encoder.encode(SynStream(1, (("port", "80"),))))
        await trio.testing.wait_all_tasks_blocked()
        assert decoder.receive(bytes(await wire.receive_some())) == [Ping(1), SynReply(1)]


async def test_the_server_pings_a_quiet_client() -> None:
    async with raw_client() as (wire, _, _, decoder):
        assert decoder.receive(bytes(await wire.receive_some())) == [Ping(2)]


async def test_credit_is_heeded_once_a_peer_counts_it() -> None:
    async with raw_client() as (wire, server, encoder, decoder), trio.open_nursery() as nursery:
        await wire.send_all(encoder.encode(Settings({7: 1000})) + encoder.encode(SynStream(1, ())))
        stream = await server.accept()
        nursery.start_soon(stream.send_all, bytes(5000))
        await trio.testing.wait_all_tasks_blocked()
        assert decoder.receive(bytes(await wire.receive_some())) == [SynReply(1), Data(1, bytes(1000))]
        await wire.send_all(encoder.encode(WindowUpdate(1, 300)))
        await trio.testing.wait_all_tasks_blocked()
        assert decoder.receive(bytes(await wire.receive_some())) == [Data(1, bytes(300))]
        nursery.cancel_scope.cancel()


async def test_a_peer_that_overruns_its_credit_loses_the_stream() -> None:
    async with raw_client() as (wire, _, encoder, decoder):
        await wire.send_all(encoder.encode(Settings({7: 65536})) + encoder.encode(SynStream(1, ())))
        for _ in range(9):
            await wire.send_all(encoder.encode(Data(1, bytes(INITIAL_WINDOW))))
        await trio.testing.wait_all_tasks_blocked()
        assert RstStream(1, 7) in decoder.receive(bytes(await wire.receive_some()))


async def test_more_streams_than_allowed_are_refused_one_by_one() -> None:
    async with raw_client() as (wire, _, encoder, decoder):
        for number in range(MAX_STREAMS + 1):
            await wire.send_all(encoder.encode(SynStream(2 * number + 1, ())))
        await trio.testing.wait_all_tasks_blocked()
        assert decoder.receive(bytes(await wire.receive_some()))[-1] == RstStream(2 * MAX_STREAMS + 1, 3)


@pytest.mark.parametrize("number", [2, 1])
async def test_a_stream_number_that_is_not_new_or_not_the_clients_ends_the_connection(number: int) -> None:
    async with raw_client() as (wire, server, encoder, _):
        await wire.send_all(encoder.encode(SynStream(1, ())) + encoder.encode(SynStream(number, ())))
        await server.closed.wait()


async def test_garbage_ends_the_connection() -> None:
    async with raw_client() as (wire, server, _, _):
        await wire.send_all(b"\xff" * 100)
        await server.closed.wait()
