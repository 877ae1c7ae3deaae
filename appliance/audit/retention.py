"""Removes records that need not be kept any longer: up to a checkpoint, announced and signed, in small bites.

What always holds: before anything is removed, an ordinary record says so and a signed checkpoint names the place, so
that verification can tell retention from a theft; only what that checkpoint covers is removed, from the oldest on;
records are removed before the checkpoints that signed them; a bite is one short transaction, between which commits
have their turn. Killed in between, it goes on at the next start. The file does not shrink: SQLite uses the room again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeVar

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit import statements
from appliance.audit.book import Notary
from appliance.audit.chain import Checkpoint, Cut, fingerprint
from appliance.audit.shelf import Place, Shelf
from appliance.core.events import AuditEvent, EventType

T = TypeVar("T")

DAY_MICROS: Final = 86_400 * 1_000_000
BITE: Final = 500  # records a transaction, and the rest of a sheaf: some milliseconds in which a commit waits
PAUSE_SECONDS: Final = 0.05  # so that removing takes a small part of the disk's time, and keeps up with any load
LOOK_SECONDS: Final = 3_600.0  # how often we look whether something is old enough
PAGE: Final = 1_000
LOWEST: Final = -(1 << 63)
HIGHEST: Final = (1 << 63) - 1

log = logging.getLogger("fairlead.audit")


class Cutter:
    """The database side: what may go, the signature, and one bite at a time. One thread at a time."""

    def __init__(self, place: Place, key: Ed25519PrivateKey) -> None:
        self._shelf: Shelf = place.open()
        self._notary = Notary(self._shelf, key)

    def close(self) -> None:
        self._shelf.close()

    def plan(self, before: int) -> Cut | None:
        """The cut that could be made of what was signed up to a moment; None: nothing is that old."""
        last, _ = self._notary.last()
        found: tuple[str, str] | None = None
        for number, body, signature in self._checkpoints(last.cut.number if last.cut is not None else 0):
            try:
                checkpoint = Checkpoint.parse(body)
            except ValueError:
                return None  # somebody was at it: what is left is evidence
            if checkpoint.number != number or checkpoint.time > before:
                break
            found = body, signature
        if found is None or not self._notary.ours(*found):
            return None
        checkpoint = Checkpoint.parse(found[0])
        return Cut(checkpoint.number, fingerprint(*found), checkpoint.time, checkpoint.chains, checkpoint.heads)

    def cut(self, planned: Cut, now: int) -> None:
        """Signs it. From now on verification does not miss what it covers."""
        with self._shelf.signing():
            last, _ = self._notary.last()
            if last.cut is None or last.cut.number < planned.number:
                self._notary.add([], [], now, planned)

    def bite(self) -> bool:
        """Removes a little of what the last signed cut covers; False: there is nothing left to remove."""
        last, _ = self._notary.last()
        cut = last.cut
        if cut is None:
            return False
        for chain in self._chains(cut.chains):
            kept = cut.first_kept(chain)
            rows = self._shelf.rows(statements.SHEAF_FIRST, chain)
            if rows and not all(type(it) is int for it in rows[0]):
                continue  # somebody was at it: what is left is evidence
            if rows and (kept == 0 or rows[0][1] < kept):
                end = kept - 1 if kept else HIGHEST
                self._shelf.rows(statements.SHEAVES_REMOVE, chain, rows[0][0] + BITE - 1, end)
                return True
            if kept == 0:
                self._shelf.rows(statements.CHAIN_REMOVE, chain)
                return True
        first = next(self._checkpoints(LOWEST), None)
        if first is None or first[0] > cut.number:
            return False
        self._shelf.rows(statements.CHECKPOINTS_REMOVE, min(first[0] + BITE - 1, cut.number))
        return True

    def _chains(self, highest: int) -> Iterator[int]:
        chain = LOWEST
        while (rows := self._shelf.rows(statements.CHAIN_NEXT, chain)) and rows[0][0] <= highest:
            chain = rows[0][0]
            yield chain

    def _checkpoints(self, after: int) -> Iterator[tuple[int, str, str]]:
        while rows := self._shelf.rows(statements.CHECKPOINTS, after, PAGE):
            for number, body, signature in rows:
                after = number
                yield number, body, signature


class Retention:
    """The Trio side: keep `run` running."""

    def __init__(
        self,
        place: Place,
        key: Ed25519PrivateKey,
        days: int,
        record: Callable[[AuditEvent], Awaitable[None]],
        clock: Callable[[], int],
    ) -> None:
        self._place = place
        self._key = key
        self._days = days
        self._record = record
        self._clock = clock

    async def run(self) -> None:
        """Looks every hour, until cancelled. A failure is logged, and the next look tries again."""
        while True:
            try:
                await self.once()
            except Exception:  # too much kept is no reason to refuse anything
                log.exception("old audit records could not be removed")
            await trio.sleep(LOOK_SECONDS)

    async def once(self) -> None:
        """Cuts what is old enough, and removes all that was cut."""
        cutter = await trio.to_thread.run_sync(Cutter, self._place, self._key)
        try:
            planned = await _in_thread(lambda: cutter.plan(self._clock() - self._days * DAY_MICROS))
            if planned is not None:
                await self._record(self._announced(planned))
                await _in_thread(lambda: cutter.cut(planned, self._clock()))
            more = await _in_thread(cutter.bite)
            while more:
                await trio.sleep(PAUSE_SECONDS)
                more = await _in_thread(cutter.bite)
        finally:
            with trio.CancelScope(shield=True):  # closing a connection is bounded by its own timeout
                await _in_thread(cutter.close)

    def _announced(self, planned: Cut) -> AuditEvent:
        details = {"retention_days": self._days, "checkpoint": planned.number, "signed_until_us": planned.time}
        return AuditEvent(
            self._clock(),
            EventType.AUDIT_CUT,
            actor="retention",
            details=tuple((name, str(value)) for name, value in details.items()),
        )


async def _in_thread(work: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(work)
