"""One exchange, one request upstream: every way an answer ends, and every way it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from agent.config import Bounds
from tests.agent.rig import ERRANDS, Caller, everything, ok, staged, until
from tests.support.pair import ALICE, joined_sessions
from wire.frames import ResetCode
from wire.heads import RequestHead
from wire.session import ExchangeReset

pytestmark = [pytest.mark.real_clock, pytest.mark.usefixtures("way")]

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_small_get_goes_up_as_the_user_and_comes_back_whole(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def script(caller: Caller) -> None:
        while head := await caller.head():
            heads.append(head)
            await caller.say(ok(b"pods", b"Content-Type: text/plain\r\nSet-Cookie: a=b\r\n"))

    async with staged(tmp_path, script) as stage:
        async with stage.ask(headers=((b"Accept", b"application/json"), (b"Authorization", b"Bearer user"))) as one:
            head = await one.head()
            assert (head.status, await everything(one)) == (200, b"pods")
            assert head.headers == ((b"Content-Length", b"4"), (b"Content-Type", b"text/plain"))
        assert await stage.fetch() == (200, b"pods")

        assert len(stage.callers) == 1, "the connection is used again"
        assert heads[0] == (
            b"GET /api/v1/pods HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer agent-token-1\r\n"
            b"Impersonate-User: alice@example.com\r\nImpersonate-Uid: uid-1\r\nImpersonate-Group: viewers\r\n"
            b"Accept: application/json\r\n\r\n" % stage.settings.port
        )


@pytest.mark.parametrize(
    ("method", "answer", "status", "body"),
    [
        (
            b"GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            200,
            b"abcde",
        ),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, b""),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, b""),
        (b"GET", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(b"x"), 200, b"x"),
        (b"GET", b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 404, b"no"),
        (b"GET", ok(b""), 200, b""),
        (b"GET", ok(b"y" * 100_000), 200, b"y" * 100_000),
    ],
)
async def test_every_framing_of_an_answer(
    tmp_path: Path, method: bytes, answer: bytes, status: int, body: bytes
) -> None:
    async def script(caller: Caller) -> None:
        while await caller.head():
            for start in range(0, len(answer), 50_000):
                await caller.say(answer[start : start + 50_000])

    async with staged(tmp_path, script) as stage:
        assert await stage.fetch(method) == (status, body)
        assert await stage.fetch(method) == (status, body)
        assert len(stage.callers) == 1


async def test_answers_cut_anywhere_are_read_the_same(tmp_path: Path) -> None:
    answer = (
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )

    async def script(caller: Caller) -> None:
        while await caller.head():
            for byte in range(len(answer)):
                await caller.say(answer[byte : byte + 1])

    async with staged(tmp_path, script) as stage:
        assert await stage.fetch() == (200, b"hello")


async def test_trailers_cross(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 9\r\n\r\n")
        await caller.gone()

    async with staged(tmp_path, script) as stage, stage.ask() as exchange:
        await exchange.head()
        assert await everything(exchange) == b"a"
        assert exchange.trailers == ((b"X-Sum", b"9"),)


async def test_a_close_delimited_answer_ends_with_close_notify(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        await caller.stream.aclose()

    async with staged(tmp_path, script) as stage:
        assert await stage.fetch() == (200, b"all of it")
        assert stage.relay.idle == 0


@pytest.mark.parametrize(
    ("answer", "polite"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nhalf", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", True),
    ],
)
async def test_a_cut_answer_looks_cut(tmp_path: Path, answer: bytes, polite: bool) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(answer)
        if polite:
            await caller.stream.aclose()

    async with staged(tmp_path, script) as stage, stage.ask() as exchange:
        with pytest.raises(ExchangeReset) as caught:
            await exchange.head()
            await everything(exchange)
        assert caught.value.code == ResetCode.TRUNCATED
        assert stage.relay.idle == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 40,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"",
    ],
)
async def test_what_is_no_answer_is_upstream_lost(tmp_path: Path, answer: bytes) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        if answer:
            await caller.say(answer)
        await caller.stream.aclose()

    async with staged(tmp_path, script) as stage, stage.ask(b"DELETE") as exchange:
        with pytest.raises(ExchangeReset) as caught:
            await exchange.head()
        assert caught.value.code == ResetCode.UPSTREAM_LOST


async def test_bytes_nobody_asked_for_cost_the_connection(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(ok(b"one") + ok(b"poison"))
        await caller.gone()

    async with staged(tmp_path, script) as stage:
        assert await stage.fetch() == (200, b"one")
        assert await stage.fetch() == (200, b"one")
        assert len(stage.callers) == 2


async def test_a_connection_closed_between_requests_is_not_used(tmp_path: Path) -> None:
    closed = trio.Event()

    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(ok(b"%d" % caller.number))
        await caller.stream.aclose()
        closed.set()

    async with staged(tmp_path, script) as stage:
        assert await stage.fetch() == (200, b"0")
        await closed.wait()
        async with stage.ask(b"DELETE") as exchange:
            assert (await exchange.head()).status == 200
            assert await everything(exchange) == b"1"


async def _dies_on_second(caller: Caller) -> None:
    await caller.head()
    await caller.say(ok(b"%d" % caller.number))
    await caller.head()
    if caller.number == 0:
        caller.stream.abort()
    else:
        await caller.say(ok(b"second chance"))


async def test_a_get_on_a_reused_connection_that_dies_is_tried_once_more(tmp_path: Path) -> None:
    async with staged(tmp_path, _dies_on_second) as stage:
        assert await stage.fetch() == (200, b"0")
        assert await stage.fetch() == (200, b"1")
        assert len(stage.callers) == 2


async def test_anything_but_a_get_is_never_repeated(tmp_path: Path) -> None:
    async with staged(tmp_path, _dies_on_second) as stage:
        assert await stage.fetch() == (200, b"0")
        async with stage.ask(b"DELETE") as exchange:
            with pytest.raises(ExchangeReset) as caught:
                await exchange.head()
        assert caught.value.code == ResetCode.UPSTREAM_LOST
        assert len(stage.callers) == 1


async def test_a_cancelled_request_is_seen_by_the_api_server(tmp_path: Path) -> None:
    asked, gone = trio.Event(), trio.Event()

    async def script(caller: Caller) -> None:
        await caller.head()
        asked.set()
        await caller.gone()
        gone.set()

    async with staged(tmp_path, script) as stage:
        exchange = stage.ask()
        await asked.wait()
        exchange.reset(ResetCode.CANCELLED, "the reader went away")
        with trio.fail_after(15):
            await gone.wait()


async def test_a_cancelled_watch_is_seen_by_the_api_server(tmp_path: Path) -> None:
    gone = trio.Event()

    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n")
        await caller.gone()
        gone.set()

    async with staged(tmp_path, script) as stage:
        exchange = stage.ask(target=b"/api/v1/pods?watch=1")
        await exchange.head()
        assert await exchange.receive_some() == b"event"
        await exchange.aclose()
        with trio.fail_after(15):
            await gone.wait()


async def test_a_reader_that_pauses_stops_the_api_server_and_nothing_else(tmp_path: Path) -> None:
    sent = 0

    async def script(caller: Caller) -> None:
        nonlocal sent
        while head := await caller.head():
            if b"/small" in head:
                await caller.say(ok(b"small"))
                continue
            await caller.say(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
            for _ in range(1024):
                await caller.say(b"z" * 65536)
                sent += 65536

    async with staged(tmp_path, script) as stage, stage.ask(target=b"/big") as big:
        await big.head()
        for _ in range(20):
            assert await stage.fetch(target=b"/small") == (200, b"small")
        assert sent < 32 * 1024 * 1024
        assert len(await everything(big)) == 67108864


async def test_the_api_servers_refusal_of_the_agent_is_not_the_users(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        while await caller.head():
            await caller.say(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")

    async with staged(tmp_path, script) as stage:
        async with stage.ask() as exchange:
            with pytest.raises(ExchangeReset) as caught:
                await exchange.head()
            assert caught.value.code == ResetCode.UPSTREAM_CREDENTIAL
        proxied = b"/api/v1/namespaces/a/services/grafana/proxy/login"
        assert await stage.fetch(target=proxied) == (401, b"no")


async def test_the_guard_stands_before_the_connection(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        raise AssertionError("nothing may go up")

    async with staged(tmp_path, script, Bounds(read_only=True)) as stage:
        async with stage.ask(b"POST", b"/api/v1/namespaces/a/pods", has_body=True) as exchange:
            with pytest.raises(ExchangeReset) as caught:
                await exchange.head()
        assert caught.value.code == ResetCode.REFUSED
        assert stage.callers == []


async def test_an_api_server_that_is_not_there(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None: ...

    async with staged(tmp_path, script) as stage:
        stage.upstream._place = type(stage.upstream._place)("127.0.0.1", 1, "127.0.0.1")
        async with stage.ask() as exchange:
            with pytest.raises(ExchangeReset) as caught:
                await exchange.head()
        assert caught.value.code == ResetCode.UPSTREAM_UNREACHABLE
        assert "127.0.0.1:1" in caught.value.sentence


async def test_a_head_larger_than_one_write_goes_up(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        while head := await caller.head():
            await caller.say(ok(b"%d" % len(head)))

    async with staged(tmp_path, script) as stage:
        await stage.fetch()  # so that a connection is there
        headers = tuple((b"X-Long-%d" % number, bytes(7_000).replace(b"\0", b"v")) for number in range(10))
        async with stage.ask(headers=headers) as exchange:
            assert (await exchange.head()).status == 200
            assert int(await everything(exchange)) > 70_000
        assert len(stage.callers) == 1


async def test_an_answer_to_a_session_that_is_lost_is_no_defect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The session is one that no task has worked for: nobody is there who could carry what comes too late."""
    asked, lost = trio.Event(), trio.Event()

    async def script(caller: Caller) -> None:
        await caller.head()
        await caller.say(ok(b"first"))
        await caller.head()
        asked.set()
        await lost.wait()
        await caller.say(ok(b"too late"))
        await caller.gone()

    async with staged(tmp_path, script) as stage:
        await stage.fetch()
        async with joined_sessions(stage.relay, stage.relay.begin if ERRANDS["on"] else None) as (second, _):
            second.open(RequestHead(b"GET", b"/api/v1/pods", ()), ALICE, has_body=False)
            await asked.wait()
        lost.set()
        await until(lambda: not stage.relay._at_work)
        assert len(stage.relay.pool) == 0
    assert "defect" not in caplog.text
