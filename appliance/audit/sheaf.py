"""A sheaf: records that came together, kept as one row. Pure.

A row for each record costs three times as much as the record itself, and most of a record is what the one before it
said, too. So some become one text. Its lines, in the order of the records:

    =<run of fields>                                  each before its first use, known by its place from 0 on
    <number> <hash> <head's place> <tail's place> <own run of fields>

What always holds: a record hangs on the one before it and on all of its fields (chain.py), so where a sheaf begins and
ends means nothing; the same records make the same text, and what a sheaf is found by repeats what its lines say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, final

from appliance.audit.chain import Head, digest, link, sealed
from appliance.audit.records import (
    MAX_REMEMBERED,
    MAX_REMEMBERED_CHARS,
    body,
    head_text,
    own_text,
    tail_text,
)
from appliance.core.events import AuditEvent

SPAN_MICROS: Final = 1_000_000
"""Between the first and the last moment of a sheaf: whoever reads by time looks so far around."""
FULL_CHARS: Final = 1 << 20  # a sheaf this long takes no more; ordinary ones have 10 KB
PAGE_CHARS: Final = 2 << 20  # of sheaves read at once
MOST_AT_ONCE: Final = 32  # and how many: the next may be longer than those before


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


@final
class Run:
    """A run of fields that records share, and what stands for it in their hashes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = digest(text)


@final
class Record:
    """What is kept of an event, but for its place in the chain."""

    def __init__(self, time: int, head: Run, own: str, tail: Run) -> None:
        self.time = time
        self.head = head
        self.own = own
        self.tail = tail


@final
class Bound:
    """Records that follow `before` and end with `after`, and the sheaves they make."""

    def __init__(self, before: Head, after: Head, sheaves: list[Sheaf], records: list[Record]) -> None:
        self.before = before
        self.after = after
        self.sheaves = sheaves
        self.records = records


class Content:
    """The text of a sheaf, line by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.places: dict[str, int] = {}
        self.chars = 0

    def place(self, text: str) -> int:
        """Of the run with these fields."""
        place = self.places.get(text)
        if place is None:
            place = self.places[text] = len(self.places)
            self.lines.append("=" + text)
            self.chars += len(text)
        return place

    def text(self) -> str:
        return "\n".join(self.lines)


class Runs:
    """Runs seen before, by what they say."""

    def __init__(self, text: Callable[[tuple[Any, ...]], tuple[str, int]]) -> None:
        self._text = text
        self._known: dict[tuple[Any, ...], Run] = {}
        self._chars = 0

    def get(self, values: tuple[Any, ...]) -> Run:
        """The run of these values."""
        known = self._known.get(values)
        return known if known is not None else self._made(values)

    def _made(self, values: tuple[Any, ...]) -> Run:
        text, whole = self._text(values)
        run = Run(text)
        # What is remembered are the values, too, as long as they came.
        self._chars += whole
        if len(self._known) >= MAX_REMEMBERED or self._chars > MAX_REMEMBERED_CHARS:
            self._known.clear()
            self._chars = whole
        self._known[values] = run
        return run


_heads: Final = Runs(head_text)
_tails: Final = Runs(tail_text)


def record(event: AuditEvent) -> Record:
    """What is kept of an event."""
    return Record(event[0], _heads.get(event[1:14]), own_text(event), _tails.get(event[20:]))


def bind(head: Head, records: list[Record]) -> Bound:
    """The records, made to follow `head`, in as few sheaves as hold them."""
    number, previous = head.number, head.hash
    sheaves: list[Sheaf] = []
    content = Content()
    places, lines = content.places, content.lines
    first = since = until = 0
    for record in records:
        time, own = record.time, record.own
        who, right = record.head, record.tail
        if lines and (time > since + SPAN_MICROS or time < until - SPAN_MICROS or content.chars > FULL_CHARS):
            sheaves.append(Sheaf(head.chain, first, number, since, until, content.text()))
            content = Content()
            places, lines = content.places, content.lines
        if not lines:
            first, since, until = number + 1, time, time
        elif time > until:
            until = time
        elif time < since:
            since = time
        number += 1
        previous = link(previous, number, sealed(who.digest, right.digest, own))
        before, after = places.get(who.text), places.get(right.text)
        if before is None or after is None:
            before, after = content.place(who.text), content.place(right.text)
        lines.append(f"{number} {previous} {before} {after} {own}")
        content.chars += len(own)
    if lines:
        sheaves.append(Sheaf(head.chain, first, number, since, until, content.text()))
    return Bound(head, Head(head.chain, number, previous), sheaves, records)


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


def page_size(contents: Sequence[object] = ()) -> int:
    """How many sheaves to read next, given those read before: about PAGE_CHARS."""
    chars = sum([len(str(it)) for it in contents])
    return max(1, min(MOST_AT_ONCE, len(contents) * PAGE_CHARS // chars)) if chars else 1


def as_bound(records: Iterable[Line]) -> str:
    """The content that `bind` gives these records."""
    content = Content()
    for it in records:
        before, after = content.place(it.head), content.place(it.tail)
        content.lines.append(f"{it.number} {it.hash} {before} {after} {it.own}")
    return content.text()
