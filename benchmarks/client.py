"""A reader of one HTTPS answer: as fast as it can, or not at all. What wrk cannot do.

It speaks just enough HTTP/1.1 for the answers measured here: Content-Length or chunked, one request a connection.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from benchmarks.wrk import Load
from wire.tls import TLSStream, client_context, dial_handshake

CONNECT_SECONDS = 10.0
STALLED_RECEIVE_BYTES = 16 * 1024  # a reader that will stop keeps its own kernel buffer out of the picture
_READ_BYTES = 256 * 1024


class BadAnswerError(Exception):
    """The answer was not a whole 200."""


@dataclass(slots=True)
class Answer:
    """An answer whose head has come."""

    stream: TLSStream
    length: int | None  # None: chunked
    rest: bytes  # of the body, read together with the head

    async def drain(self) -> int:
        """Read the body to its end and return its size (chunked: with the framing, which is under 0.1 %)."""
        size, last = len(self.rest), self.rest[-5:]
        while (size < self.length) if self.length is not None else (last != b"0\r\n\r\n"):
            data = await self.stream.read(_READ_BYTES)
            if not data:
                raise BadAnswerError(f"the body ended after {size} bytes")
            size += len(data)
            last = (last + data[-5:])[-5:]
        return size


@asynccontextmanager
async def asked(load: Load, ca_pem: str, *, small_buffer: bool = False) -> AsyncIterator[Answer]:
    """Send one GET on a fresh connection; yield when the head of its answer is there. The connection ends after it."""
    host, _, port = load.url.removeprefix("https://").partition(":")
    sock = trio.socket.socket()
    if small_buffer:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, STALLED_RECEIVE_BYTES)
    with trio.fail_after(CONNECT_SECONDS):
        await sock.connect((host, int(port)))
        stream = await dial_handshake(sock, _context(ca_pem), host)
    try:
        token = f"Authorization: Bearer {load.token}\r\n" if load.token is not None else ""
        await stream.write(f"GET {load.path} HTTP/1.1\r\nHost: {host}:{port}\r\n{token}\r\n".encode())
        yield await _head(stream)
    finally:
        stream.abort()


def _context(ca_pem: str) -> ssl.SSLContext:
    return client_context(ca_pem, alpn=["http/1.1"], tls13_only=False)


async def _head(stream: TLSStream) -> Answer:
    received = b""
    with trio.fail_after(CONNECT_SECONDS):
        while b"\r\n\r\n" not in received:
            data = await stream.read(4096)
            if not data:
                raise BadAnswerError("no answer")
            received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    if lines[0].split()[1] != b"200":
        raise BadAnswerError(f"{head.splitlines()[0].decode('latin-1')}: {rest[:300].decode('latin-1')}")
    lengths = [line.partition(b":")[2] for line in lines if line.startswith(b"content-length:")]
    return Answer(stream, int(lengths[0]) if lengths else None, rest)
