"""The pipe and the reader: bounds, ends, and lines that are shared between readers."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from ops.demo.toy.streams.pipes import MAX_LINE_BYTES, PIPE_BYTES, NoInput, NoOutput, Pipe, Reader


def filled(*pieces: bytes) -> Reader:
    pipe = Pipe()
    for piece in pieces:
        pipe.put(piece)
    pipe.end()
    return Reader(pipe)


async def test_a_full_pipe_holds_its_writer_until_someone_reads() -> None:
    pipe = Pipe()
    written = 0

    async def write() -> None:
        nonlocal written
        for _ in range(64):
            await pipe.send_all(bytes(16 * 1024))
            written += 16 * 1024
        pipe.end()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        assert written == PIPE_BYTES
        read = 0
        while piece := await pipe.receive_some():
            read += len(piece)
        assert read == 64 * 16 * 1024


async def test_a_pipe_nobody_reads_breaks_its_writers_also_those_that_wait() -> None:
    pipe = Pipe()
    pipe.put(bytes(PIPE_BYTES))

    async def write() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await pipe.send_all(b"x")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        pipe.abandon()
    assert await pipe.receive_some() == b""


async def test_a_reader_leaves_what_it_did_not_take() -> None:
    reader = filled(b"one\ntw", b"o\nthree", b" bytes and an end")
    assert await reader.read_line() == b"one\n"
    assert await reader.read_line() == b"two\n"
    assert await reader.read(5) == b"three"
    assert await reader.read_full(7) == b" bytes "
    assert await reader.read_full(100) == b"and an end"
    assert await reader.read() == b""
    assert await reader.read_line() == b""


async def test_the_last_line_may_lack_its_newline_and_a_very_long_one_comes_in_parts() -> None:
    reader = filled(b"a\n", b"b")
    assert [await reader.read_line() for _ in range(3)] == [b"a\n", b"b", b""]
    reader = filled(*[bytes(1024)] * 200)
    assert len(await reader.read_line()) == MAX_LINE_BYTES


async def test_no_input_and_no_output() -> None:
    assert await NoInput().receive_some() == b""
    await NoOutput().send_all(b"gone")
