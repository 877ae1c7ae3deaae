"""Reads the ledger on a connection of its own, and never writes to it: searches, single records, exports.

A search walks from the newest record down in looks of bounded size, so that a rare thing asked of a large ledger costs
many short queries instead of one that nobody can stop; when its time is over it gives what it found and where it is.
Only time is indexed, because every index costs the requests: a correlation id is found by reading, too, so say when.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from appliance.audit import statements
from appliance.audit.records import columns, parse
from appliance.audit.shelf import Place, Shelf
from appliance.audit.sqlite import SQLitePlace
from appliance.core.audit_query import FOREVER, AuditQuery, Position
from appliance.core.events import AuditEvent, EventType

SEARCH_SECONDS = 2.0  # for one answer; what was not reached by then is behind its cursor
LOOK = 20_000  # records a statement looks at: some 50 ms
EXPORT_PAGE = 1_000

_COLUMNS = ("actor_id", "cluster_id", "correlation_id")


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
        """The newest records that fit, from the query's position down."""
        ends = time.monotonic() + seconds
        wanted = _wanted(query)
        found: list[Kept] = []
        position = query.after
        while True:
            here = (query.since, query.until, *position)
            edges = self.shelf.rows(statements.SEARCH_EDGE, *here, LOOK)
            edge = Position(*edges[0]) if edges else Position(-1, -1, -1)
            rows = self.shelf.rows(statements.SEARCH, *here, *edge, *wanted, query.limit)
            for *place, body in rows:
                position = Position(*place)
                event = _read(body)
                if query.fits(event) if event is not None else query.clusters is None:
                    found.append(Kept(position, event))
                if len(found) == query.limit:
                    return Page(tuple(found), position)
            if len(rows) < query.limit:
                if not edges:
                    return Page(tuple(found), None)
                position = edge
            if time.monotonic() > ends:
                return Page(tuple(found), position)

    def one(self, chain: int, number: int) -> Kept | None:
        rows = self.shelf.rows(statements.RECORD, chain, number)
        return Kept(Position(*rows[0][:3]), _read(rows[0][3])) if rows else None

    def export(self, since: int = 0, until: int = FOREVER) -> Iterator[Kept]:
        """Every record of a time, oldest first."""
        position = Position(since, -1, -1)
        while rows := self.shelf.rows(statements.EXPORT, until, *position, EXPORT_PAGE):
            for *place, body in rows:
                position = Position(*place)
                yield Kept(position, _read(body))


def _read(body: str) -> AuditEvent | None:
    try:
        return parse(body)
    except ValueError:
        return None


def _wanted(query: AuditQuery) -> tuple[str, ...]:
    """What the database looks for; where it cannot tell for sure, `fits` has the last word."""
    types = "" if query.types is None else ",".join(sorted(query.types)) or "none"
    fields = dict(query.fields)
    actor, cluster, correlation = (fields.pop(name, "") for name in _COLUMNS)
    asked = AuditEvent(0, EventType.PROXY_CLOSED, actor_id=actor, cluster_id=cluster, correlation_id=correlation)
    _, _, *shown = columns(asked)
    needles = [_needle(name, value) for name, value in fields.items()]
    if query.object:
        needles.append(json.dumps(query.object))
    clusters = "" if query.clusters is None else ",".join(sorted(query.clusters)) or "none"
    return (types, shown[0], shown[1], shown[2], max(needles, key=len, default=""), clusters)


def _needle(name: str, value: str) -> str:
    return f',"{name}":{value}' if name == "status" else f',"{name}":{json.dumps(value)}'
