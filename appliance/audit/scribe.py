"""The thread that writes the book: takes what waits, commits it together, says when.

What always holds: what was taken is committed or tried again, never dropped; while that fails `failing` says why and
the thread recovers by itself; most records come to it bound, so that it has little left to do for which it needs the
interpreter. Ordinary records linger a moment so that many share one commit; a record somebody waits for does not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from appliance.audit.binder import Awaited, Batch, Binder
from appliance.audit.book import Book
from appliance.core.events import AuditEvent

LINGER_SECONDS = 0.05  # at 5,000 requests/s 250 records share a commit; a crash loses as much
HURRY_AT = 1024  # records waiting: enough to share a commit
BATCH = 1024  # records a commit
RETRY_SECONDS = 0.25  # between two tries while the disk is full or broken
CHECKPOINT_SECONDS = 10.0  # how long a record may be unsigned while the appliance runs
CHECKPOINT_RECORDS = 10_000
IDLE_SECONDS = 60.0  # a wake-up that is lost costs this and no more

log = logging.getLogger("fairlead.audit")


Settled = Callable[[list[AuditEvent], list[Awaited]], None]


class Scribe:
    """The queue, the thread, and how far it is. Only the thread writes `settled`, `failing` and `busy_since`."""

    def __init__(
        self, book: Book, clock: Callable[[], int], on_settled: Settled, hear: Callable[[list[AuditEvent]], None]
    ) -> None:
        """`hear`: see Binder. `on_settled` is told after a commit, in the thread: events not heard yet, who waits."""
        self.settled = 0  # records taken from the queue and dealt with
        self.failing = ""
        self.busy_since: float | None = None
        self._binder = Binder(book.head, hear)
        self._book = book
        self._clock = clock
        self._on_settled = on_settled
        self._awake = False
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._stopping = threading.Event()
        self._unsigned = 0
        self._signed_at = time.monotonic()
        self._writer = threading.Thread(target=self._run, name="fairlead audit", daemon=True)
        self._writer.start()

    @property
    def waiting(self) -> int:
        """Records not yet taken."""
        return self._binder.waiting

    def put(self, item: AuditEvent | Awaited, *, hurry: bool = False) -> None:
        self._binder.put(item)
        if (hurry or self._binder.waiting >= HURRY_AT) and not self._hurry.is_set():
            self._hurry.set()
        if not self._awake:
            self._awake = True
            self._wake.set()

    def stop(self, seconds: float) -> bool:
        """Writes what waits, signs, ends the thread and closes the book; False when that took longer. Blocks."""
        self._stopping.set()
        self._hurry.set()
        self._wake.set()
        self._writer.join(seconds)
        return not self._writer.is_alive()

    def _run(self) -> None:
        try:
            self._write()
        except BaseException as error:
            log.exception("the audit ledger's thread ended, requests are refused until the appliance is started again")
            self.failing = str(error) or type(error).__name__
        finally:
            self._book.close()

    def _write(self) -> None:
        while not (self._stopping.is_set() and not self.waiting):
            self._awake = False
            # Looked at after `_awake` went down: a record put before is seen here, one put after wakes us.
            if not self.waiting:
                self._wake.wait(self._until_checkpoint())
            self._wake.clear()
            self._awake = True
            if self.waiting:
                self._hurry.wait(LINGER_SECONDS)
                self._hurry.clear()
                self._take_and_commit()
            self._sign_if_due()
        self._sign_if_due(now=True)

    def _take_and_commit(self) -> None:
        taken = self._binder.take(BATCH)
        if not taken:
            return
        self.busy_since = time.monotonic()
        if self._commit(taken):
            self._unsigned += sum([len(batch.bound.records) for batch in taken])
            self.settled += sum([batch.count for batch in taken])
            self.busy_since = None
            unheard = [event for batch in taken for event in batch.unheard]
            self._on_settled(unheard, [item for batch in taken for item in batch.awaited])

    def _commit(self, taken: list[Batch]) -> bool:
        """Until it is on the disk. False only when we were told to stop and it still fails."""
        try:
            self._book.keep([it.bound for it in taken])
        except Exception as error:  # noqa: BLE001 -- whatever it is, the records are kept and it is tried again
            self._fail(error)
        else:
            return True
        known = False
        while True:
            try:
                known = known or self._book.recover(self._clock(), [it.bound for it in taken])
                if known:
                    self._binder.rebind(self._book.head, [])
                else:
                    taken = self._binder.rebind(self._book.head, taken)
                    self._book.keep([it.bound for it in taken])
            except Exception as error:  # noqa: BLE001 -- as above
                self._fail(error)
            else:
                log.warning("the audit ledger can be written again")
                self.failing = ""
                return True
            if self._stopping.wait(RETRY_SECONDS):
                left = sum([it.count for it in taken]) + self.waiting
                log.error("%d audit records could not be written before the end", left)
                self._binder.take(self.waiting)
                return False

    def _sign_if_due(self, *, now: bool = False) -> None:
        due = now or self._unsigned >= CHECKPOINT_RECORDS or time.monotonic() - self._signed_at >= CHECKPOINT_SECONDS
        if not self._unsigned or not due:
            return
        self._signed_at = time.monotonic()
        try:
            self._book.checkpoint(self._clock())
        except Exception as error:  # noqa: BLE001 -- the records are safe; the next one due signs them too
            log.error("the audit ledger could not be signed: %s", error)  # noqa: TRY400 -- the sentence is enough
        else:
            self._unsigned = 0

    def _until_checkpoint(self) -> float:
        if not self._unsigned:
            return IDLE_SECONDS
        return max(0.0, self._signed_at + CHECKPOINT_SECONDS - time.monotonic())

    def _fail(self, error: Exception) -> None:
        if not self.failing:
            log.error(
                "the audit ledger cannot be written, requests are refused: %s; free its disk, or wake its database",
                error,
            )
        self.failing = str(error) or type(error).__name__
