"""Bytes between tasks: the pipe of a pipeline, and a reader that can also read lines.

What always holds: a pipe keeps at most PIPE_BYTES plus one piece; who writes to a pipe nobody reads gets
BrokenResourceError, as a process gets SIGPIPE. Files and terminals are not known here.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

import trio

#: Linux gives a pipe 64 KiB; four times that halves the number of task switches of a large copy.
PIPE_BYTES: Final = 256 * 1024
#: What one read asks for when the caller has no wish.
READ_BYTES: Final = 64 * 1024
#: A line longer than this is handed on in parts.
MAX_LINE_BYTES: Final = 64 * 1024


class Source(Protocol):
    """Where bytes come from; b"" is the end."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes: ...


class Sink(Protocol):
    """Where bytes go. Raises trio.BrokenResourceError when nobody will read them."""

    async def send_all(self, data: bytes) -> None: ...


class Pipe:
    """A bounded pipe between two tasks, both a Source and a Sink."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._unread = False
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        while self._size >= PIPE_BYTES and not self._unread:
            await self._writers.park()
        self.put(data)

    def put(self, data: bytes) -> None:
        """Queue at once; for the few bytes of a terminal's line."""
        if self._unread or self._ended:
            raise trio.BrokenResourceError("nobody reads this pipe")
        if data:
            self._pieces.append(data)
            self._size += len(data)
            self._readers.unpark_all()

    @property
    def ready(self) -> bool:
        """Whether a read would find bytes now."""
        return bool(self._pieces)

    def end(self) -> None:
        """No more will be written; what is queued can still be read."""
        self._ended = True
        self._readers.unpark_all()

    def abandon(self) -> None:
        """Nobody will read any more."""
        self._unread = True
        self._pieces.clear()
        self._size = 0
        self._writers.unpark_all()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._pieces:
            if self._ended or self._unread:
                return b""
            await self._readers.park()
        piece = self._pieces.popleft()
        if max_bytes is not None and len(piece) > max_bytes:
            self._pieces.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        self._size -= len(piece)
        self._writers.unpark_all()
        return piece


class Reader:
    """A Source with a memory: what one reader leaves, the next finds. The standard input of a session.

    The end is not remembered: on a terminal there is more after a Ctrl-D.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rest = b""

    async def read(self, max_bytes: int = READ_BYTES) -> bytes:
        """At least one byte, or b"" at the end."""
        if not self._rest:
            await self._more()
        piece, self._rest = self._rest[:max_bytes], self._rest[max_bytes:]
        return piece

    async def read_full(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        pieces = [self._rest[:size]]
        self._rest = self._rest[size:]
        have = len(pieces[0])
        while have < size:
            piece = await self.read(size - have)
            if not piece:
                break
            pieces.append(piece)
            have += len(piece)
        return b"".join(pieces)

    async def read_line(self) -> bytes:
        """One line with its newline; without one only at the end, or beyond MAX_LINE_BYTES."""
        searched = 0
        while (at := self._rest.find(b"\n", searched)) < 0:
            searched = len(self._rest)
            if searched >= MAX_LINE_BYTES or not await self._more():
                at = len(self._rest) - 1
                break
        line, self._rest = self._rest[: at + 1], self._rest[at + 1 :]
        return line

    async def _more(self) -> bool:
        piece = await self._source.receive_some(READ_BYTES)
        self._rest += piece
        return bool(piece)


class NoInput:
    """The standard input of a session without one: at its end from the start."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 -- the shape of a Source
        await trio.lowlevel.checkpoint()
        return b""


class NoOutput:
    """/dev/null, and the standard output of a session that asked for none."""

    async def send_all(self, data: bytes) -> None:  # noqa: ARG002 -- the shape of a Sink
        await trio.lowlevel.checkpoint()
