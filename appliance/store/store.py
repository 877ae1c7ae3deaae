"""The configuration: written through units of work, read from a snapshot in memory that follows the change feed.

What always holds: a write is answered once `snapshot` holds it; changes are applied in feed order, in the Trio thread,
whoever made them (another process included, within a second); a store that could not be read for 30 s says so. `run`
must be running for that. The snapshot is one object for life and is only read by others. Which database it is, only
`open` knows: the rest is asked of an `Engine`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

import trio

from appliance.core.snapshot import Entity, Snapshot
from appliance.store import forgetting, schema, statements
from appliance.store.clock import utc_micros
from appliance.store.engine import Engine, open_engine
from appliance.store.faults import StoreRefused, StoreUnavailable
from appliance.store.feed import UNREAD, Changes, changes_since, watched
from appliance.store.sealing import Sealer, make_master_key, read_master_key
from appliance.store.server import Server
from appliance.store.unit import Rows, Unit, run

T = TypeVar("T")

POLL_SECONDS = 0.8  # without a notification, another process's change is seen this soon: within a second
REST_SECONDS = 0.1  # between two looks, however much one is told: a burst of changes is read together
STALE_SECONDS = 30.0  # without a successful poll: new requests are refused
LOST_SECONDS = 90.0  # another minute: streams end
CALL_SECONDS = 15.0  # beyond every limit of the engines; they should answer before
FORGET_SECONDS = 3600.0  # how often what has expired is removed
HISTORY_SECONDS = 24 * 3600  # of the feed; whoever is further behind reads everything

log = logging.getLogger("fairlead.store")

Applied = tuple[tuple[Entity, str], ...]
"""What one batch changed: (entity, id). After a full reload: everything there is."""


class Store:
    """Open one with `await Store.open(...)`, keep `run` running, close it with `aclose`."""

    def __init__(self, engine: Engine, clock: Callable[[], int]) -> None:
        self.snapshot = Snapshot()
        self.on_change: list[Callable[[Applied], None]] = []  # called in the Trio thread; must not block
        self._engine = engine
        self._clock = clock
        self._sealer: Sealer
        self._place = UNREAD
        self._looking = trio.Lock()  # changes are applied in feed order because one look ends before the next begins
        self._looks_begun = 0
        self._last_look = 0  # the latest of them that was applied
        self._time = trio.lowlevel.current_clock().current_time  # what trio.current_time calls in the end
        self._polled_at = self._time()
        self._news = trio.Event()
        self._joined = trio.Event()

    @classmethod
    async def open(
        cls,
        where: Path | Server,
        *,
        master_key: Path | None = None,
        migrate: bool = True,
        clock: Callable[[], int] = utc_micros,
    ) -> Store:
        """Opens or fills the database (an SQLite file, or PostgreSQL inside `asyncio_loop`), and reads all of it.

        `master_key` is the file of that key. With SQLite it lies beside the database unless it is named, and is made
        with a new database; with PostgreSQL it must be there.

        Raises:
            StoreRefused: it is behind (and `migrate` is off), ahead, not ours alone, or its master key is missing.
            StoreUnavailable: it cannot be reached.
            SealError: the master key file is unusable.

        """
        make_key: Callable[[Path], bytes]
        if isinstance(where, Path):
            key_file, make_key = master_key or where.with_name("master.key"), make_master_key
        elif master_key is None:
            raise StoreRefused("With PostgreSQL the master key must be given as a file.")
        else:
            key_file, make_key = master_key, _missing

        def prepare(tabled: bool) -> Unit[None]:
            return schema.bring_up_to_date(tabled=tabled, migrate=migrate, now=clock())

        store = cls(await open_engine(where, prepare), clock)
        try:
            sealed = await store.read(_sealed_any())
            store._sealer = await trio.to_thread.run_sync(_sealer, key_file, sealed, make_key)
            await store.poll()
        except BaseException:
            with trio.CancelScope(shield=True):  # bounded by the engine itself
                await store.aclose()
            raise
        return store

    async def run(self) -> None:
        """Follows the feed until cancelled. A failure is logged once and tried again; see `fresh`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._engine.listen, self._hear, self._join)
            await self._follow()

    async def _follow(self) -> None:
        failing = False
        forget_at = trio.current_time()
        while True:
            self._news = trio.Event()
            try:
                await self.poll()
                if trio.current_time() >= forget_at:
                    now = self._clock()
                    await self.write(forgetting.forget_expired(now, now - HISTORY_SECONDS * 1_000_000))
                    forget_at = trio.current_time() + FORGET_SECONDS
                if failing:
                    log.warning("the store can be read again")
                failing = False
            except Exception as error:  # noqa: BLE001 -- whatever it is, the answer is to refuse when stale
                if not failing:
                    why = error or type(error).__name__
                    log.error("the store cannot be read: %s; see whether it answers", why)  # noqa: TRY400 -- once
                failing = True
            with trio.move_on_after(POLL_SECONDS):
                await trio.sleep(REST_SECONDS)
                await self._news.wait()

    async def poll(self) -> None:
        """Applies what the feed holds beyond the snapshot; when it returns, everything committed before is there."""
        await self._call(self._look(self._looks_begun))
        self.snapshot.forget_expired(self._clock())

    async def _look(self, asked: int) -> None:
        async with self._looking:
            if self._last_look > asked:
                return  # one that began after we were called has shown what we want to see
            self._looks_begun += 1
            look, began = self._looks_begun, trio.current_time()
            place, changes = await self._engine.read(changes_since(self._place))
            self._apply(changes)
            self._place, self._last_look, self._polled_at = place, look, began

    async def write(self, unit: Unit[T]) -> T:
        """Runs a unit in one transaction; returns once the snapshot shows it.

        Cancelled, it happens whole or not at all, and the next is not held up.

        Raises:
            ProblemError: the unit said no; nothing was written.
            StoreUnavailable: it was not answered in time.

        """
        try:
            result, number = await self._call(self._engine.write(watched(unit)))
            if number > self._place.number:
                await self.poll()
        except (StoreUnavailable, trio.Cancelled):
            self._hear()  # it may have been carried out
            raise
        return result

    async def read(self, unit: Unit[T]) -> T:
        """Runs a unit that only reads: for what the snapshot does not hold."""
        return await self._call(self._engine.read(unit))

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

    def seal(self, name: str, secret: bytes) -> tuple[str, str]:
        """Key id and box of a secret, for a row that a unit keeps."""
        return self._sealer.key_id, self._sealer.seal(name, secret)

    def unseal(self, name: str, key_id: str, box: str) -> bytes:
        """The secret in a box. Raises SealError when the box or the row it lay in is not the one it was."""
        return self._sealer.open(name, key_id, box)

    def fresh(self) -> bool:
        """Whether the snapshot may decide new requests."""
        return self._time() - self._polled_at <= STALE_SECONDS

    def age(self) -> float:
        """How many seconds ago the snapshot was known to be current."""
        return self._time() - self._polled_at

    def lost(self) -> bool:
        """Whether even running streams must end."""
        return self._time() - self._polled_at > LOST_SECONDS

    async def aclose(self) -> None:
        """Finishes the writes already given, or drops them after some seconds, and lets the database go."""
        await self._engine.aclose()

    def alone(self) -> AbstractAsyncContextManager[None]:
        """No appliance runs on the database meanwhile; see `Engine.alone`."""
        return self._engine.alone()

    async def joined(self) -> None:
        """Waits until we are known, again, to use the database: before that somebody may have been alone with it."""
        await self._joined.wait()
        self._joined = trio.Event()

    def _hear(self) -> None:
        self._news.set()

    def _join(self) -> None:
        self._joined.set()

    async def _call(self, answer: Awaitable[T]) -> T:
        try:
            with trio.fail_after(CALL_SECONDS):
                return await answer
        except trio.TooSlowError:
            raise StoreUnavailable(f"the database did not answer within {CALL_SECONDS:.0f} s") from None

    def _apply(self, changes: Changes) -> None:
        try:
            if changes.everything:
                self.snapshot.clear()
            for entity, identity, value in changes.entities:
                self.snapshot.put(entity, identity, value)
        except BaseException:
            self._place = UNREAD  # half applied: the next look reads everything again
            raise
        if not changes.entities and not changes.everything:
            return
        applied = tuple((entity, identity) for entity, identity, _ in changes.entities)
        for call in self.on_change:
            try:
                call(applied)
            except Exception:  # one listener's fault must not keep the others from ending their streams
                log.exception("a listener for changes of the configuration failed")


def _sealed_any() -> Unit[Rows]:
    return (yield run(statements.SEALED_ANY))


def _sealer(key_file: Path, sealed: Rows, make_key: Callable[[Path], bytes]) -> Sealer:
    """What seals under the key in the file; a key is never made where something is sealed under another."""
    key = read_master_key(key_file)
    if key is None:
        if sealed:
            raise StoreRefused(f"The master key {key_file} is missing. Put the file back from a backup.")
        key = make_key(key_file)
    sealer = Sealer(key)
    if sealed and sealed[0][0] != sealer.key_id:
        raise StoreRefused(f"The master key {key_file} is not the one this database was sealed under.")
    return sealer


def _missing(key_file: Path) -> bytes:
    raise StoreRefused(
        f"The master key {key_file} is missing: make it once with `openssl rand -base64 32`, keep a copy away from the "
        "database, and give it to every appliance."
    )
