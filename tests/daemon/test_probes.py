"""Probes: what each path says, and that a bad client stays its own problem."""

from __future__ import annotations

import contextlib
import json

import pytest
import trio

from daemon.probes import MAX_CONNECTIONS, MAX_HEAD_BYTES, REQUEST_SECONDS, Health, respond, serve
from tests.support.flood import Flood, flooding, text
from tests.support.heartbeat import LATE_SECONDS, worst_beat


def ask(health: Health, line: str) -> tuple[int, dict[str, object]]:
    head, _, body = respond(health, f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body) if body else {}


def holds() -> str:
    return ""


def broken() -> str:
    raise RuntimeError


def test_ready_when_every_check_holds() -> None:
    assert ask(Health({"store": holds}), "GET /readyz") == (200, {"ready": True})


def test_what_is_missing_is_named() -> None:
    health = Health({"store": lambda: "the database does not answer", "audit": broken, "listeners": holds})
    missing = {"ready": False, "missing": ["store", "audit"]}

    assert ask(health, "GET /readyz") == (503, missing)
    said = {
        "draining": "ok",
        "store": "the database does not answer",
        "audit": "it could not be found out: this is a defect",
        "listeners": "ok",
    }
    assert ask(health, "GET /readyz?verbose") == (503, {**missing, "checks": said})
    assert ask(Health({"store": holds}), "GET /readyz?timeout=5s&verbose") == (
        200,
        {"ready": True, "checks": {"draining": "ok", "store": "ok"}},
    )


def test_draining_is_not_ready_and_still_alive() -> None:
    health = Health({}, draining=True)

    assert ask(health, "GET /readyz") == (503, {"ready": False, "missing": ["draining"]})
    assert ask(health, "GET /livez") == (200, {"live": True})


def test_other_paths_and_methods() -> None:
    assert ask(Health({}), "GET /")[0] == 404
    assert ask(Health({}), "POST /livez")[0] == 405
    assert ask(Health({}), "HEAD /livez") == (200, {})


@pytest.mark.real_clock
async def test_over_a_socket_one_answer_then_the_connection_ends() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, Health({}), listeners)

        rude = await trio.open_tcp_stream("127.0.0.1", port)
        await rude.send_all(b"x" * (MAX_HEAD_BYTES + 1))  # never a head: dropped, and nobody else notices
        polite = await trio.open_tcp_stream("127.0.0.1", port)
        await polite.send_all(b"GET /readyz HTTP/1.1\r\n")
        await polite.send_all(b"Host: x\r\n\r\n")
        answer = b"".join([piece async for piece in polite])

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b'{"ready": true}\n')
        await rude.aclose()
        await polite.aclose()
        nursery.cancel_scope.cancel()


@pytest.mark.real_clock
async def test_who_connects_and_says_nothing_keeps_no_probe_out() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery, contextlib.AsyncExitStack() as silent:
        nursery.start_soon(serve, Health({}), listeners)
        for _ in range(2 * MAX_CONNECTIONS):
            await silent.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))

        with trio.fail_after(REQUEST_SECONDS / 2):
            async with await trio.open_tcp_stream("127.0.0.1", port) as probe:
                await probe.send_all(b"GET /livez HTTP/1.1\r\n\r\n")
                answer = b"".join([piece async for piece in probe])

        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        nursery.cancel_scope.cancel()


@pytest.mark.real_clock
async def test_numbers_are_given_and_a_defect_in_them_costs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    works = True

    async def page() -> bytes:
        await trio.lowlevel.checkpoint()
        if not works:
            raise RuntimeError
        return b"a 1\n"

    async def get(line: bytes) -> bytes:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            return b"".join([piece async for piece in stream])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, Health({}), listeners, page)
        assert (await get(b"GET /metrics")).endswith(b"\r\n\r\na 1\n")
        head = await get(b"HEAD /metrics")
        assert (b"Content-Length: 4" in head, head.endswith(b"\r\n\r\n")) == (True, True)
        works = False
        assert (await get(b"GET /metrics")).startswith(b"HTTP/1.1 500 ")
        assert (await get(b"GET /livez")).startswith(b"HTTP/1.1 200 ")
        nursery.cancel_scope.cancel()
    assert "a defect of ours" in caplog.text


@pytest.mark.real_clock
async def test_sixteen_probers_without_pause_leave_the_loop_to_others() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    probed = trio.Event()

    def seen() -> str:
        probed.set()
        return ""

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, Health({"seen": seen}), listeners)
        with flooding(Flood(port, opening=text(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"), again=True)):
            with trio.fail_after(30):
                await probed.wait()
            worst = await worst_beat()
        nursery.cancel_scope.cancel()
    assert worst <= LATE_SECONDS
