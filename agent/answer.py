"""Reading one answer of the API server off a connection: its head, then its body in pieces.

What always holds: 1xx answers but 101 are swallowed; a body ends where its framing says, and one that stops before is
an error, never a short body; what follows an answer that nobody asked for makes the connection unusable. No deadline:
an API server may think as long as it likes, and the exchange's own life ends the wait.
"""

from __future__ import annotations

from typing import Final

import trio

from agent.pool import Connection
from wire.frames import ResetCode
from wire.headers import trailers_end_to_end
from wire.heads import Headers
from wire.http1 import MAX_HEAD_BYTES, BadHead, ChunkedReader, Response, parse_response

READ_BYTES: Final = 64 * 1024
MAX_INTERIM: Final = 32  # 1xx answers before the real one; a server sends one or two

_HEAD_END: Final = b"\r\n\r\n"


class AnswerError(Exception):
    """The answer cannot be had. `untouched`: not one byte of it came."""

    def __init__(self, code: ResetCode, sentence: str, *, untouched: bool = False) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.untouched = untouched


async def read_head(connection: Connection, method: bytes) -> Response:
    """Read the final head of an answer; what came behind it stays in `connection.buffer`.

    Raises:
        AnswerError: the connection ended, or what came is not HTTP.
        trio.ClosedResourceError: we closed the connection meanwhile.

    """
    for _ in range(MAX_INTERIM):
        response = await _one_head(connection, method)
        if not response.interim:
            return response
    raise AnswerError(ResetCode.UPSTREAM_LOST, "The API server sent interim answers without end.")


async def _one_head(connection: Connection, method: bytes) -> Response:
    data = connection.buffer
    searched = 0
    while True:
        end = data.find(_HEAD_END, searched)
        if end >= 0:
            break
        if len(data) > MAX_HEAD_BYTES:
            raise AnswerError(ResetCode.UPSTREAM_LOST, "The API server's answer has a head without end.")
        searched = max(0, len(data) - 3)
        try:
            more = await connection.stream.read(READ_BYTES)
        except trio.BrokenResourceError:
            more = b""
        if not more:
            raise AnswerError(
                ResetCode.UPSTREAM_LOST, "The API server closed the connection before it answered.", untouched=not data
            )
        data = data + more if data else more
    try:
        response = parse_response(data[: end + 4], method)
    except BadHead as error:
        raise AnswerError(ResetCode.UPSTREAM_LOST, f"The API server's answer is not HTTP: {error.sentence}") from None
    connection.buffer = data[end + 4 :]
    return response


class AnswerBody:
    """Takes the bytes behind a head and gives the body that is in them."""

    __slots__ = ("_chunks", "_connection", "_left", "done", "trailers")

    def __init__(self, connection: Connection, response: Response) -> None:
        self._connection = connection
        self._chunks = ChunkedReader() if response.chunked else None
        self._left: int | None = None if response.chunked or response.close_delimited else response.content_length or 0
        self.trailers: Headers = ()
        self.done = response.no_body or self._left == 0

    def take(self, data: bytes) -> bytes:
        """Return the body bytes in `data`; sets `done`. What is beyond the end goes to the connection's buffer.

        Raises:
            AnswerError: the framing is broken.

        """
        if self.done:
            self._connection.buffer += data
            return b""
        if self._chunks is not None:
            try:
                piece = self._chunks.feed(data)
            except BadHead as error:
                raise AnswerError(
                    ResetCode.TRUNCATED, f"The API server broke off its answer: {error.sentence}"
                ) from None
            if self._chunks.done:
                self.done = True
                self.trailers = trailers_end_to_end(self._chunks.trailers)
                self._connection.buffer = self._chunks.rest
            return piece
        if self._left is None:
            return data
        if len(data) > self._left:
            self._connection.buffer = data[self._left :]
            data = data[: self._left]
        self._left -= len(data)
        self.done = self._left == 0
        return data

    def buffered(self) -> bytes:
        """Return the body bytes that came with the head."""
        data, self._connection.buffer = self._connection.buffer, b""
        return self.take(data) if data else b""

    def more_nowait(self) -> bytes:
        """Return body bytes that are there already; the end and faults are left for `more`."""
        try:
            data = self._connection.stream.receive_nowait(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""
        return self.take(data) if data else b""

    async def more(self) -> bytes:
        """Return more body bytes; b"" only when `done` (or when a read held no body byte).

        Raises:
            AnswerError: the answer ended before its end.

        """
        try:
            data = await self._connection.stream.read(READ_BYTES)
        except trio.BrokenResourceError:
            raise AnswerError(
                ResetCode.TRUNCATED, "The connection to the API server broke within its answer."
            ) from None
        if data:
            return self.take(data)
        if self._left is None and self._chunks is None:
            self.done = True
            return b""
        raise AnswerError(ResetCode.TRUNCATED, "The API server closed the connection within its answer.")
