"""SQLite as an engine of the store: the connection behind one thread, so that the Trio loop never waits for the disk.

What always holds: units run one after another, in the order they were given; a caller that leaves before its unit
began prevents it, one that leaves later finds it carried out whole. Other processes on the host are seen by looking
(`listen` hears nothing): a look costs microseconds.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio

from appliance.store.faults import StoreUnavailable
from appliance.store.schema import Preparation
from appliance.store.sqlite import SQLite, translated
from appliance.store.unit import Unit
from appliance.store.writer import Writer, WriterBusy

T = TypeVar("T")

CLOSE_SECONDS = 15.0  # three times the wait for another process's transaction


class Embedded:
    """See `Engine`."""

    def __init__(self, writer: Writer, path: Path) -> None:
        self._writer = writer
        self._path = path
        self._database: SQLite

    @classmethod
    async def open(cls, path: Path, prepare: Preparation) -> Embedded:
        """Opens or makes the file.

        Raises:
            StoreRefused: it is not ours alone, or `prepare` refuses it.

        """
        engine = cls(Writer("fairlead store"), path)

        def start() -> None:
            engine._database = SQLite.open(path, prepare)

        try:
            await engine._call(start)
        except BaseException:
            with trio.CancelScope(shield=True):  # bounded by itself
                await engine.aclose()
            raise
        return engine

    async def write(self, unit: Unit[T]) -> T:
        return await self._call(lambda: self._database.write(unit))

    async def read(self, unit: Unit[T]) -> T:
        return await self._call(lambda: self._database.read(unit))

    async def listen(self, heard: Callable[[], None], joined: Callable[[], None]) -> None:  # noqa: ARG002 -- see above
        await trio.sleep_forever()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Whoever holds the data directory is."""
        await trio.lowlevel.checkpoint()
        yield

    async def aclose(self) -> None:
        if hasattr(self, "_database"):
            with trio.move_on_after(CLOSE_SECONDS), contextlib.suppress(WriterBusy):
                await self._writer.call(self._database.close)
        with trio.move_on_after(CLOSE_SECONDS):
            await self._writer.aclose()

    async def _call(self, work: Callable[[], T]) -> T:
        try:
            with translated(self._path):
                return await self._writer.call(work)
        except WriterBusy:
            raise StoreUnavailable("too much is waiting to be written") from None
