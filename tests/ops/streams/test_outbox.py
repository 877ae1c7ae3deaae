"""The outbox: order, bounds, cancelled senders, and a transport that fails."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from ops.demo.toy.streams.outbox import OUTBOX_BYTES, Outbox


async def test_everything_arrives_in_order_and_flush_waits_for_it() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    outbox = Outbox(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        for number in range(1000):
            await outbox.send(number.to_bytes(2, "big") * 500)
        await outbox.flush()
        await ours.send_eof()
        received = b"".join([bytes(piece) async for piece in theirs])
        nursery.cancel_scope.cancel()
    assert received == b"".join(number.to_bytes(2, "big") * 500 for number in range(1000))


async def test_senders_wait_at_the_bound_and_a_cancelled_one_leaves_no_trace() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    outbox = Outbox(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        await outbox.send(b"a" * OUTBOX_BYTES)
        with trio.move_on_after(1) as scope:
            await outbox.send(b"b")
        assert scope.cancelled_caught
        nursery.start_soon(outbox.send, b"c")
        received = b""
        while not received.endswith(b"c"):
            received += await theirs.receive_some()
        assert received == b"a" * OUTBOX_BYTES + b"c"
        nursery.cancel_scope.cancel()


async def test_answers_pass_where_senders_wait() -> None:
    ours, _ = trio.testing.lockstep_stream_pair()
    outbox = Outbox(ours)
    outbox.put(b"a" * OUTBOX_BYTES)
    await outbox.room_for_answers()
    outbox.put(b"a" * OUTBOX_BYTES)
    with trio.move_on_after(1) as scope:
        await outbox.room_for_answers()
    assert scope.cancelled_caught


async def test_when_the_transport_fails_every_sender_learns_it() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    outbox = Outbox(ours)

    async def wait() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await outbox.send(b"b")

    outbox.put(b"a" * OUTBOX_BYTES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run)
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await theirs.aclose()
    with pytest.raises(trio.BrokenResourceError):
        outbox.put(b"c")
    with pytest.raises(trio.BrokenResourceError):
        await outbox.flush()
