"""Reads the ledger on a connection of its own, and never writes to it: searches, single records, exports.

A search walks from the newest sheaf down in looks of bounded size, so that a rare thing asked of a large ledger costs
many short queries instead of one that nobody can stop; when its time is over it gives what it found and where it is.
Only time is indexed, because every index costs the requests: a correlation id is found by reading, too, so say when.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from appliance.audit import statements
from appliance.audit.records import parse
from appliance.audit.sheaf import SPAN_MICROS, Line, found, page_size
from appliance.audit.shelf import Place, Shelf
from appliance.audit.sqlite import SQLitePlace
from appliance.core.audit_query import FOREVER, AuditQuery, Position
from appliance.core.events import AuditEvent

SEARCH_SECONDS = 2.0  # for one answer; what was not reached by then is behind its cursor
LOOK = 500  # sheaves a statement looks at: 10 ms of ordinary ones, 2 s if all are as long as sheaves may be
BOTTOM = Position(-1, -1, -1)


@dataclass(frozen=True, slots=True)
class Kept:
    """A record and where it stands. `event` is None for what somebody made unreadable: it shows all the same."""

    position: Position
    event: AuditEvent | None

    @property
    def id(self) -> str:
        return f"{self.position.chain}-{self.position.number}"


@dataclass(frozen=True, slots=True)
class Page:
    """`next`: where to go on from; None: there is nothing more."""

    items: tuple[Kept, ...]
    next: Position | None

    @property
    def events(self) -> list[AuditEvent]:
        return [kept.event for kept in self.items if kept.event is not None]


class Reader:
    """One connection, used from one thread at a time."""

    def __init__(self, place: Path | Place) -> None:
        self.place: Place = SQLitePlace(place) if isinstance(place, Path) else place
        self.shelf: Shelf = self.place.open_to_read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.shelf.close()

    def search(self, query: AuditQuery, *, seconds: float = SEARCH_SECONDS) -> Page:
        """The newest records that fit, from the query's position down.

        Sheaves come by their latest moment; what was read is held until none to come can have anything newer.
        """
        ends = time.monotonic() + seconds
        needles = _needles(query)
        sought = max(needles, key=len, default="")
        wanted = _wanted(query, needles)
        until = min(query.until, query.after.time)
        place = Position(min(until + SPAN_MICROS, FOREVER), FOREVER, FOREVER)
        held: list[Kept] = []
        given: list[Kept] = []
        most = page_size()
        while True:
            here = (query.since, until, *place)
            edges = self.shelf.rows(statements.SEARCH_EDGE, *here, LOOK)
            edge = Position(*edges[0]) if edges else BOTTOM
            rows = self.shelf.rows(statements.SEARCH, *here, *edge, sought, most)
            for *at, content in rows:
                place = Position(*at)
                if not _whole(place):
                    continue
                if _give(held, given, place.time, query.limit):
                    return Page(tuple(given), given[-1].position)
                held += [it for it in _kept(place, content, wanted) if _asked(query, it)]
                held.sort(key=_order)
            ended = len(rows) < most
            most = page_size([row[-1] for row in rows]) if rows else most
            if ended:
                place = edge
                if _give(held, given, -1 if not edges else place.time, query.limit):
                    return Page(tuple(given), given[-1].position)
                if not edges:
                    return Page(tuple(given), None)
            if time.monotonic() > ends and place.time < until:
                return Page(tuple(given), Position(place.time, FOREVER, FOREVER))

    def one(self, chain: int, number: int) -> Kept | None:
        for until, first, content in self.shelf.rows(statements.SHEAF_WITH, chain, number):
            for kept in _kept(Position(until, chain, first), content, lambda line: line.number == number):
                if kept.position.number == number:
                    return kept
        return None

    def export(self, since: int = 0, until: int = FOREVER) -> Iterator[Kept]:
        """Every record of a time, oldest first."""
        place = BOTTOM
        held: list[Kept] = []
        most = page_size()
        while rows := self.shelf.rows(statements.EXPORT, since, until, *place, most):
            most = page_size([row[-1] for row in rows])
            for *at, content in rows:
                place = Position(*at)
                if not _whole(place):
                    continue
                held += [it for it in _kept(place, content, _any) if since <= it.position.time <= until]
                held.sort(key=_order)
                count = bisect_left(held, Position(place.time - SPAN_MICROS, -1, -1), key=_order)
                yield from held[:count]
                del held[:count]
        yield from held


def _whole(place: Position) -> bool:
    """Whether a sheaf has a place among others. SQLite keeps anything in any column; verification names it."""
    return all(type(it) is int for it in place)


def _give(held: list[Kept], given: list[Kept], above: int, limit: int) -> bool:
    """Moves what is newer than `above` from one list to the other; whether that is as many as were asked for."""
    while held and held[-1].position.time > above and len(given) < limit:
        given.append(held.pop())
    return len(given) == limit


def _kept(place: Position, content: object, wanted: Callable[[Line], bool]) -> Iterator[Kept]:
    """The wanted records of a sheaf; those that nobody can read are where the sheaf is."""
    number = place.number
    for line in found(content):
        if line is None:
            yield Kept(Position(place.time, place.chain, number), None)
        else:
            number = line.number
            if wanted(line):
                event = _read(line.body)
                yield Kept(Position(place.time if event is None else event.time, place.chain, number), event)
        number += 1


def _any(_line: Line) -> bool:
    return True


def _wanted(query: AuditQuery, needles: list[str]) -> Callable[[Line], bool]:
    """Whether a record may fit, as far as its text tells: reading one takes ten times as long."""
    heads = None if query.types is None else tuple(f'"type":"{kind}"' for kind in query.types)

    def wanted(line: Line) -> bool:
        if heads is not None and not line.head.startswith(heads):
            return False
        if not needles:
            return True
        text = line.body
        return all(needle in text for needle in needles)

    return wanted


def _asked(query: AuditQuery, kept: Kept) -> bool:
    if not query.since <= kept.position.time <= query.until or kept.position >= query.after:
        return False
    if kept.event is None:
        return query.types is None and query.clusters is None and not query.fields and not query.object
    return query.fits(kept.event)


def _order(kept: Kept) -> Position:
    return kept.position


def _read(body: str) -> AuditEvent | None:
    try:
        return parse(body)
    except ValueError:
        return None


def _needles(query: AuditQuery) -> list[str]:
    """Pieces of every body that fits, to look for before anything is read; `fits` has the last word."""
    needles = [_needle(name, value) for name, value in query.fields]
    if query.types is not None and len(query.types) == 1:
        needles += [_needle("type", kind) for kind in query.types]
    if query.clusters is not None and len(query.clusters) == 1:
        needles += [_needle("cluster_id", cluster) for cluster in query.clusters]
    if query.object:
        needles.append(json.dumps(query.object))
    return needles


def _needle(name: str, value: str) -> str:
    return f'"{name}":{value}' if name == "status" else f'"{name}":{json.dumps(value)}'
