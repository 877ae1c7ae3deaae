"""Handshakes at once: so many in all, and so many for one source, so that one source cannot have them all.

A source is whatever its user counts as one client: an address, a network. What always holds: nobody waits for a slot
in all before having one of its source's, so that the queue for those holds few of each; first come, first served in
both; what is remembered of a source is gone when its last connection has its handshake behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class Slots:
    """The slots of one listener."""

    def __init__(self, total: int, per_source: int) -> None:
        self._total = total
        self._all = trio.Semaphore(total)
        self.granted = 0  # since the start
        self._per_source = per_source
        self._sources: dict[str, _Source] = {}

    def __len__(self) -> int:
        """How many sources hold a slot or wait for one."""
        return len(self._sources)

    @property
    def taken(self) -> int:
        """How many are held now."""
        return self._total - self._all.value

    @asynccontextmanager
    async def held(self, source: str | None) -> AsyncIterator[None]:
        """Hold a slot inside the block. The caller owns the deadline; it should not count the wait.

        No source: someone who speaks for many, and is bound by the slots in all alone.
        """
        if source is None:
            async with self._all:
                self.granted += 1
                yield
            return
        mine = self._sources.get(source)
        if mine is None:
            mine = self._sources[source] = _Source(self._per_source)
        mine.connections += 1
        try:
            async with mine.slots, self._all:
                self.granted += 1
                yield
        finally:
            mine.connections -= 1
            if not mine.connections:
                del self._sources[source]


class _Source:
    __slots__ = ("connections", "slots")

    def __init__(self, slots: int) -> None:
        self.slots = trio.Semaphore(slots)
        self.connections = 0
