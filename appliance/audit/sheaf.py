"""A sheaf: records that are committed together, kept as one row. Pure.

A row for each record costs three times as much as the record itself, and most of a record is what the one before it
said, too. So a batch becomes one text. Its lines, in the order of the records:

    =<run of fields>                                  each before its first use, known by its place from 0 on
    <number> <hash> <head's place> <tail's place> <own run of fields>

What always holds: a record hangs on the one before it and on all of its fields (chain.py), so where a sheaf begins and
ends means nothing; the same records make the same text, and what a sheaf is found by repeats what its lines say. Not
compiled: slices of tuples, which are most of the work here, would be slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from appliance.audit.chain import Head, digest, link, sealed
from appliance.audit.records import MAX_BODY_CHARS, body, head_text, own_text, shortened, tail_text
from appliance.core.events import AuditEvent

SPAN_MICROS: Final = 1_000_000
"""Between the first and the last moment of a sheaf: whoever reads by time looks so far around."""
FULL_CHARS: Final = 1 << 20  # a sheaf this long takes no more; ordinary ones have 100 KB
MAX_RUNS_CHARS: Final = MAX_BODY_CHARS - 4  # a body has braces and commas, too


class Sheaf(NamedTuple):
    """A row. `first` and `last`: records by number; `since` and `until`: the earliest and the latest of their times."""

    chain: int
    first: int
    last: int
    since: int
    until: int
    content: str


class Line(NamedTuple):
    """A record of a sheaf."""

    number: int
    hash: str
    head: str
    own: str
    tail: str

    @property
    def body(self) -> str:
        """All of it, as JSON."""
        return body(self.head, self.own, self.tail)

    @property
    def sealed(self) -> str:
        """What its hash covers."""
        return sealed(digest(self.head), digest(self.tail), self.own)


class _Run(NamedTuple):
    """A run of fields that records of a sheaf share: its place there, what stands for it in hashes, and its length."""

    place: int
    digest: str
    chars: int


class Content:
    """The text of a sheaf, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._runs: dict[str, _Run] = {}

    def share(self, text: str) -> _Run:
        """The run with these fields."""
        run = self._runs.get(text)
        if run is None:
            run = self._runs[text] = _Run(len(self._runs), digest(text), len(text))
            self.lines.append("=" + text)
        return run

    def text(self) -> str:
        return "\n".join(self.lines)


class _Open:
    """The sheaf that takes the next record."""

    def __init__(self, first: int, time: int) -> None:
        self.first = first
        self.since = self.until = time
        self.chars = 0
        self.content = Content()
        self.heads: dict[tuple[Any, ...], _Run] = {}
        self.tails: dict[tuple[Any, ...], _Run] = {}

    def takes(self, time: int) -> bool:
        """Whether a record of this time has room; if so, the sheaf reaches to it."""
        if time > self.since + SPAN_MICROS or time < self.until - SPAN_MICROS or self.chars > FULL_CHARS:
            return False
        if time > self.until:
            self.until = time
        elif time < self.since:
            self.since = time
        return True

    def runs(self, event: AuditEvent) -> tuple[_Run, _Run, str]:
        """Head, tail and own run of a record, whatever is known of it."""
        values: tuple[Any, ...] = event
        head, own, tail = head_text(event[1:14]), own_text(event[0], event[14:20]), tail_text(event[20:])
        if len(head) + len(own) + len(tail) > MAX_RUNS_CHARS:
            values = shortened(event)
            head, own, tail = head_text(values[1:14]), own_text(values[0], values[14:20]), tail_text(values[20:])
        who, right = self.content.share(head), self.content.share(tail)
        self.chars += who.chars + right.chars
        if values is event:
            self.heads[event[1:14]], self.tails[event[20:]] = who, right
        return who, right, own

    def closed(self, chain: int, last: int) -> Sheaf:
        return Sheaf(chain, self.first, last, self.since, self.until, self.content.text())


def bind(head: Head, events: Sequence[AuditEvent]) -> tuple[Head, list[Sheaf]]:
    """The records that follow `head`, in as few sheaves as hold them, and the last of them."""
    number, previous = head.number, head.hash
    sheaves: list[Sheaf] = []
    if not events:
        return head, sheaves
    sheaf = _Open(number + 1, events[0].time)
    for event in events:
        time = event[0]
        if not sheaf.takes(time):
            sheaves.append(sheaf.closed(head.chain, number))
            sheaf = _Open(number + 1, time)
        who, right, own = sheaf.heads.get(event[1:14]), sheaf.tails.get(event[20:]), own_text(time, event[14:20])
        if who is None or right is None or who.chars + right.chars + len(own) > MAX_RUNS_CHARS:
            who, right, own = sheaf.runs(event)
        number += 1
        previous = link(previous, number, f"{who.digest} {right.digest} {own}")
        sheaf.content.lines.append(f"{number} {previous} {who.place} {right.place} {own}")
        sheaf.chars += len(own)
    sheaves.append(sheaf.closed(head.chain, number))
    return Head(head.chain, number, previous), sheaves


def lines(content: object) -> Iterator[Line]:
    """The records of a sheaf. Raises ValueError at the first that is none."""
    for line in found(content):
        if line is None:
            raise ValueError("not a record")
        yield line


def found(content: object) -> Iterator[Line | None]:
    """The records of a sheaf; None for each that nobody can read. SQLite keeps anything in any column."""
    runs: list[str] = []
    for text in str(content).split("\n"):
        if text.startswith("="):
            runs.append(text[1:])
            continue
        try:
            number, hashed, head, tail, own = text.split(" ", 4)
            yield Line(int(number), hashed, runs[int(head)], own, runs[int(tail)])
        except (ValueError, IndexError):
            yield None


def as_bound(records: Iterable[Line]) -> str:
    """The content that `bind` gives these records."""
    content = Content()
    for record in records:
        who, right = content.share(record.head), content.share(record.tail)
        content.lines.append(f"{record.number} {record.hash} {who.place} {right.place} {record.own}")
    return content.text()
