"""The audit ledger as the rest of the appliance sees it: reserve, record, close, deny, count.

No audit, no access: a request first has a slot for the record that will close it, and whatever changes something has
its `opened` record on the disk before its first byte moves. What always holds: a slot means the record will be kept
or the process ends; a full or stalled ledger is an answer within two seconds; nothing on the hot path waits.
Slots are bounded, and denials get none while many records wait, so that a flood of refusals cannot stop permitted work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.binder import Awaited
from appliance.audit.book import Book
from appliance.audit.retries import Retries
from appliance.audit.scribe import Scribe
from appliance.audit.shelf import Place
from appliance.core.events import AuditEvent, EventType

MAX_SLOTS = 65_536  # records reserved or waiting; an open watch holds one, and costs nothing until it closes
MAX_WAITING_FOR_DENIALS = 8_192  # records on their way to the disk, about 2 KB each, beyond which denials are logged
WAIT_SECONDS = 2.0  # for a slot, and for a commit
COUNT_SECONDS = 60.0  # how long allowed discovery is added up before it is recorded
MAX_COUNTED = 1_000  # (actor, cluster) pairs added up at once
CLOSE_SECONDS = 10.0

log = logging.getLogger("fairlead.audit")

Listener = Callable[[Sequence[AuditEvent]], None]


class AuditUnavailable(Exception):
    """The record cannot be kept now, so the request it belongs to must not begin."""


class Ledger:
    """The audit of one start of the appliance: `start` it, keep `run` running, close it with `aclose`."""

    def __init__(self, place: Path | Place, key: Ed25519PrivateKey, clock: Callable[[], int]) -> None:
        self.place = place
        self._key = key
        self._clock = clock
        self.counted = 0  # allowed discovery requests, since the start
        self.lost = 0  # denials that were only logged
        self._taken = 0  # slots ever taken; those settled are the scribe's count
        self._waiting = 0
        self._moved = trio.Event()
        self._listeners: list[Listener] = []
        self._counted: dict[tuple[str, str, str, str], int] = {}
        self._retries = Retries()
        self._token: trio.lowlevel.TrioToken
        self._scribe: Scribe

    async def start(self) -> None:
        """Opens or makes the ledger and begins a new chain, signing the end of the one before.

        Raises:
            AuditRefused: it is not ours alone, or another appliance is writing to it where only one may.
            AuditUnavailable: the first record cannot be written.

        """
        self._token = trio.lowlevel.current_trio_token()
        book = await trio.to_thread.run_sync(Book, self.place, self._key, self._clock())
        self._scribe = Scribe(book, self._clock, self._settled, self._hear)
        await self.record(AuditEvent(self._clock(), EventType.APPLIANCE_STARTED))

    async def run(self) -> None:
        """Records what was counted, every minute, until cancelled."""
        while True:
            await trio.sleep(COUNT_SECONDS)
            self._record_counts()

    def try_reserve(self) -> bool:
        """Takes a slot for a later `close`, if there is one at this moment."""
        return self._take()

    async def reserve(self) -> None:
        """Takes a slot for a later `close`.

        Raises:
            AuditUnavailable: none came free within two seconds.

        """
        await self._slot()

    def release(self) -> None:
        """Gives back a slot for which no `close` will come."""
        self._taken -= 1

    def close(self, event: AuditEvent) -> None:
        """Keeps a record in a slot taken before. Never waits."""
        self._scribe.put(event)

    async def record(self, event: AuditEvent) -> None:
        """Keeps a record; returns when it is on the disk. Takes its own slot.

        Raises:
            AuditUnavailable: it was not on the disk within two seconds. It may still come to be there.

        """
        item = Awaited(event)
        with trio.move_on_after(WAIT_SECONDS):
            await self._slot()
            self._scribe.put(item, hurry=True)
            try:
                await item.done.wait()
            finally:
                item.abandoned = not item.done.is_set()
        if not item.done.is_set():
            raise AuditUnavailable(self.fault() or "the record was not committed in time")

    def deny(self, event: AuditEvent) -> None:
        """Keeps the record of a denial; the second of two equal tries says so in `retry_of`. Never waits.

        Without room it is only logged: nothing was allowed, and waiting would let refusals hold up work.
        """
        marked = self._retries.mark(event)
        if self._scribe.waiting < MAX_WAITING_FOR_DENIALS and self._take():
            self._scribe.put(marked)
        else:
            self.lost += 1
            log.warning("a denial could not be recorded: %s for %s", event.code, event.actor or event.client_address)

    def count(self, person_id: str, person: str, cluster_id: str, cluster: str) -> None:
        """Adds one allowed discovery request to the person's count on the cluster. Never waits."""
        self.counted += 1
        key = (person_id, person, cluster_id, cluster)
        self._counted[key] = self._counted.get(key, 0) + 1
        if len(self._counted) >= MAX_COUNTED:
            self._record_counts()

    def subscribe(self, listener: Listener) -> None:
        """Has `listener` called in the Trio thread with what is recorded, some at a time. It must not block.

        Each event comes once, a moment before or after its record is on the disk, and perhaps after later ones.
        """
        self._listeners.append(listener)

    @property
    def waiting(self) -> int:
        """How many records are on their way to the disk."""
        return self._scribe.waiting

    @property
    def reserved(self) -> int:
        """How many slots are taken: by those records, and by what will leave one."""
        return self._taken - self._scribe.settled

    @property
    def available(self) -> bool:
        """Whether a record could be kept at this moment."""
        return not self.fault() and self._taken - self._scribe.settled < MAX_SLOTS

    def fault(self) -> str:
        """Why records cannot be kept at this moment; empty when they can."""
        if self._scribe.failing:
            return self._scribe.failing
        since = self._scribe.busy_since
        if since is not None and time.monotonic() - since > WAIT_SECONDS:
            return "the disk does not answer"
        return ""

    async def aclose(self) -> None:
        """Writes what waits, signs it, and closes the ledger. Whoever has a slot loses it: end exchanges first."""
        if not hasattr(self, "_scribe"):
            return
        self._record_counts()
        self._taken += 1
        self._scribe.put(AuditEvent(self._clock(), EventType.APPLIANCE_STOPPED))
        with trio.CancelScope(shield=True):  # bounded by the scribe itself
            if not await trio.to_thread.run_sync(self._scribe.stop, CLOSE_SECONDS):
                log.error("the audit ledger did not close within %.0f s", CLOSE_SECONDS)

    def _take(self) -> bool:
        scribe = self._scribe
        if self._taken - scribe.settled >= MAX_SLOTS or scribe.failing:
            return False
        since = scribe.busy_since
        if since is not None and time.monotonic() - since > WAIT_SECONDS:
            return False
        self._taken += 1
        return True

    async def _slot(self) -> None:
        await trio.lowlevel.checkpoint()
        # Counted as waiting before looking: the thread settles first and looks at this afterwards, so one of the two
        # sees the other.
        self._waiting += 1
        try:
            with trio.move_on_after(WAIT_SECONDS):
                while not self._take():
                    await self._moved.wait()
                return
        finally:
            self._waiting -= 1
        raise AuditUnavailable(self.fault() or "too many records are waiting to be written")

    def _settled(self, events: list[AuditEvent], awaited: list[Awaited]) -> None:
        """In the scribe's thread, after each commit."""
        if events or awaited or self._waiting:
            try:
                self._token.run_sync_soon(self._tell, events, awaited)
            except trio.RunFinishedError:
                log.debug("the loop ended before a commit was told")

    def _tell(self, events: list[AuditEvent], awaited: list[Awaited]) -> None:
        for item in awaited:
            item.done.set()
        self._moved.set()
        self._moved = trio.Event()
        if events:
            self._hear(events)

    def _hear(self, events: list[AuditEvent]) -> None:
        for listener in self._listeners:
            try:
                listener(events)
            except Exception:  # an exception here would end Trio itself; the records are kept all the same
                log.exception("a listener for audit records failed")

    def _record_counts(self) -> None:
        counted, self._counted = self._counted, {}
        now = self._clock()
        for (person_id, person, cluster_id, cluster), number in counted.items():
            self._taken += 1
            discovery = AuditEvent(
                now,
                EventType.PROXY_DISCOVERY,
                actor_id=person_id,
                actor=person,
                cluster_id=cluster_id,
                cluster=cluster,
                counted=number,
            )
            self._scribe.put(discovery)
