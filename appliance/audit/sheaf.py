"""A sheaf: records that are committed together, kept as one row. Pure.

A row for each record costs three times as much as the record itself. So a batch becomes one text, a line for each
record: its number, its hash, its body. What always holds: a record is the same whether it is rendered in a batch or
alone (records.py), and hangs on the one before it (chain.py), so where a sheaf begins and ends means nothing; what a
sheaf is found by repeats what its lines say. Not compiled: slices of tuples, which are most of the work here, would be
slower.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from appliance.audit.chain import Head, link
from appliance.audit.records import MAX_BODY_CHARS, head_text, join, render, tail_text
from appliance.core.events import AuditEvent

SPAN_MICROS: Final = 1_000_000
"""Between the first and the last moment of a sheaf: whoever reads by time looks so far around."""
FULL_CHARS: Final = 1 << 20  # a sheaf this long takes no more; ordinary ones have 300 KB at most


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
    body: str


def bodies(events: Sequence[AuditEvent]) -> list[str]:
    """Each event's body; what the requests of one client share is looked at once for the batch."""
    heads: dict[tuple[object, ...], str] = {}
    tails: dict[tuple[object, ...], str] = {}
    rendered: list[str] = []
    for event in events:
        head = heads.get(run := event[1:14])
        if head is None:
            head = heads[run] = head_text(run)
        tail = tails.get(last := event[20:])
        if tail is None:
            tail = tails[last] = tail_text(last)
        body = join(event[0], head, event[14:20], tail)
        rendered.append(body if len(body) <= MAX_BODY_CHARS else render(event))
    return rendered


def bind(head: Head, events: Sequence[AuditEvent]) -> tuple[Head, list[Sheaf]]:
    """The records that follow `head`, in as few sheaves as hold them, and the last of them."""
    number, previous = head.number, head.hash
    sheaves: list[Sheaf] = []
    lines: list[str] = []
    first, since, until, chars = 0, 0, 0, 0
    for event, body in zip(events, bodies(events), strict=True):
        time = event[0]
        if lines and (time > since + SPAN_MICROS or time < until - SPAN_MICROS or chars > FULL_CHARS):
            sheaves.append(Sheaf(head.chain, first, number, since, until, "\n".join(lines)))
            lines = []
        if not lines:
            first, since, until, chars = number + 1, time, time, 0
        elif time > until:
            until = time
        elif time < since:
            since = time
        number += 1
        previous = link(previous, number, body)
        lines.append(f"{number} {previous} {body}")
        chars += len(body)
    if lines:
        sheaves.append(Sheaf(head.chain, first, number, since, until, "\n".join(lines)))
    return Head(head.chain, number, previous), sheaves


def lines(content: object) -> Iterator[Line]:
    """The records of a sheaf. Raises ValueError at the first that is none."""
    return map(read_line, texts(content))


def texts(content: object) -> list[str]:
    """The lines as they stand; SQLite keeps anything in any column."""
    return str(content).split("\n")


def read_line(text: str) -> Line:
    """One record. Raises ValueError for what `bind` does not write."""
    shown, found, body = text.split(" ", 2)
    number = int(shown)
    if str(number) != shown:
        raise ValueError("a number in another form")
    return Line(number, found, body)
