"""The configuration: written through units of work, read from a snapshot in memory that follows the change feed.

What always holds: a write is answered once `snapshot` holds it; changes are applied in feed order, in the Trio thread,
whoever made them (another process on this host included, within a second); a store that could not be read for 30 s
says so. `run` must be running for that. The snapshot is one object for life and is only read by others.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from appliance.core.snapshot import Entity, Snapshot
from appliance.store import statements, units
from appliance.store.faults import StoreRefused, StoreUnavailable
from appliance.store.sealing import Sealer, make_master_key, read_master_key
from appliance.store.sqlite import Changes, SQLite, translated
from appliance.store.unit import Unit, run
from appliance.store.writer import Writer, WriterBusy

T = TypeVar("T")

POLL_SECONDS = 1.0  # how soon another process's change is seen, and half of what a revoked stream may last
STALE_SECONDS = 30.0  # without a successful poll: new requests are refused
LOST_SECONDS = 90.0  # another minute: streams end
CALL_SECONDS = 15.0  # three times the wait for another process's transaction
FORGET_SECONDS = 3600.0  # how often what has expired is removed
HISTORY_SECONDS = 24 * 3600  # of the feed; whoever is further behind reads everything

log = logging.getLogger("fairlead.store")

Applied = tuple[tuple[Entity, str], ...]
"""What one batch changed: (entity, id). After a full reload: everything there is."""


def utc_micros() -> int:
    return time.time_ns() // 1000


class Store:
    """Open one with `await Store.open(...)`, keep `run` running, close it with `aclose`."""

    def __init__(self, writer: Writer, clock: Callable[[], int]) -> None:
        self.snapshot = Snapshot()
        self.on_change: list[Callable[[Applied], None]] = []  # called in the Trio thread; must not block
        self._writer = writer
        self._clock = clock
        self._engine: SQLite
        self._sealer: Sealer
        self._polled_at = trio.current_time()

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        master_key: Path | None = None,
        migrate: bool = True,
        clock: Callable[[], int] = utc_micros,
    ) -> Store:
        """Opens or makes the database, and reads all of it.

        `master_key` is the file of that key (default: `master.key` beside the database), made with a new database.

        Raises:
            StoreRefused: it is behind (and `migrate` is off), ahead, not ours alone, or its master key is missing.
            SealError: the master key file is unusable.

        """
        store = cls(Writer("fairlead store"), clock)
        try:
            await store._call(lambda: store._start(path, master_key or path.with_name("master.key"), migrate=migrate))
            await store.poll()
        except BaseException:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CALL_SECONDS):
                await store.aclose()
            raise
        return store

    async def run(self) -> None:
        """Follows the feed until cancelled. A failure is logged once and tried again; see `fresh`."""
        failing = False
        forget_at = trio.current_time()
        while True:
            try:
                await self.poll()
                if trio.current_time() >= forget_at:
                    now = self._clock()
                    await self.write(units.forget_expired(now, now - HISTORY_SECONDS * 1_000_000))
                    forget_at = trio.current_time() + FORGET_SECONDS
                if failing:
                    log.warning("the store can be read again")
                failing = False
            except Exception as error:  # noqa: BLE001 -- whatever it is, the answer is to refuse when stale
                if not failing:
                    log.error("the store cannot be read: %s", error or type(error).__name__)  # noqa: TRY400 -- once
                failing = True
            await trio.sleep(POLL_SECONDS)

    async def poll(self) -> None:
        """Applies what the feed holds beyond the snapshot."""
        await self._call(self._collect, self._apply)
        self._polled_at = trio.current_time()
        self.snapshot.forget_expired(self._clock())

    async def write(self, unit: Unit[T]) -> T:
        """Runs a unit in one transaction; returns once the snapshot shows it.

        Cancelled, it happens whole or not at all, and the next is not held up.

        Raises:
            ProblemError: the unit said no; nothing was written.
            StoreUnavailable: it was not answered in time.

        """

        def work() -> tuple[T, Changes]:
            result = self._engine.write(unit)
            return result, self._engine.collect()

        result, _ = await self._call(work, lambda pair: self._apply(pair[1]))
        return result

    async def read(self, unit: Unit[T]) -> T:
        """Runs a unit that only reads: for what the snapshot does not hold."""
        return await self._call(lambda: self._engine.read(unit))

    async def secret(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The secret kept sealed under `name`; the first time, what `make` gives. All processes get the same one."""

        def keep() -> Unit[tuple[str, str]]:
            found = yield run(statements.SEALED, name)
            if not found:
                now = self._clock()
                yield run(statements.SEALED_ADD, name, self._sealer.key_id, self._sealer.seal(name, make()), now)
                found = yield run(statements.SEALED, name)
            return found[0][0], found[0][1]

        key_id, box = await self.write(keep())
        return self._sealer.open(name, key_id, box)

    def fresh(self) -> bool:
        """Whether the snapshot may decide new requests."""
        return trio.current_time() - self._polled_at <= STALE_SECONDS

    def lost(self) -> bool:
        """Whether even running streams must end."""
        return trio.current_time() - self._polled_at > LOST_SECONDS

    async def aclose(self) -> None:
        """Finishes the writes already given and closes the file."""
        if hasattr(self, "_engine"):
            with trio.move_on_after(CALL_SECONDS), contextlib.suppress(WriterBusy):
                await self._writer.call(self._engine.close)
        with trio.move_on_after(CALL_SECONDS):
            await self._writer.aclose()

    def _start(self, path: Path, master_key: Path, *, migrate: bool) -> None:
        self._engine = SQLite.open(path, migrate=migrate, now=self._clock())
        sealed = self._engine.execute(run(statements.SEALED_ANY))
        key = read_master_key(master_key)
        if key is None:
            if sealed:
                raise StoreRefused(f"The master key {master_key} is missing. Put the file back from a backup.")
            key = make_master_key(master_key)
        self._sealer = Sealer(key)
        if sealed and sealed[0][0] != self._sealer.key_id:
            raise StoreRefused(f"The master key {master_key} is not the one this database was sealed under.")

    def _collect(self) -> Changes:
        return self._engine.collect()

    async def _call(self, work: Callable[[], T], deliver: Callable[[T], None] = lambda _: None) -> T:
        try:
            with trio.fail_after(CALL_SECONDS), translated():
                return await self._writer.call(work, deliver)
        except WriterBusy:
            raise StoreUnavailable("too much is waiting to be written") from None
        except trio.TooSlowError:
            raise StoreUnavailable(f"the database did not answer within {CALL_SECONDS:.0f} s") from None

    def _apply(self, changes: Changes) -> None:
        try:
            if changes.everything:
                self.snapshot.clear()
            for entity, identity, value in changes.entities:
                self.snapshot.put(entity, identity, value)
        except BaseException:
            self._engine.head = -1  # half applied: the next look reads everything again
            raise
        if not changes.entities and not changes.everything:
            return
        applied = tuple((entity, identity) for entity, identity, _ in changes.entities)
        for call in self.on_change:
            try:
                call(applied)
            except Exception:  # one listener's fault must not keep the others from ending their streams
                log.exception("a listener for changes of the configuration failed")
