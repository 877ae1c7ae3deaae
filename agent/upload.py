"""A request's body on its way up: counted, framed by us, with back-pressure from the API server.

What always holds: the bytes sent are those announced, or the exchange is RESET and the connection closed; a body that
is here already is sent with its head in one write. It does not read answers: one that comes early ends the upload.
"""

from __future__ import annotations

from typing import Final

import trio

from agent.guard import RefusedError
from agent.outgoing import Outgoing
from agent.pool import Connection
from wire.exchange import Exchange
from wire.frames import ResetCode
from wire.http1 import LAST_CHUNK, chunk

GATHER_BYTES: Final = 64 * 1024  # one write; a kubectl apply is a few KiB


def gather(exchange: Exchange, outgoing: Outgoing) -> tuple[bytes, bool]:
    """Return what has arrived of a body, framed, and whether that is all of it.

    Raises:
        RefusedError: it is not as long as announced.
        trio.BrokenResourceError: the exchange is over.

    """
    pieces: list[bytes] = []
    size = 0
    while size < GATHER_BYTES:
        data = exchange.receive_nowait(GATHER_BYTES)
        if data is None:
            break
        if not data:
            body = b"".join(pieces)
            _check_end(outgoing, size)
            return (chunk(body) + LAST_CHUNK if outgoing.chunked else body), True
        size += len(data)
        _check_growth(outgoing, size)
        pieces.append(data)
    return b"".join(pieces), False


class Upload:
    """The task that sends a body which is still arriving."""

    def __init__(self, exchange: Exchange, connection: Connection, outgoing: Outgoing) -> None:
        self._exchange = exchange
        self._connection = connection
        self._outgoing = outgoing
        self.whole = False
        self.fault: RefusedError | trio.BrokenResourceError | None = None

    async def run(self, first: bytes) -> None:
        """Send head and body. A fault closes the connection, which whoever reads the answer notices."""
        try:
            await self._send(first)
        except (RefusedError, trio.BrokenResourceError) as error:
            self.fault = error
            self._connection.abort()
        except trio.ClosedResourceError:
            pass  # whoever closed it knows why

    async def _send(self, first: bytes) -> None:
        exchange, outgoing = self._exchange, self._outgoing
        size = len(first)
        pending = outgoing.head + (chunk(first) if outgoing.chunked else first)
        while True:
            if not await self._write(pending):
                return
            # The announced bytes are out: an answer may come before the END that only confirms it.
            self.whole = size == outgoing.content_length
            data = await exchange.read(GATHER_BYTES)
            if not data:
                break
            size += len(data)
            _check_growth(outgoing, size)
            pending = chunk(data) if outgoing.chunked else data
        _check_end(outgoing, size)
        self.whole = not outgoing.chunked or await self._write(LAST_CHUNK)

    async def _write(self, data: bytes) -> bool:
        """False: the API server reads no more. It may have answered first, so its answer is still awaited."""
        try:
            await self._connection.stream.write(data)
        except trio.BrokenResourceError:
            return False
        return True


def _check_growth(outgoing: Outgoing, size: int) -> None:
    if outgoing.content_length is not None and size > outgoing.content_length:
        raise RefusedError(ResetCode.TRUNCATED, "The request's body is longer than its Content-Length.")


def _check_end(outgoing: Outgoing, size: int) -> None:
    if outgoing.content_length is not None and size != outgoing.content_length:
        raise RefusedError(ResetCode.TRUNCATED, "The request's body is shorter than its Content-Length.")
