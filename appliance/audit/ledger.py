"""No audit, no access: keeps a record of every decision, or says that it cannot.

The Trio side only counts slots and hands tuples over; one thread renders, chains and commits them in groups. A slot is
reserved before a request is relayed, so its `closed` record always has room. When nothing could be committed for
STALL_SECONDS, or all slots are taken, new requests are refused; what was handed over is kept and tried again until it
is on disk. Records that were never acknowledged may be lost with the process; acknowledged ones are not.
"""

from __future__ import annotations

import logging
import math
import queue
import secrets
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.book import Book
from appliance.audit.chain import sign
from appliance.core.events import AuditEvent, EventType

SLOTS: Final = 65_536
"""Records reserved or on their way to disk; about 1 KiB each at most."""

STALL_SECONDS: Final = 2.0
"""How long a commit may take before requests are refused."""

BATCH: Final = 1000
"""Records in one commit."""

LINGER_SECONDS: Final = 0.02
"""How long a record that nobody waits for may wait for others, so that one commit carries them all."""

RETRY_SECONDS: Final = 0.5
CHECKPOINT_SECONDS: Final = 60.0
COUNT_SECONDS: Final = 60.0
"""Counted discovery is written this often."""

RETRY_WINDOW: Final = 5_000_000
"""Microseconds in which a second denied try is the same deed: kubectl tries exec over WebSocket, then SPDY."""

MAX_REMEMBERED: Final = 4096
FLUSH_SECONDS: Final = 10.0
"""How long closing waits for the last records."""

_log = logging.getLogger("fairlead.audit")


class AuditUnavailable(Exception):
    """A record cannot be kept now, so the request must be refused."""


class _Entry:
    __slots__ = ("done", "event", "handed_at", "withdrawn")

    def __init__(self, event: AuditEvent, done: trio.Event | None) -> None:
        self.event = event
        self.done = done
        self.withdrawn = False
        self.handed_at = time.monotonic()


class Ledger:
    """The audit of one appliance start."""

    def __init__(self, path: Path, key: Ed25519PrivateKey, clock: Callable[[], int]) -> None:
        self._book = Book(path, secrets.token_hex(8))
        self.path = path
        self._key = key
        self._clock = clock
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._taken = 0  # slots reserved or in the queue
        self._oldest_uncommitted = math.inf
        self._waiting: OrderedDict[int, float] = OrderedDict()
        self._listeners: list[Callable[[AuditEvent], None]] = []
        self._denied: OrderedDict[tuple[str, str, str], tuple[int, str]] = OrderedDict()
        self._counts: dict[tuple[str, str, str, str], int] = {}
        self._token: trio.lowlevel.TrioToken | None = None
        self._freed = trio.Event()
        self._thread: threading.Thread | None = None
        self._broken = False
        self._closing = threading.Event()

    # Life

    async def start(self) -> None:
        """Open the book and write the first record. Fails when that cannot be done: no audit, no appliance."""
        self._token = trio.lowlevel.current_trio_token()
        await trio.to_thread.run_sync(self._book.open)
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
        self._thread.start()
        await self.record(AuditEvent(self._clock(), EventType.APPLIANCE_STARTED))

    async def run(self) -> None:
        """Write what is counted, now and then."""
        while True:
            await trio.sleep(COUNT_SECONDS)
            self._write_counts()

    async def aclose(self) -> None:
        """Write everything, a last checkpoint, and close the book."""
        if self._thread is None:
            return
        self._write_counts()
        self._hand_over(AuditEvent(self._clock(), EventType.APPLIANCE_STOPPED), None)
        self._taken += 1
        self._queue.put(None)
        self._closing.set()
        thread, self._thread = self._thread, None
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(thread.join, FLUSH_SECONDS)

    def subscribe(self, listener: Callable[[AuditEvent], None]) -> None:
        """Have `listener` called in the Trio thread for each record once it is on disk. It must not raise."""
        self._listeners.append(listener)

    # Recording

    @property
    def available(self) -> bool:
        """Tell whether a record could be kept now."""
        if self._thread is None or self._taken >= SLOTS:
            return False
        return not self._waiting or time.monotonic() - next(iter(self._waiting.values())) < STALL_SECONDS

    def try_reserve(self) -> bool:
        """Take a slot for a later `close`; False: there is none now, or the book is stalled."""
        if not self.available:
            return False
        self._taken += 1
        return True

    async def reserve(self) -> None:
        """Take a slot for a later `close`, waiting for one up to STALL_SECONDS.

        Raises:
            AuditUnavailable: no slot, or nothing reaches the disk.

        """
        with trio.move_on_after(STALL_SECONDS):
            while not self.try_reserve():
                if self._thread is None:
                    break
                self._freed = trio.Event()
                await self._freed.wait()
            else:
                return
        raise AuditUnavailable("the audit record cannot be kept now")

    def release(self) -> None:
        """Give back a slot that will not be used."""
        self._taken -= 1

    async def record(self, event: AuditEvent) -> None:
        """Keep a record and return once it is on disk. Takes its own slot.

        Raises:
            AuditUnavailable: it did not reach the disk in time, and will not.

        """
        if not self.try_reserve():
            await self.reserve()
        done = trio.Event()
        entry = self._hand_over(event, done)
        with trio.move_on_after(STALL_SECONDS):
            await done.wait()
        if not done.is_set():
            entry.withdrawn = True
            raise AuditUnavailable("the audit record did not reach the disk")

    def close(self, event: AuditEvent) -> None:
        """Keep a record in a slot reserved before. Never waits."""
        self._hand_over(event, None)

    def deny(self, event: AuditEvent) -> None:
        """Keep a denial. Never waits: when no slot is free it is logged instead, and nothing was allowed anyway."""
        key = (event.actor_id or event.client_address, event.cluster_id, _target(event))
        earlier = self._denied.pop(key, None)
        if earlier is not None and event.time - earlier[0] <= RETRY_WINDOW:
            event = event._replace(retry_of=earlier[1])
        self._denied[key] = (event.time, event.correlation_id)
        while len(self._denied) > MAX_REMEMBERED:
            self._denied.popitem(last=False)
        if self.try_reserve():
            self._hand_over(event, None)
        else:
            _log.warning("a denial could not be recorded", extra={"code": event.code, "actor": event.actor})

    def count(self, person_id: str, person: str, cluster_id: str, cluster: str) -> None:
        """Count an allowed discovery request instead of recording it."""
        key = (person_id, person, cluster_id, cluster)
        self._counts[key] = self._counts.get(key, 0) + 1
        if len(self._counts) >= MAX_REMEMBERED:
            self._write_counts()

    def _write_counts(self) -> None:
        counts, self._counts = self._counts, {}
        for (person_id, person, cluster_id, cluster), number in counts.items():
            self._taken += 1
            self._hand_over(
                AuditEvent(
                    self._clock(),
                    EventType.PROXY_DISCOVERY,
                    actor_id=person_id,
                    actor=person,
                    cluster_id=cluster_id,
                    cluster=cluster,
                    counted=number,
                ),
                None,
            )

    def _hand_over(self, event: AuditEvent, done: trio.Event | None) -> _Entry:
        entry = _Entry(event, done)
        self._waiting[id(entry)] = entry.handed_at
        self._queue.put(entry)
        return entry

    def _committed(self, entries: list[_Entry]) -> None:
        """In the Trio thread: these are on disk (or were withdrawn)."""
        self._taken -= len(entries)
        for entry in entries:
            self._waiting.pop(id(entry), None)
            if entry.done is not None:
                entry.done.set()
        self._freed.set()
        for listener in self._listeners:
            for entry in entries:
                if not entry.withdrawn:
                    listener(entry.event)

    # The thread

    def _work(self) -> None:
        checkpoint_due = time.monotonic() + CHECKPOINT_SECONDS
        ending = False
        while not ending:
            batch, ending = self._gather(checkpoint_due)
            if batch:
                self._commit(batch)
            if ending or time.monotonic() >= checkpoint_due:
                self._sign()
                checkpoint_due = time.monotonic() + CHECKPOINT_SECONDS
        self._book.close()

    def _gather(self, checkpoint_due: float) -> tuple[list[_Entry], bool]:
        """Wait for records: until someone waits for one, the batch is full, or the linger is over."""
        batch: list[_Entry] = []
        linger_until = math.inf
        while len(batch) < BATCH:
            timeout = min(linger_until, checkpoint_due) - time.monotonic()
            try:
                entry = self._queue.get(timeout=timeout) if timeout > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if entry is None:
                return batch, True
            batch.append(entry)
            linger_until = 0.0 if entry.done is not None else min(linger_until, time.monotonic() + LINGER_SECONDS)
        return batch, False

    def _commit(self, batch: list[_Entry]) -> None:
        """Commit until it succeeds: what was handed over is not given up."""
        while True:
            kept = [entry for entry in batch if not entry.withdrawn]
            try:
                if kept:
                    self._book.append([entry.event for entry in kept])
            except (sqlite3.Error, OSError) as error:
                if not self._broken:
                    self._broken = True
                    _log.error("audit records cannot be kept: %s; new requests are refused", error)
                if self._thread is None:
                    return
                self._closing.wait(RETRY_SECONDS)
                self._reopen()
            else:
                if self._broken:
                    self._broken = False
                    _log.warning("audit records are kept again")
                self._tell(batch)
                return

    def _reopen(self) -> None:
        try:
            self._book.open()
        except (sqlite3.Error, OSError):
            return  # the next append meets the same fault and says so

    def _sign(self) -> None:
        try:
            self._book.keep(sign(self._key, self._clock(), self._book.heads()))
        except (sqlite3.Error, OSError) as error:
            _log.error("an audit checkpoint could not be kept: %s", error)

    def _tell(self, batch: list[_Entry]) -> None:
        assert self._token is not None
        try:
            self._token.run_sync_soon(self._committed, batch)
        except trio.RunFinishedError:
            return  # the process is ending; the records are on disk


def _target(event: AuditEvent) -> str:
    return f"{event.namespace}/{event.resource}/{event.name}/{event.subresource}{event.path} {event.kubectl_session}"
