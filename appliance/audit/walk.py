"""One chain read in order: does each record follow the one before it, and if not, what was done to it.

A record that does not follow is held back until the ones after it tell what it is: they may follow from its hash (it
was edited), from the one before it (it was put in), or only if some are missing in between (they were taken out and
the rest numbered anew). What is only found by looking at several chains at once (records moved or exchanged) is left
to `name_moved`, which looks at all that did not follow. Pure: rows in, faults out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from appliance.audit.chain import Head, link

LOOK_AROUND = 32  # records taken out or put in at one place that are still told from an edit
MAX_MISFITS = 64  # looked at together; each is tried at each other's place


@dataclass(slots=True, eq=False)
class Misfit:
    """A record that does not follow: where it stands, what stood before it, and what it is called so far."""

    head: Head  # its own place, number and hash
    shown: int  # the number it has in the ledger
    before: str
    body: str
    verdict: str

    @property
    def where(self) -> str:
        return f"chain {self.head.chain}, record {self.shown}"


@dataclass(slots=True)
class Walk:
    """The chain so far. `head` is the last record that is believed, under the number it was written with.

    `trusted`: whether the first record's hash may be taken as it is, because what stood before it was cut away.
    """

    head: Head
    report: Callable[[str], None]
    misfits: list[Misfit] = field(default_factory=list)
    trusted: bool = False
    shift: int = 0  # by how much records are numbered higher than they were written, or lower
    _claims: dict[int, tuple[str, int]] = field(default_factory=dict)
    _waiting: list[Misfit] = field(default_factory=list)
    _agreed: int = 0
    _rewritten: bool = False

    def claim(self, number: int, found: str, checkpoint: int) -> None:
        """A checkpoint says that record `number` has this hash. To be said before that record is taken."""
        if number == self.head.number:
            self._compare(self.head, found, checkpoint)
        else:
            self._claims.setdefault(number, (found, checkpoint))

    def reached(self, number: int) -> bool:
        """Whether what is known up to `number` is settled."""
        return self.head.number >= number and not self._waiting

    def take(self, shown: int, body: str, found: str) -> None:
        if self._waiting and shown == self._waiting[-1].shown + 1:
            if self._neighbours(shown, body, found):
                return
            if self._settled_by(body, found):
                self._follow(shown - self.shift, found)
                return
        last = self._waiting[-1].head if self._waiting else self.head
        number = shown - self.shift
        if number <= last.number:
            self.report(f"chain {last.chain}, record {shown}: inserted; no record has such a number")
            return
        if number > last.number + 1:
            self._give_up()
            if not self.trusted:
                first, end = last.number + 1 + self.shift, shown - 1
                self.report(f"chain {last.chain}: {_some(first, end)} removed")
            self.trusted = False
            self._follow(number, found)
        elif self.trusted or (link(last.hash, number, body) == found and not self._waiting):
            self._follow(number, found)
        else:
            self._waiting.append(Misfit(Head(last.chain, number, found), shown, last.hash, body, "edited"))
            if len(self._waiting) > LOOK_AROUND:
                self._give_up()

    def finish(self) -> None:
        """No more records. What is claimed beyond is missing."""
        self._give_up()
        missing = sorted(number for number in self._claims if number > self.head.number)
        if missing:
            first, end = self.head.number + 1 + self.shift, missing[-1] + self.shift
            checkpoint = self._claims[missing[-1]][1]
            self.report(f"chain {self.head.chain}: {_some(first, end)} signed by checkpoint {checkpoint}, but missing")
        self._claims.clear()

    def _neighbours(self, shown: int, body: str, found: str) -> bool:
        """Whether this record and the one that waits only changed places."""
        (first, *more), number = self._waiting, self.head.number + 1
        if (
            more
            or link(self.head.hash, number, body) != found
            or link(found, number + 1, first.body) != first.head.hash
        ):
            return False
        here = f"chain {self.head.chain}, record {shown}"
        self.report(f"{first.where}: moved here from {here}")
        self.report(f"{here}: moved here from {first.where}")
        self._waiting = []
        self._follow(number, found)
        self._follow(number + 1, first.head.hash)
        return True

    def _settled_by(self, body: str, found: str) -> bool:
        """Whether this record tells what those that wait are: it follows one of them, or the one before them all."""
        for place, before in enumerate([self.head, *(misfit.head for misfit in self._waiting)]):
            if link(before.hash, before.number + 1, body) == found:
                inserted = self._waiting[place:]
                for misfit in inserted:
                    misfit.verdict = "inserted"
                self.misfits += self._waiting
                for misfit in self._waiting[:place]:
                    self._follow(misfit.head.number, misfit.head.hash)
                self.shift += len(inserted)
                self._waiting = []
                return True
        last = self._waiting[-1]
        for missing in range(1, LOOK_AROUND + 1):
            number = last.head.number + missing
            if link(last.head.hash, number + 1, body) == found:
                self.report(f"{last.where}: {missing} taken out before it, and the rest numbered anew")
                self.shift -= missing
                last.head = Head(last.head.chain, number, last.head.hash)
                last.verdict = ""
                self._give_up()
                return True
        return False

    def _give_up(self) -> None:
        """Takes those that wait for what they claim to be."""
        for misfit in self._waiting:
            if misfit.verdict:
                self.misfits.append(misfit)
            self._follow(misfit.head.number, misfit.head.hash)
        self._waiting = []

    def _follow(self, number: int, found: str) -> None:
        self.head = Head(self.head.chain, number, found)
        self.trusted = False
        claim = self._claims.pop(number, None)
        if claim is not None:
            self._compare(self.head, *claim)

    def _compare(self, head: Head, claimed: str, checkpoint: int) -> None:
        if head.hash == claimed:
            self._agreed = head.number
        elif not self._rewritten:  # once is enough: everything after it differs as well
            self._rewritten = True
            first, end = self._agreed + 1 + self.shift, head.number + self.shift
            self.report(f"chain {head.chain}: {_some(first, end)} rewritten: not what checkpoint {checkpoint} signed")


def name_moved(misfits: Sequence[Misfit]) -> list[str]:
    """What is to be said of the records that do not follow, once each was tried at every other's place."""
    looked_at = list(misfits[:MAX_MISFITS])
    hashes = {misfit.head.hash for misfit in looked_at}
    faults = []
    for misfit in looked_at:
        if misfit.verdict == "edited" and any(_fits(misfit, misfit.head, before) for before in hashes):
            continue  # it is what it was; only the one before it is not
        text = next((it for it in looked_at if it is not misfit and _holds_text_of(it, misfit)), None)
        home = next((it for it in looked_at if it is not misfit and _belongs_to(misfit, it, hashes)), None)
        if text is not None:
            faults.append(f"{misfit.where}: holds what {text.where} said")
        elif home is not None:
            faults.append(f"{misfit.where}: moved here from {home.where}")
        else:
            faults.append(f"{misfit.where}: {misfit.verdict}")
    return faults + [f"{misfit.where}: {misfit.verdict}" for misfit in misfits[MAX_MISFITS:]]


def _fits(misfit: Misfit, place: Head, before: str) -> bool:
    return link(before, place.number, misfit.body) == misfit.head.hash


def _belongs_to(misfit: Misfit, other: Misfit, hashes: set[str]) -> bool:
    """Whether text and hash together were written at the other's place."""
    return any(_fits(misfit, other.head, before) for before in (other.before, *hashes))


def _holds_text_of(other: Misfit, misfit: Misfit) -> bool:
    """Whether the other's hash is that of this text."""
    return link(other.before, other.head.number, misfit.body) == other.head.hash


def _some(first: int, last: int) -> str:
    return f"record {first}" if first >= last else f"records {first} to {last}"
