"""Connections to the API server that wait to be used again.

What always holds: a connection is pooled only when its last answer was whole and nothing is left to read on it; it is
looked at before it is used again; the one used last goes first, so that the others age and are closed. An upgraded
connection never comes back. A watch holds its connection for as long as it lasts.
"""

from __future__ import annotations

import random
import select
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from wire.tls import TLSStream

IDLE_SECONDS: Final = 60.0  # below every load balancer's and the API server's own limit
MAX_AGE_SECONDS: Final = 600.0  # so that load spreads again after an API server was replaced
AGE_JITTER: Final = 0.2  # or all connections of a busy minute would end in the same one
MAX_IDLE: Final = 256
"""Kept for the next burst; about 10 MiB. More requests at once than this make and close connections."""


class Connection:
    """One HTTP/1.1 connection. `buffer` holds bytes read past what was asked for."""

    __slots__ = ("_poll", "buffer", "expires", "idle_since", "stream")

    def __init__(self, stream: TLSStream, expires: float) -> None:
        self.stream = stream
        self.expires = expires
        self.idle_since = 0.0
        self.buffer = b""
        self._poll = select.poll()
        self._poll.register(stream.socket.fileno(), select.POLLIN)

    def quiet(self) -> bool:
        """Tell whether nothing is there to read: neither bytes nobody asked for, nor the end."""
        try:
            # Asking the kernel costs a fifth of asking OpenSSL; only a late session ticket needs OpenSSL's answer.
            return not self._poll.poll(0) or self.stream.receive_nowait() is None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False

    def abort(self) -> None:
        """Close it at once."""
        self.stream.abort()


class Pool:
    """The idle connections, the one used last at the end."""

    def __init__(self, dial: Callable[[], Awaitable[TLSStream]]) -> None:
        self._dial = dial
        self._time = trio.lowlevel.current_clock().current_time  # what trio.current_time calls in the end
        self._idle: list[Connection] = []
        self._closed = False
        self.dialled = 0
        self.connected = 0

    def __len__(self) -> int:
        return len(self._idle)

    def take(self) -> Connection | None:
        """Return an idle connection on which nothing has happened since, or None."""
        now = self._time()
        while self._idle:
            connection = self._idle.pop()
            if now < connection.expires and now - connection.idle_since < IDLE_SECONDS and connection.quiet():
                return connection
            connection.abort()
        return None

    async def connect(self) -> Connection:
        """Return a fresh connection. Raises what dialling raises."""
        self.dialled += 1
        stream = await self._dial()
        self.connected += 1
        age = MAX_AGE_SECONDS * random.uniform(1 - AGE_JITTER, 1)  # noqa: S311 # spreads load; nothing secret
        return Connection(stream, self._time() + age)

    def give(self, connection: Connection) -> None:
        """Take back a connection whose last answer was whole."""
        now = self._time()
        if self._closed or connection.buffer or now >= connection.expires or len(self._idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.idle_since = now
        self._idle.append(connection)

    def sweep(self) -> None:
        """Close what has been idle too long or is too old. The oldest stand at the front."""
        now = self._time()
        kept: list[Connection] = []
        for connection in self._idle:
            if now < connection.expires and now - connection.idle_since < IDLE_SECONDS:
                kept.append(connection)
            else:
                connection.abort()
        self._idle = kept

    def close(self) -> None:
        """Close all; what comes back later is closed too."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()
