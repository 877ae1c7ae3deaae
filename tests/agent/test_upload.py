"""Bodies on their way up: framing is ours, lengths are kept, early answers end them."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.lowlevel

from tests.agent.rig import Caller, everything, ok, staged, until
from wire.frames import ResetCode
from wire.session import ExchangeReset

pytestmark = [pytest.mark.real_clock, pytest.mark.usefixtures("way")]


async def test_a_small_body_of_known_length_goes_up_with_its_head(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        while head := await caller.head():
            assert b"Content-Length: 5\r\n" in head
            assert b"chunked" not in head
            await caller.say(ok(await caller.body(5)))

    async with staged(tmp_path, script) as stage:
        for _ in range(2):
            async with stage.ask(b"POST", headers=((b"Content-Length", b"5"),), has_body=True) as exchange:
                await exchange.send_all(b"hello")
                await exchange.send_eof()
                assert (await exchange.head()).status == 200
                assert await everything(exchange) == b"hello"
        assert len(stage.callers) == 1


async def test_a_body_of_unknown_length_goes_up_in_chunks(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        head = await caller.head()
        assert b"Transfer-Encoding: chunked\r\n" in head
        await caller.say(ok(await caller.body(len(b"5\r\nhello\r\n0\r\n\r\n"))))
        await caller.gone()

    async with staged(tmp_path, script) as stage, stage.ask(b"POST", has_body=True) as exchange:
        await exchange.send_all(b"hello")
        await exchange.send_eof()
        await exchange.head()
        assert await everything(exchange) == b"5\r\nhello\r\n0\r\n\r\n"


async def test_a_large_body_streams_and_the_connection_is_used_again(tmp_path: Path) -> None:
    size = 5_000_000

    async def script(caller: Caller) -> None:
        while await caller.head():
            got = 0
            while got < size:
                got += len(await caller.body(min(100_000, size - got)))
            await caller.say(ok(b"%d" % got))

    async with staged(tmp_path, script) as stage:
        for _ in range(2):
            async with stage.ask(b"PUT", headers=((b"Content-Length", b"%d" % size),), has_body=True) as exchange:
                for _ in range(50):
                    await exchange.send_all(b"x" * 100_000)
                await exchange.send_eof()
                await exchange.head()
                assert await everything(exchange) == b"5000000"
            while not stage.relay.idle:  # its upload's task ends a moment after its answer
                await trio.lowlevel.checkpoint()
        assert len(stage.callers) == 1


async def test_a_body_and_its_answer_flow_at_the_same_time(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            await caller.say(b"1\r\n", (await caller.body(6))[3:4], b"\r\n")
        await caller.body(5)
        await caller.say(b"0\r\n\r\n")
        await caller.gone()

    async with staged(tmp_path, script) as stage, stage.ask(b"POST", has_body=True) as exchange:
        await exchange.head()
        for letter in (b"a", b"b", b"c"):
            await exchange.send_all(letter)
            assert await exchange.receive_some() == letter
        await exchange.send_eof()
        assert await exchange.receive_some() == b""


@pytest.mark.parametrize("sent", [b"four", b"sixsix"])
async def test_a_body_of_another_length_than_announced_is_reset(tmp_path: Path, sent: bytes) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.gone()

    async with staged(tmp_path, script) as stage:
        for split in (False, True):
            async with stage.ask(b"POST", headers=((b"Content-Length", b"5"),), has_body=True) as exchange:
                with pytest.raises(ExchangeReset) as caught:
                    await exchange.send_all(sent[:2])
                    if split:
                        await until(lambda: bool(stage.callers))
                    await exchange.send_all(sent[2:])
                    await exchange.send_eof()
                    await exchange.head()
                assert caught.value.code == ResetCode.TRUNCATED


async def test_an_early_answer_arrives_while_the_body_is_still_coming(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await caller.gone()

    async with staged(tmp_path, script) as stage:
        async with stage.ask(b"POST", headers=((b"Content-Length", b"50000000"),), has_body=True) as exchange:
            await exchange.send_all(b"x" * 1000)
            assert (await exchange.head()).status == 413
            assert await everything(exchange) == b"big"
            await until(lambda: exchange.peer_stopped)
        assert stage.relay.idle == 0


async def test_a_server_that_answers_and_closes_without_reading_is_heard(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        await caller.stream.send_eof()
        await caller.gone()

    async with (
        staged(tmp_path, script) as stage,
        stage.ask(b"POST", headers=((b"Content-Length", b"50000000"),), has_body=True) as exchange,
    ):
        await exchange.send_all(b"x" * 1000)
        assert (await exchange.head()).status == 413
        assert await everything(exchange) == b"big"


async def test_a_client_that_leaves_during_its_upload_is_seen_by_the_api_server(tmp_path: Path) -> None:
    gone = trio.Event()

    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.gone()
        gone.set()

    async with staged(tmp_path, script) as stage:
        exchange = stage.ask(b"POST", has_body=True)
        await exchange.send_all(b"x")
        await until(lambda: bool(stage.callers))
        exchange.reset(ResetCode.CANCELLED, "left")
        with trio.fail_after(15):
            await gone.wait()


async def test_a_client_that_leaves_after_a_streamed_upload_is_seen_by_the_api_server(tmp_path: Path) -> None:
    whole, gone = trio.Event(), trio.Event()

    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.body(200_000)
        whole.set()
        await caller.gone()
        gone.set()

    async with staged(tmp_path, script) as stage:
        exchange = stage.ask(b"POST", headers=((b"Content-Length", b"200000"),), has_body=True)
        await exchange.send_all(b"x" * 200_000)
        await exchange.send_eof()
        await whole.wait()
        exchange.reset(ResetCode.CANCELLED, "left")
        with trio.fail_after(15):
            await gone.wait()
