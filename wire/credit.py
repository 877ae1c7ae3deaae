"""How much of one exchange may be in flight: windows that grow with the path, from pools that bound the sum. Pure.

Credit is an absolute offset, so announcing it twice, or only the last of several, is harmless. It is given for what
the consumer took, never for what arrived: a reader that stops holds up its own exchange and nothing else.

A window starts small, so that thousands of idle watches cost little, and grows ×4 then ×2 whenever a whole window was
consumed within two of the smallest round trips seen: then the window, not the consumer, was the limit.
"""

from __future__ import annotations

from typing import Final

FIRST_WINDOW: Final = 256 * 1024
"""Holds a common list answer whole, so most exchanges need no CREDIT at all."""

_FIRST_WINDOW_BUSY: Final = ((1024, 32 * 1024), (256, 64 * 1024))
"""(more than this many exchanges open, first window): the sum of first windows stays near 64 MiB."""

MAX_WINDOW: Final = 16 * 1024 * 1024
"""Some 40 MB/s over 300 ms, since what was taken is announced by halves. More would only fill queues."""

SESSION_POOL: Final = 64 * 1024 * 1024
PROCESS_POOL: Final = 256 * 1024 * 1024
"""Growth beyond first windows comes from these; when they are empty windows stay as they are."""

_FIRST_GROWTH: Final = 4
_LATER_GROWTH: Final = 2


class CreditExceeded(Exception):
    """The peer sent more than it was allowed."""


class Pool:
    """Bytes that windows may grow by, shared by a session or a process."""

    __slots__ = ("free",)

    def __init__(self, size: int) -> None:
        self.free = size


def first_window(open_exchanges: int) -> int:
    """Return the first window of one more exchange beside this many open ones."""
    for more_than, window in _FIRST_WINDOW_BUSY:
        if open_exchanges > more_than:
            return window
    return FIRST_WINDOW


class ReceiveWindow:
    """The receiving end's account of one direction of one exchange."""

    __slots__ = (
        "_grown",
        "_mark_offset",
        "_mark_time",
        "_pools",
        "arrived_offset",
        "consumed_offset",
        "granted_offset",
        "size",
    )

    def __init__(self, size: int, pools: tuple[Pool, ...] = (), now: float = 0.0, granted: int | None = None) -> None:
        self.size = size
        self.arrived_offset = 0
        self.consumed_offset = 0
        self.granted_offset = size if granted is None else granted
        self._pools = pools
        self._grown = 0
        self._mark_offset = 0
        self._mark_time = now

    def arrived(self, count: int) -> None:
        """Account for bytes received.

        Raises:
            CreditExceeded: the peer had no credit for them.

        """
        self.arrived_offset += count
        if self.arrived_offset > self.granted_offset:
            raise CreditExceeded("more bytes than credit")

    def consumed(self, count: int, now: float, round_trip: float | None) -> int | None:
        """Account for bytes the consumer took; return a new absolute offset to announce, or None while not worth it."""
        self.consumed_offset += count
        if self.consumed_offset - self._mark_offset >= self.size:
            if round_trip is not None and now - self._mark_time <= 2 * round_trip:
                self._grow()
            self._mark_offset = self.consumed_offset
            self._mark_time = now
        offset = self.consumed_offset + self.size
        # Announce at half a window: often enough that a steady sender never stops, rarely enough to cost nothing.
        if offset - self.granted_offset >= self.size // 2:
            self.granted_offset = offset
            return offset
        return None

    def _grow(self) -> None:
        factor = _LATER_GROWTH if self._grown else _FIRST_GROWTH
        wanted = min(self.size * factor, MAX_WINDOW) - self.size
        extra = min([wanted, *(pool.free for pool in self._pools)])
        if extra > 0:
            for pool in self._pools:
                pool.free -= extra
            self._grown += extra
            self.size += extra

    def close(self) -> None:
        """Give back to the pools what this window took. May be called more than once."""
        for pool in self._pools:
            pool.free += self._grown
        self._grown = 0
