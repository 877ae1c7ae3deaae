"""What a connection still has to send, in order, with a bound.

What always holds: one task writes to the transport, so a sender may be cancelled without tearing a frame apart; what
waits is at most OUTBOX_BYTES and one piece, and as much again of small answers; once the transport fails every sender
learns it.
The content of the pieces is not known here.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

#: Enough to keep a TLS connection busy while the next pieces are made; small beside the kernel's own buffers.
OUTBOX_BYTES: Final = 256 * 1024
#: One write: large enough that the cost per call vanishes, small enough that a PING is not held up behind it.
_WRITE_BYTES = 128 * 1024


class Outbox:
    """A bounded queue of bytes with one writer."""

    def __init__(self, stream: trio.abc.SendStream) -> None:
        self._stream = stream
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._broken = False
        self._senders = trio.lowlevel.ParkingLot()
        self._writer = trio.lowlevel.ParkingLot()

    async def room(self, limit: int = OUTBOX_BYTES) -> None:
        """Wait until less than `limit` is queued."""
        if not self._broken and self._size < limit:
            await trio.lowlevel.checkpoint()
        while not self._broken and self._size >= limit:
            await self._senders.park()
        self._check()

    async def room_for_answers(self) -> None:
        """Wait until small answers (to pings, to new streams) may be queued on top of what the senders fill.

        Only a peer that asks and asks without reading meets this bound: a reader that stopped whenever the senders are
        at theirs would hang together with a peer that does the same.
        """
        await self.room(2 * OUTBOX_BYTES)

    async def send(self, data: bytes) -> None:
        await self.room()
        self.put(data)

    def put(self, data: bytes) -> None:
        """Queue at once; for small frames, and for senders that have waited for room."""
        self._check()
        self._pieces.append(data)
        self._size += len(data)
        self._writer.unpark()

    async def flush(self) -> None:
        """Wait until everything queued so far has been handed to the kernel."""
        await trio.lowlevel.checkpoint()
        while self._size and not self._broken:
            await self._senders.park()
        self._check()

    async def run(self) -> None:
        """Write until the transport fails. Cancelling it breaks the transport's framing for good."""
        try:
            while True:
                while not self._pieces:
                    await self._writer.park()
                batch = self._take()
                await self._stream.send_all(batch)
                self._size -= len(batch)
                self._senders.unpark_all()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            self._broken = True
            self._pieces.clear()
            self._senders.unpark_all()

    def _take(self) -> bytes:
        if len(self._pieces) == 1:
            return self._pieces.popleft()
        batch = [self._pieces.popleft()]
        size = len(batch[0])
        while self._pieces and size + len(self._pieces[0]) <= _WRITE_BYTES:
            batch.append(self._pieces.popleft())
            size += len(batch[-1])
        return b"".join(batch)

    def _check(self) -> None:
        if self._broken:
            raise trio.BrokenResourceError("the connection to the client is gone")
