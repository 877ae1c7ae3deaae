"""Calls: what a body may be, and every way an answer does not come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgpack
import pytest
import trio

from tests.support.pair import MemoryByteStream, memory_pair
from wire import calls
from wire.carrier import MAX_CALL_BYTES, CallReceived, Carrier

Answer = Callable[[MemoryByteStream], Awaitable[None]]


async def ask(answer: Answer, body: calls.Body = {"token": "t"}) -> tuple[int, dict[str, str | int]]:  # noqa: B006
    ours, theirs = memory_pair()
    fault: calls.CallError | None = None
    result: tuple[int, dict[str, str | int]] = (0, {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, theirs)
        try:
            result = await calls.call(ours, b"agents.example.com", calls.ENROL_PATH, body)
        except calls.CallError as error:
            fault = error
        nursery.cancel_scope.cancel()
    if fault is not None:
        raise fault
    return result


def answering(status: int, body: bytes) -> Answer:
    async def answer(stream: MemoryByteStream) -> None:
        carrier = Carrier(client=False)
        while True:
            for event in carrier.receive(await stream.read()):
                if isinstance(event, CallReceived):
                    assert event.path == calls.ENROL_PATH
                    assert calls.decode(event.body)["token"] == "t"
                    carrier.answer(event.stream_id, status, body)
            await stream.write(carrier.take())

    return answer


async def test_a_call_is_answered() -> None:
    assert await ask(answering(200, calls.encode({"certificate": "PEM", "n": 3}))) == (
        200,
        {"certificate": "PEM", "n": 3},
    )


async def test_a_refusal_without_a_body_is_an_answer() -> None:
    assert await ask(answering(429, b"")) == (429, {})


async def test_a_large_body_crosses() -> None:
    body = {"token": "t", "blob": "x" * 60_000}

    assert (await ask(answering(200, calls.encode(body)), body))[1] == body


async def test_a_server_that_hangs_up() -> None:
    async def answer(stream: MemoryByteStream) -> None:
        await stream.read()
        stream.abort()

    with pytest.raises(calls.CallError):
        await ask(answer)


async def test_a_server_that_speaks_something_else() -> None:
    async def answer(stream: MemoryByteStream) -> None:
        await stream.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)

    with pytest.raises(calls.CallError, match="broke HTTP/2"):
        await ask(answer)


async def test_a_server_whose_answer_makes_no_sense() -> None:
    with pytest.raises(calls.CallError, match="cannot be read"):
        await ask(answering(200, b"\x91\x01"))


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1",
        b"\x80\x80",
        b"\x81\xa1a",
        msgpack.packb([1]),
        msgpack.packb({"a": [1]}),
        msgpack.packb({"a": {"b": "c"}}),
        msgpack.packb({"a": b"raw"}),
        msgpack.packb({"a": 1.5}),
        msgpack.packb({"a": None}),
        msgpack.packb({"a": True}),
        msgpack.packb({1: "a"}),
        msgpack.packb({str(number): 1 for number in range(calls.MAX_KEYS + 1)}),
        b"\x81\xa1a\xa1\xff",
        b"\x00" * (MAX_CALL_BYTES + 1),
        msgpack.packb({"a": msgpack.ExtType(1, b"x")}),
    ],
)
def test_what_is_no_body_is_refused(data: bytes) -> None:
    with pytest.raises(calls.MalformedBodyError):
        calls.decode(data)


def test_a_body_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="too long"):
        calls.encode({"a": "x" * MAX_CALL_BYTES})


@pytest.mark.parametrize("body", [{}, {"a": ""}, {"a": 1}, {"a": "xxxx"}])
def test_a_required_text_is_required(body: calls.Body) -> None:
    with pytest.raises(calls.MalformedBodyError):
        calls.text(body, "a", 3)
