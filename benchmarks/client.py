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
from wire.contexts import client_context
from wire.tls import TLSStream, dial_handshake

CONNECT_SECONDS = 10.0
STALLED_RECEIVE_BYTES = 16 * 1024  # a reader that will stop keeps its own kernel buffer out of the picture
_READ_BYTES = 256 * 1024
_WRITE_BYTES = 64 * 1024


class BadAnswerError(Exception):
    """The answer was not a whole 200."""


@dataclass
class Answer:
    """An answer whose head has come."""

    stream: TLSStream
    length: int | None  # None: chunked
    rest: bytes  # of the body, read together with the head

    def __post_init__(self) -> None:
        self.size, self._last = len(self.rest), self.rest[-5:]

    async def drain(self, up_to: int | None = None) -> int:
        """Read the body to its end, or until so much has come; its size so far (chunked: with the framing)."""
        while not self._ended and (up_to is None or self.size < up_to):
            data = await self.stream.read(_READ_BYTES)
            if not data:
                raise BadAnswerError(f"the body ended after {self.size} bytes")
            self.size += len(data)
            self._last = (self._last + data[-5:])[-5:]
        return self.size

    @property
    def _ended(self) -> bool:
        return self._last == b"0\r\n\r\n" if self.length is None else self.size >= self.length


@asynccontextmanager
async def asked(load: Load, *, small_buffer: bool = False, body_bytes: int = 0) -> AsyncIterator[Answer]:
    """Send one GET, or a PUT of so many bytes, on a fresh connection; yield when the head of its answer is there.

    The connection ends after it.
    """
    host, _, port = load.url.removeprefix("https://").partition(":")
    sock = trio.socket.socket()
    if small_buffer:
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, STALLED_RECEIVE_BYTES)
    with trio.fail_after(CONNECT_SECONDS):
        await sock.connect((host, int(port)))
        stream = await dial_handshake(sock, _context(load.ca_pem), host)
    try:
        token = f"Authorization: Bearer {load.token}\r\n" if load.token is not None else ""
        asking = f"PUT {load.path}" if body_bytes else f"GET {load.path}"
        length = f"Content-Length: {body_bytes}\r\n" if body_bytes else ""
        await stream.write(f"{asking} HTTP/1.1\r\nHost: {host}:{port}\r\n{token}{length}\r\n".encode())
        piece = bytes(_WRITE_BYTES)
        for start in range(0, body_bytes, _WRITE_BYTES):
            await stream.write(piece[: body_bytes - start])
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
