"""What a session needs of its transport, and reading from it until it ends."""

from __future__ import annotations

from typing import Final, Protocol

import trio

from wire.endings import SessionEnded

_READ_BYTES: Final = 256 * 1024


class ByteStream(Protocol):
    """What a session needs of its transport: `wire.tls.TLSStream`, or a test's."""

    async def read(self, max_bytes: int = 0, /) -> bytes: ...
    async def write(self, data: bytes, /) -> None: ...
    def writable_now(self) -> bool: ...
    async def wait_writable(self) -> None: ...
    def abort(self) -> None: ...


async def read_or_end(stream: ByteStream) -> bytes:
    """Read what is there. SessionEnded: there will be nothing more."""
    try:
        data = await stream.read(_READ_BYTES)
    except trio.BrokenResourceError as error:
        raise SessionEnded(f"the connection broke: {error}") from error
    except trio.ClosedResourceError as closed:
        raise SessionEnded("the session was closed") from closed
    if not data:
        raise SessionEnded("the peer closed the connection")
    return data
