"""The ledger being written: one chain, what is signed of it, and how it goes on after a failure.

What always holds: `append` keeps the whole batch with its hashes or nothing; `head` moves only after the commit; only
what this process knows to be its own is signed, but for the ends of chains whose writers died, and those only as far
as they hang together. Used from one thread at a time. The database is behind a shelf; see shelf.py.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit import statements
from appliance.audit.chain import (
    NOTHING,
    Checkpoint,
    Cut,
    Head,
    fingerprint,
    genesis,
    key_id,
    link,
    sign,
    signed_by,
)
from appliance.audit.reader import Reader
from appliance.audit.sheaf import Bound, Line, bind, lines, record
from appliance.audit.shelf import AuditBroken, AuditRefused, Place, Shelf
from appliance.audit.sqlite import SQLitePlace
from appliance.core.events import AuditEvent

__all__ = ["AuditRefused", "Book", "Notary", "Reader"]

log = logging.getLogger("fairlead.audit")

ORPHANS_MICROS = 60_000_000  # how often we look for chains whose writers died, where there may be several writers
PAGE = 16  # sheaves read at once, some MB at most
LOWEST = -(1 << 63)


class Notary:
    """Adds checkpoints to a shelf, each following the one before it. What was signed is remembered: a cut shows."""

    def __init__(self, shelf: Shelf, key: Ed25519PrivateKey) -> None:
        self._shelf = shelf
        self._key = key
        self._public = key.public_key()
        self._key_id = key_id(self._public)
        self._signed: tuple[Checkpoint, str] = (NOTHING, "")

    def last(self) -> tuple[Checkpoint, str]:
        """The last checkpoint and its fingerprint; of one that is not ours, only its number is believed."""
        rows = self._shelf.rows(statements.LAST_CHECKPOINT)
        if not rows and not self._signed[1]:
            return NOTHING, ""
        if not rows or (type(rows[0][0]) is int and rows[0][0] < self._signed[0].number):
            log.error("checkpoint %d of the audit ledger was removed", self._signed[0].number)
            return self._signed
        number, body, signature = rows[0]
        if type(number) is not int:
            raise AuditRefused(
                "The audit ledger was tampered with: a checkpoint has no number. Run: fairlead audit verify"
            )
        try:
            checkpoint = Checkpoint.parse(body)
        except ValueError:
            checkpoint = NOTHING
        if checkpoint.number != number or not self.ours(body, signature):
            log.error("checkpoint %d of the audit ledger is not one of ours", number)
            checkpoint = Checkpoint(number, 0, "", "", ())
        return checkpoint, fingerprint(body, signature)

    def ours(self, body: str, signature: str) -> bool:
        return signed_by(body, signature, {self._key_id: self._public}, self._key_id)

    def add(self, moved: Sequence[Head], ended: Sequence[Head], now: int, cut: Cut | None = None) -> None:
        """In the transaction that `last` was asked in."""
        last, mark = self.last()
        checkpoint = last.follow(mark, now, self._key_id, moved, ended, cut)
        body = checkpoint.body()
        signature = sign(body, self._key)
        self._shelf.rows(statements.CHECKPOINT_ADD, checkpoint.number, body, signature)
        self._signed = checkpoint, fingerprint(body, signature)


class Book:
    """One open ledger and the chain being written to it."""

    def __init__(self, place: Path | Place, key: Ed25519PrivateKey, now: int) -> None:
        self._place: Place = SQLitePlace(place) if isinstance(place, Path) else place
        self._shelf = self._place.open()
        try:
            self._shelf.claim()
            self._notary = Notary(self._shelf, key)
            self.head = self._start_chain(now)
        except BaseException:
            self._shelf.close()
            raise
        self._now = now

    def append(self, events: Sequence[AuditEvent]) -> None:
        """Adds the events in one commit, or raises and leaves `head` where it was."""
        self.keep([bind(self.head, [record(event) for event in events])])

    def keep(self, bound: Sequence[Bound]) -> None:
        """The same for what is bound already, to `head` and to each other."""
        self._shelf.check()
        heads = [self.head, *(it.after for it in bound)]
        if [it.before for it in bound] != heads[:-1]:
            raise AuditBroken("the records to be kept do not follow each other and the last one kept")
        sheaves = [sheaf for it in bound for sheaf in it.sheaves]
        self._shelf.add(sheaves)
        self.head = bound[-1].after
        self._now = max(self._now, sheaves[-1].until) if sheaves else self._now

    def checkpoint(self, now: int) -> None:
        """Signs where the chain stands."""
        self._shelf.check()
        with self._shelf.signing():
            if self._shelf.shared and now - self._looked >= ORPHANS_MICROS:
                self._notary.add([self.head], self._orphans(now), now)
            else:
                self._notary.add([self.head], [], now)
        self._now = now

    def recover(self, now: int, unsure: Sequence[Bound]) -> bool:
        """Opens the ledger again after a failure; whether it holds `unsure`, which could not be kept, after all.

        A commit that failed may have reached the disk nevertheless. If the ledger no longer ends where we left it, or
        another appliance took us for dead and ended our chain, what follows goes into a new chain.
        """
        self._shelf.reopen()
        before = self.head
        if not self._shelf.hold(before.chain):
            raise AuditBroken("the connection that broke still holds the chain of audit records")
        after = unsure[-1].after if unsure[0].before == before else before
        found = self._end(before)
        if found not in {before, after}:
            log.error("the audit ledger %s does not end where we left it; a new chain is begun", self._place)
            self.head = self._start_chain(now, lost=before)
            return False
        known = found == after != before
        last, _ = self._notary.last()
        if before.chain in {head.chain for head in last.heads}:
            self.head = found
        else:
            log.warning("another appliance ended our chain of audit records; a new one is begun")
            self._shelf.release(before.chain)
            self.head = self._start_chain(now)
        return known

    def close(self) -> None:
        """Ends the chain: whatever is added to it from now on is a forgery."""
        try:
            with self._shelf.signing():
                self._notary.add([], [self.head], self._now)
        except Exception as error:  # noqa: BLE001 -- the records are safe; the next start ends the chain
            log.error("the end of the audit chain could not be signed: %s", error)  # noqa: TRY400 -- that says it
        finally:
            self._shelf.close()

    def _start_chain(self, now: int, lost: Head | None = None) -> Head:
        """A new chain; those of writers that died, and our own that was lost, are ended first."""
        with self._shelf.signing():
            ended = [] if lost is None else [lost]
            ended += self._orphans(now, but=ended)
            rows = self._shelf.rows(statements.LAST_CHAIN)
            number = max(self._notary.last()[0].chains, rows[0][0] if rows else 0) + 1
            if not self._shelf.hold(number):
                raise AuditBroken("the new chain of audit records is held by another")
            self._shelf.rows(statements.CHAIN_ADD, number, now)
            head = Head(number, 0, genesis(number, now))
            self._notary.add([head], ended, now)
        return head

    def _end(self, head: Head) -> Head | None:
        """The last record of a chain, as far as one can read it; `head` without its number where there is none."""
        rows = self._shelf.rows(statements.LAST_SHEAF, head.chain)
        if not rows:
            return replace(head, number=0)
        try:
            *_, last = lines(rows[0][0])
        except ValueError:
            return None
        return Head(head.chain, last.number, last.hash)

    def _orphans(self, now: int, but: Sequence[Head] = ()) -> list[Head]:
        """Where the chains of dead writers end, as far as they hang together."""
        self._looked = now
        last, _ = self._notary.last()
        mine = {head.chain for head in but}
        if hasattr(self, "head"):
            mine.add(self.head.chain)
        found = []
        for signed in last.heads:
            if signed.chain not in mine and self._shelf.hold(signed.chain):
                found.append(self._sound_end(signed))
                self._shelf.release(signed.chain)
        return found

    def _sound_end(self, signed: Head) -> Head:
        head, place = signed, LOWEST
        while rows := self._shelf.rows(statements.SHEAVES_BEYOND, head.chain, place, signed.number, PAGE):
            for first, content in rows:
                place = first
                try:
                    for line in lines(content):
                        if line.number > head.number:
                            head = _next(head, line)
                except ValueError:
                    log.error(  # noqa: TRY400 -- what it is, verification says
                        "the audit ledger %s was changed after record %d of chain %d; see `fairlead audit verify`",
                        self._place,
                        head.number,
                        head.chain,
                    )
                    return head
        return head


def _next(head: Head, line: Line) -> Head:
    """The head after a record. Raises ValueError for one that does not follow."""
    after = Head(head.chain, head.number + 1, link(head.hash, head.number + 1, line.sealed))
    if after != Head(head.chain, line.number, line.hash):
        raise ValueError("it does not follow")
    return after
