"""Is the ledger what was written? Reads all of it once and names every place where it is not.

It trusts the given public keys and nothing in the ledger; it needs no more memory for a large one than for a small. It
walks the checkpoints in order and has each chain follow. Found: any record changed, removed, put in, moved or exchanged
at or before a checkpoint, a sheaf that is found by something else than its records say, a checkpoint changed, removed
or forged, records after the end of a chain, a chain that no appliance began. Not found, because nothing can tell:
changes after the last checkpoint, and the loss of everything after some checkpoint, unless a later one was kept
elsewhere and is given as `kept`. What retention cut is not missed: a signed checkpoint says where it may begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.audit import statements
from appliance.audit.chain import NOTHING, Checkpoint, Cut, Head, fingerprint, genesis, keyring, signed_by
from appliance.audit.kept import KeptCheckpoint
from appliance.audit.reader import Reader
from appliance.audit.records import parse
from appliance.audit.sheaf import SPAN_MICROS, Line, as_bound, found, page_size
from appliance.audit.shelf import Place, Shelf
from appliance.audit.walk import Misfit, Walk, name_moved

MAX_FAULTS = 100  # after so many the rest is no news
PAGE = 1_000  # checkpoints read at once
LOWEST = -(1 << 63)  # reading begins beyond it
HIGHEST: object = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """`unsigned`: records after the last checkpoint, which no signature covers yet. `cut`: what retention removed."""

    records: int
    checkpoints: int
    unsigned: int
    faults: tuple[str, ...]
    last: int = 0  # the number of the last checkpoint
    cut: Cut | None = None

    @property
    def sound(self) -> bool:
        return not self.faults


class _Enough(Exception):
    """More faults than anyone reads."""


def verify_chain(
    place: Path | Place, keys: Iterable[Ed25519PublicKey], *, kept: KeptCheckpoint | None = None
) -> Verdict:
    """Checks the whole ledger; `kept` is a checkpoint that was exported before."""
    with Reader(place) as reader, reader.shelf.reading():
        verifier = _Verifier(reader.shelf, keyring(keys), kept)
        try:
            return verifier.verdict()
        except _Enough:
            return verifier.so_far()
        except reader.shelf.damage as error:
            verifier.faults.append(f"the ledger cannot be read: {error}")
            return verifier.so_far()


@dataclass(slots=True)
class _Verifier:
    shelf: Shelf
    keys: dict[str, Ed25519PublicKey]
    kept: KeptCheckpoint | None
    faults: list[str] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)
    records: int = 0
    checkpoints: int = 0
    unsigned: int = 0
    last: Checkpoint = NOTHING
    cut: Cut | None = None
    open: dict[int, _Chain] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    walked: set[int] = field(default_factory=set)

    def verdict(self) -> Verdict:
        self.cut = self._last_cut()
        state = NOTHING
        for checkpoint in self._signed():
            if state is NOTHING and checkpoint.number > 1:
                self._begin_after_cut(checkpoint)
            self._advance(checkpoint)
            state = self.last = checkpoint
        self._rest()
        return self.so_far()

    def so_far(self) -> Verdict:
        for fault in name_moved(self.misfits):
            self.faults.append(fault)
        faults = tuple(self.faults[:MAX_FAULTS])
        return Verdict(self.records, self.checkpoints, self.unsigned, faults, self.last.number, self.cut)

    def report(self, fault: str) -> None:
        self.faults.append(fault)
        if len(self.faults) >= MAX_FAULTS:
            raise _Enough

    # Checkpoints

    def _last_cut(self) -> Cut | None:
        """What the last sound checkpoint says of retention."""
        position = HIGHEST
        while rows := self.shelf.rows(statements.CHECKPOINT_BEFORE, position):
            checkpoint = self._sound(*rows[0])
            if checkpoint is not None:
                return checkpoint.cut
            position = rows[0][0]
        return None

    def _sound(self, number: object, body: str, signature: str) -> Checkpoint | None:
        try:
            checkpoint = Checkpoint.parse(body)
        except ValueError:
            return None
        signed = signed_by(body, signature, self.keys, checkpoint.key_id)
        return checkpoint if signed and checkpoint.number == number else None

    def _signed(self) -> Iterator[Checkpoint]:
        """The sound checkpoints in order; the others are reported."""
        expected, previous = 1, ""
        first = True
        for number, body, signature in self._rows(statements.CHECKPOINTS):
            if type(number) is not int or number < 1:
                self.report(f"checkpoint {number}: inserted; no checkpoint has such a number")
                continue
            self._compare_with_kept(number, body, signature)
            if first and self.cut is not None and number > 1:
                expected = min(number, self.cut.number + 1)
                previous = self.cut.fingerprint if number == self.cut.number + 1 else ""
            if number > expected:
                self.report(f"checkpoint{_span(expected, number - 1)} removed")
                previous = ""
            checkpoint = self._sound(number, body, signature)
            if checkpoint is None:
                self.report(f"checkpoint {number}: changed or forged: not signed by a key that is trusted")
            elif (previous and checkpoint.previous != previous) or (number == 1 and checkpoint.previous):
                self.report(f"checkpoint {number}: does not follow the one before it")
            self.checkpoints += 1
            if checkpoint is not None:
                yield checkpoint
            expected, previous, first = number + 1, fingerprint(body, signature), False
        if self.kept is not None and self.kept.number >= expected:
            self.report(f"the ledger ends before checkpoint {self.kept.number}, which was exported; its end was cut")

    def _compare_with_kept(self, number: int, body: str, signature: str) -> None:
        kept = self.kept
        if kept is not None and kept.number == number and (kept.body, kept.signature) != (body, signature):
            self.report(f"checkpoint {number}: not the one that was exported")

    def _begin_after_cut(self, first: Checkpoint) -> None:
        """The chains as they stood before the first checkpoint that is left."""
        cut = self.cut
        if cut is None:
            return
        after_cut = first.number > cut.number
        heads = cut.heads if after_cut else first.heads + first.ended
        self.open = {head.chain: _Chain(self, head, cut) for head in heads}
        chains = cut.chains if after_cut else first.chains
        self.ended = {chain for chain in range(1, chains + 1) if chain not in self.open}

    def _advance(self, checkpoint: Checkpoint) -> None:
        """Has every chain follow to where the checkpoint says it stands."""
        for head in (*checkpoint.heads, *checkpoint.ended):
            chain = self.open.get(head.chain)
            if chain is None:
                chain = self._born(head, checkpoint.number)
            chain.follow_to(head, checkpoint.number)
        for head in checkpoint.ended:
            self._end(self.open.pop(head.chain), head)
        for lost in set(self.open) - {head.chain for head in checkpoint.heads}:
            self.report(f"checkpoint {checkpoint.number}: says nothing of chain {lost}")

    # Chains

    def _born(self, head: Head, checkpoint: int) -> _Chain:
        rows = self.shelf.rows(statements.CHAIN_NEXT, head.chain - 1)
        listed = bool(rows) and rows[0][0] == head.chain
        if head.chain in self.ended:
            self.report(f"checkpoint {checkpoint}: goes on with chain {head.chain}, which has ended")
        elif head.number:
            self.report(f"checkpoint {checkpoint}: goes on with chain {head.chain}, which nobody began")
        elif not listed and (self.cut is None or self.cut.first_kept(head.chain)):
            self.report(f"chain {head.chain}: its beginning was removed")
        elif listed and genesis(*rows[0]) != head.hash:
            self.report(f"chain {head.chain}: its beginning was changed")
        begin = head.hash if not head.number else genesis(*rows[0]) if listed else ""
        chain = self.open[head.chain] = _Chain(self, Head(head.chain, 0, begin), self.cut)
        return chain

    def _end(self, chain: _Chain, end: Head) -> None:
        extra = chain.finish()
        self.ended.add(end.chain)
        if extra:
            self.report(f"chain {end.chain}: {extra} inserted after its end, from record {end.number + 1} on")

    def _rest(self) -> None:
        """What follows the last checkpoint, and what belongs to no chain."""
        for chain in self.open.values():
            self.unsigned += chain.finish()
        for chain_number, first in self.shelf.rows(statements.SHEAVES_UNREACHED, LOWEST, MAX_FAULTS):
            self.report(f"chain {chain_number}, sheaf of record {first}: inserted; no appliance numbers so low")
        for number in self._chains(statements.SHEAF_CHAIN_NEXT):
            if number not in self.walked:
                gone = number in self.ended
                self.report(f"chain {number}: inserted; {'retention removed it' if gone else 'no appliance began it'}")
        for number in self._chains(statements.CHAIN_NEXT):
            if number not in self.walked and number not in self.ended:
                self.report(f"chain {number}: is listed, but no appliance began it")

    def _chains(self, sql: str) -> Iterator[object]:
        position: object = LOWEST
        while rows := self.shelf.rows(sql, position):
            position = rows[0][0]
            yield position

    def _rows(self, sql: str) -> Iterator[tuple[object, str, str]]:
        position: object = LOWEST
        while rows := self.shelf.rows(sql, position, PAGE):
            for row in rows:
                position = row[0]
                yield row[0], row[1], row[2]


class _Chain:
    """One chain on its way through the records. `begin`: what is known to stand before all that must be there."""

    def __init__(self, verifier: _Verifier, begin: Head, cut: Cut | None) -> None:
        self._verifier = verifier
        verifier.walked.add(begin.chain)
        self._rows = self._read(begin.chain)
        self._next = next(self._rows, None)
        self._claimed = begin.number
        self._gone = False
        self._walk = Walk(begin, verifier.report, verifier.misfits)
        kept = cut.first_kept(begin.chain) if cut is not None else 1
        first = self._next[0] if self._next is not None else 0
        base = next((head for head in cut.heads if head.chain == begin.chain), None) if cut is not None else None
        if kept == 0 and first == 0:
            self._gone = True
        elif base is not None and (first == 0 or first >= kept):
            self._walk.head = base
        elif first > 1 and (kept == 0 or first < kept):
            # Retention is at work: what is left must hang together, and lead to where it must be whole.
            self._walk.head = Head(begin.chain, first - 1, "")
            self._walk.trusted = True
        if base is not None:
            self.follow_to(base, cut.number if cut is not None else 0)

    def follow_to(self, head: Head, checkpoint: int) -> None:
        """Reads up to a record and has it compared with what the checkpoint says it is."""
        at = self._walk.head
        if self._gone or head.number < at.number or (head.number == at.number and not at.hash):
            return  # it may be gone by now
        self._claimed = max(self._claimed, head.number)
        self._walk.claim(head.number, head.hash, checkpoint)
        while not self._walk.reached(head.number) and self._step():
            pass

    def finish(self) -> int:
        """Reads to the end; how many records are beyond what was claimed."""
        while self._step():
            pass
        self._walk.finish()
        return max(0, self._walk.head.number - self._claimed)

    def _step(self) -> bool:
        row = self._next
        if row is None:
            return False
        self._next = next(self._rows, None)
        self._walk.take(*row)
        return True

    def _read(self, chain: int) -> Iterator[tuple[int, str, str]]:
        """The records as they are; what is none at all is reported and left out."""
        verifier = self._verifier
        position: object = LOWEST
        size = page_size()
        while rows := verifier.shelf.rows(statements.SHEAVES, chain, position, size):
            for first, *shown, content in rows:
                position = first
                yield from self._lines(chain, (first, *shown), content)
            size = page_size([row[-1] for row in rows])

    def _lines(self, chain: int, shown: tuple[object, ...], content: object) -> Iterator[tuple[int, str, str]]:
        verifier = self._verifier
        records: list[Line] = []
        damaged = False
        for line in found(content):
            verifier.records += 1
            if line is None:
                number = records[-1].number + 1 if records else shown[0]
                verifier.report(f"chain {chain}, record {number}: edited; not a record")
                damaged = True
            else:
                records.append(line)
                yield line.number, line.sealed, line.hash
        if not damaged and not _repeats(shown, content, records):
            number = records[0].number if records else shown[0]
            verifier.report(f"chain {chain}, sheaf of record {number}: what it is found by says something else")


def _repeats(shown: tuple[object, ...], content: object, records: list[Line]) -> bool:
    """Whether a sheaf is written as its records would have it, and found wherever one of them is looked for."""
    if not records or as_bound(records) != content:
        return False
    match shown:
        case (_, _, int(since), int(until)) if 0 <= until - since <= SPAN_MICROS:
            numbers = [it.number for it in records]
            times = [time for it in records if (time := _time(it)) is not None]
            low, high = min(times, default=since), max(times, default=until)
            if len(times) < len(records):  # one that nobody can read may be the earliest or the latest
                low, high = min(low, since), max(high, until)
            return shown == (min(numbers), max(numbers), low, high)
    return False


def _time(record: Line) -> int | None:
    try:
        return parse(record.body).time
    except ValueError:
        return None


def _span(first: int, last: int) -> str:
    return f" {first}" if first == last else f"s {first} to {last}"
