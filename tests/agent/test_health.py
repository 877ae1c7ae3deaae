"""Probes of the agent."""

from __future__ import annotations

import pytest
import trio

from agent.health import MAX_HEAD_BYTES, respond, serve


def ask(line: str, *missing: str) -> bytes:
    return respond(lambda: missing, f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("line", "missing", "status", "text"),
    [
        ("GET /livez", ("tunnel",), b"200", b"live\n"),
        ("GET /readyz", (), b"200", b"ready\n"),
        ("GET /readyz?verbose", ("tunnel", "draining"), b"503", b"not ready: tunnel, draining\n"),
        ("HEAD /readyz", (), b"200", b""),
        ("GET /metrics", (), b"404", b"only /livez and /readyz are here\n"),
        ("POST /livez", (), b"405", b"only GET and HEAD\n"),
    ],
)
def test_each_path(line: str, missing: tuple[str, ...], status: bytes, text: bytes) -> None:
    head, _, body = ask(line, *missing).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 " + status)
    assert body == text


@pytest.mark.real_clock
async def test_over_a_socket_and_after_a_bad_client() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, lambda: (), [listener])
        async with await trio.open_tcp_stream("127.0.0.1", port) as bad:
            await bad.send_all(b"x" * (MAX_HEAD_BYTES + 1))
        async with await trio.open_tcp_stream("127.0.0.1", port) as good:
            await good.send_all(b"GET /livez HTTP/1.1\r\n\r\n")
            assert b"200 OK" in await good.receive_some()
        nursery.cancel_scope.cancel()
