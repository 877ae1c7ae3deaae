"""The audit ledger as the rest of the appliance sees it: reserve, record, close, deny, count.

No audit, no access: a request first has a slot for the record that will close it, and whatever changes something has
its `opened` record on the disk before its first byte moves. What always holds: a slot means the record will be kept
or the process ends; a full or stalled ledger is an answer within two seconds; nothing on the hot path waits, renders
or hashes. Slots are bounded, denials may take half of them, so that a flood of refusals cannot stop permitted work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.book import Book
from appliance.audit.queries import Entry, Filter, search
from appliance.audit.retries import Retries
from appliance.audit.scribe import Awaited, Scribe
from appliance.core.events import AuditEvent, EventType

MAX_SLOTS = 8_192  # records reserved or waiting, about 2 KB each; more than all exchanges of a busy replica
MAX_DENIAL_SLOTS = MAX_SLOTS // 2
WAIT_SECONDS = 2.0  # for a slot, and for a commit
COUNT_SECONDS = 60.0  # how long allowed discovery is added up before it is recorded
MAX_COUNTED = 1_000  # (actor, cluster) pairs added up at once
LISTENER_EVENTS = 1_024  # a listener that is further behind misses events; the ledger itself does not
CLOSE_SECONDS = 10.0

log = logging.getLogger("fairlead.audit")


class AuditUnavailable(Exception):
    """The record cannot be kept now, so the request it belongs to must not begin."""


class Ledger:
    """Open one with `await Ledger.open(...)`, keep `run` running, close it with `aclose`."""

    def __init__(self, path: Path, book: Book, clock: Callable[[], int]) -> None:
        self._path = path
        self._clock = clock
        self._token = trio.lowlevel.current_trio_token()
        self._taken = 0  # slots ever taken; those settled are the scribe's count
        self._waiting = 0
        self._moved = trio.Event()
        self._listeners: list[trio.MemorySendChannel[AuditEvent]] = []
        self._counted: dict[tuple[str, str], tuple[AuditEvent, int]] = {}
        self._retries = Retries()
        self._scribe = Scribe(book, clock, self._settled)

    @classmethod
    async def open(cls, path: Path, key: Ed25519PrivateKey, clock: Callable[[], int]) -> Ledger:
        """Opens or makes the file and begins a new chain, signing the end of the one before.

        Raises:
            StoreRefused: it is not ours alone, or another appliance is writing to it.

        """
        return cls(path, await trio.to_thread.run_sync(Book, path, key, clock()), clock)

    async def run(self) -> None:
        """Records what was counted, every minute, until cancelled."""
        while True:
            await trio.sleep(COUNT_SECONDS)
            self._record_counts()

    def try_reserve(self) -> bool:
        """Takes a slot for a later `close`, if there is one at this moment."""
        return self._take(MAX_SLOTS)

    async def reserve(self) -> None:
        """Takes a slot for a later `close`.

        Raises:
            AuditUnavailable: none came free within two seconds.

        """
        await self._slot(MAX_SLOTS)

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
            await self._slot(MAX_SLOTS)
            self._scribe.put(item, hurry=True)
            try:
                await item.done.wait()
            finally:
                item.abandoned = not item.done.is_set()
        if not item.done.is_set():
            raise AuditUnavailable(self.fault() or "the record was not committed in time")

    async def deny(self, event: AuditEvent) -> None:
        """Keeps the record of a denial, which may wait for room; the second of two equal tries says so in `retry_of`.

        Raises:
            AuditUnavailable: there was no room for it within two seconds.

        """
        await self._slot(MAX_DENIAL_SLOTS)
        self._scribe.put(self._retries.mark(event))

    def count(self, event: AuditEvent) -> None:
        """Adds an allowed discovery request to its actor's count on the cluster. Never waits."""
        key = (event.actor_id, event.cluster_id)
        first, number = self._counted.get(key, (event, 0))
        self._counted[key] = (first, number + 1)
        if len(self._counted) >= MAX_COUNTED:
            self._record_counts()

    def subscribe(self) -> trio.MemoryReceiveChannel[AuditEvent]:
        """Every event from now on, once it is on the disk. Closing the channel ends it; a slow reader misses some."""
        send, receive = trio.open_memory_channel[AuditEvent](LISTENER_EVENTS)
        self._listeners.append(send)
        return receive

    async def query(self, wanted: Filter) -> list[Entry]:
        """What the ledger holds that fits, newest first."""
        return await trio.to_thread.run_sync(search, self._path, wanted)

    def fault(self) -> str:
        """Why records cannot be kept at this moment; empty when they can."""
        if self._scribe.failing:
            return self._scribe.failing
        since = self._scribe.busy_since
        if since is not None and time.monotonic() - since > WAIT_SECONDS:
            return "the disk does not answer"
        return ""

    async def aclose(self) -> None:
        """Writes what waits, signs it, and closes the file. Whoever still has a slot loses it: end exchanges first."""
        self._record_counts()
        if not await trio.to_thread.run_sync(self._scribe.stop, CLOSE_SECONDS):
            log.error("the audit ledger did not close within %.0f s", CLOSE_SECONDS)
        for listener in self._listeners:
            listener.close()

    def _take(self, most: int) -> bool:
        scribe = self._scribe
        if self._taken - scribe.settled >= most or scribe.failing:
            return False
        since = scribe.busy_since
        if since is not None and time.monotonic() - since > WAIT_SECONDS:
            return False
        self._taken += 1
        return True

    async def _slot(self, most: int) -> None:
        await trio.lowlevel.checkpoint()
        # Counted as waiting before looking: the thread settles first and looks at this afterwards, so one of the two
        # sees the other.
        self._waiting += 1
        try:
            with trio.move_on_after(WAIT_SECONDS):
                while not self._take(most):
                    await self._moved.wait()
                return
        finally:
            self._waiting -= 1
        raise AuditUnavailable(self.fault() or "too many records are waiting to be written")

    def _settled(self, events: list[AuditEvent], awaited: list[Awaited]) -> None:
        """In the scribe's thread, after each commit."""
        if awaited or self._waiting or self._listeners:
            try:
                self._token.run_sync_soon(self._tell, events, awaited)
            except trio.RunFinishedError:
                log.debug("the loop ended before a commit was told")

    def _tell(self, events: list[AuditEvent], awaited: list[Awaited]) -> None:
        for item in awaited:
            item.done.set()
        self._moved.set()
        self._moved = trio.Event()
        for listener in tuple(self._listeners):
            try:
                for event in events:
                    listener.send_nowait(event)
            except trio.WouldBlock:
                continue
            except trio.BrokenResourceError:
                self._listeners.remove(listener)
                listener.close()

    def _record_counts(self) -> None:
        counted, self._counted = self._counted, {}
        now = self._clock()
        for first, number in counted.values():
            self._taken += 1
            self._scribe.put(
                AuditEvent(
                    now,
                    EventType.PROXY_DISCOVERY,
                    actor_id=first.actor_id,
                    actor=first.actor,
                    client_address=first.client_address,
                    cluster_id=first.cluster_id,
                    cluster=first.cluster,
                    credential_id=first.credential_id,
                    counted=number,
                )
            )
