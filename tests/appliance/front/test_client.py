"""One connection's framing, over a real TLS socket and nothing else."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from appliance.front.client import DISCARD_BYTES, TURN_BYTES, Client
from appliance.front.intake import Intake
from tests.appliance.front.rig import Talk
from tests.support.certificates import TestCA
from wire.contexts import client_context, server_context
from wire.http1 import BadHead
from wire.tls import dial_handshake, serve_handshake

pytestmark = pytest.mark.real_clock


@asynccontextmanager
async def joined(tmp_path: Path) -> AsyncIterator[tuple[Talk, Client]]:
    ca = TestCA.make()
    left, right = socket.socketpair()
    ends: list[Talk] = []

    async def dial() -> None:
        ends.append(Talk(await dial_handshake(left, client_context(ca.pem, alpn=[]), "localhost")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial)
        stream = await serve_handshake(right, server_context(*ca.issue(tmp_path, "localhost"), alpn=["http/1.1"]))
    try:
        yield ends[0], Client(stream, "192.0.2.1")
    finally:
        ends[0].stream.abort()
        stream.abort()


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


async def take(client: Client) -> None:
    head = await client.next_head()
    assert head is not None
    client.begin(Intake().parse(head))


@pytest.mark.parametrize("step", [1, 7, 1000])
async def test_a_head_and_its_body_in_pieces_of_any_size(tmp_path: Path, step: int) -> None:
    async with joined(tmp_path) as (talk, client):
        raw = b"\r\n" + HEAD + b"hello" + HEAD

        async def say() -> None:
            for start in range(0, len(raw), step):
                await talk.say(raw[start : start + step])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(say)
            await take(client)
            body = b""
            while piece := await client.read_body():
                body += piece
            assert (body, client.received, client.body_ended) == (b"hello", 5, True)
            assert await client.next_head() == HEAD


async def test_a_small_body_that_is_there_is_taken_at_once(tmp_path: Path) -> None:
    async with joined(tmp_path) as (talk, client):
        await talk.say(HEAD + b"hello" + HEAD)
        await take(client)
        assert client.body_at_hand(4) is None
        assert client.body_at_hand(5) == b"hello"
        assert await client.next_head() == HEAD


async def test_the_end_between_two_requests_is_no_error(tmp_path: Path) -> None:
    async with joined(tmp_path) as (talk, client):
        await talk.stream.send_eof()
        assert await client.next_head() is None


@pytest.mark.parametrize("raw", [b"GET / HTTP/1.1\nHost: x\n\n", b"A" * 70_000])
async def test_a_head_that_cannot_end_well_is_not_waited_for(tmp_path: Path, raw: bytes) -> None:
    async with joined(tmp_path) as (talk, client):
        await talk.say(raw)
        with pytest.raises(BadHead), trio.fail_after(15):
            await client.next_head()


async def test_an_answer_before_the_body_closes_after_dropping_a_bounded_part_of_it(tmp_path: Path) -> None:
    async with joined(tmp_path) as (talk, client):
        await talk.say(HEAD.replace(b": 5", b": 50000000"))
        await take(client)

        async def flood() -> None:
            try:
                while True:
                    await talk.say(b"x" * 65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await client.answer(413, ((b"Content-Length", b"0"),), b"")
            assert (await talk.answer())["Connection"] == "close"
            with trio.fail_after(15):
                assert await client.settle() is False
            nursery.cancel_scope.cancel()
        assert client.received <= DISCARD_BYTES


async def test_an_answer_before_a_body_that_is_already_here_keeps_the_connection(tmp_path: Path) -> None:
    async with joined(tmp_path) as (talk, client):
        await talk.say(HEAD + b"hello")
        await take(client)
        await client.answer(403, ((b"Content-Length", b"0"),), b"")
        assert await client.settle() is True
        assert "Connection" not in await talk.answer()


async def test_peeking_keeps_what_it_finds_up_to_a_limit(tmp_path: Path) -> None:
    async with joined(tmp_path) as (talk, client):
        await talk.say(HEAD.replace(b": 5", b": 0"))
        await take(client)
        await talk.say(HEAD)
        await trio.lowlevel.wait_readable(client.stream.socket)
        client.peek()
        assert client.ending is None
        assert await client.next_head() == HEAD


async def test_100_is_sent_once_and_only_to_who_waits_for_it(tmp_path: Path) -> None:
    async with joined(tmp_path) as (talk, client):
        await talk.say(HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        await take(client)
        await client.proceed()
        await client.proceed()
        assert await talk.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert not talk.buffer
        await talk.say(b"hello")
        assert await client.read_body() == b"hello"


async def test_a_flood_of_tiny_chunks_is_parsed_in_small_turns(tmp_path: Path) -> None:
    """Otherwise each read of one flooding client would keep the loop for 20 ms."""
    async with joined(tmp_path) as (talk, client):
        count = 20_000
        raw = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * count + b"0\r\n\r\n"
        turns = most = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk.say, raw + HEAD)
            nursery.start_soon(others)
            await take(client)
            while True:
                before = turns
                piece = await client.read_body()
                most = max(most, len(piece))
                if not piece:
                    break
                assert turns > before or len(piece) < 1000
            nursery.cancel_scope.cancel()
        assert client.received == count
        assert most <= TURN_BYTES
        assert await client.next_head() == HEAD
