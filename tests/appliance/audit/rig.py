"""Ledgers to write, to tamper with, and to judge: the same tests on both engines."""

from __future__ import annotations

import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.book import Book
from appliance.audit.chain import Head
from appliance.audit.kept import KeptCheckpoint
from appliance.audit.postgres import PostgresPlace
from appliance.audit.reader import Reader
from appliance.audit.sheaf import Bound, bind, lines, record
from appliance.audit.shelf import AuditBroken, Place
from appliance.audit.sqlite import SQLitePlace
from appliance.audit.verify import Verdict, verify_chain
from appliance.core.audit_query import AuditQuery
from appliance.core.events import AuditEvent, EventType
from appliance.store.server import parse
from tests.support.postgres import PostgresServer
from tests.support.tampering import tamper

KEY = Ed25519PrivateKey.generate()


class Ledger(Protocol):
    """A ledger somebody may tamper with, as the owner of the database could."""

    @property
    def place(self) -> Place: ...

    def run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement, committed; `$1` stands for the first value. `records` is a table; see tampering.py."""


class Tampered(ABC):
    """`run` on what is kept, and on the records as if each were a row."""

    def run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return tamper(self._run, sql, *values) if "records" in sql else self._run(sql, *values)

    @abstractmethod
    def _run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement on the ledger as it is kept."""


@dataclass
class SQLiteLedger(Tampered):
    path: Path

    @property
    def place(self) -> Place:
        return SQLitePlace(self.path)

    def _run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(sql.replace("$", "?"), values).fetchall()


@dataclass
class PostgresLedger(Tampered):
    server: PostgresServer
    database: str

    @property
    def url(self) -> str:
        return self.server.url(self.database)

    @property
    def place(self) -> PostgresPlace:
        return PostgresPlace(parse(self.url))

    def _run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(self.place.open()) as shelf:
            return shelf.rows(sql, *values)


def event(number: int, **fields: object) -> AuditEvent:
    made = AuditEvent(number, EventType.PROXY_CLOSED, actor_id=f"p{number}", actor=f"alice{number}@example.com")
    return made._replace(**fields)  # type: ignore[arg-type]  # a test's own fields


def batch(book: Book, events: list[AuditEvent]) -> list[Bound]:
    """What the book would have to keep next."""
    return [bind(book.head, [record(event) for event in events])]


def recover(book: Book, now: int, unsure: list[Bound]) -> bool:
    """As the scribe does it: again while PostgreSQL has not noticed yet that the connection before is gone."""
    ends = time.monotonic() + 60
    while True:
        try:
            return book.recover(now, unsure)
        except AuditBroken as error:
            if "still holds" not in str(error) or time.monotonic() > ends:
                raise


def render(event: AuditEvent) -> str:
    """The body of its record."""
    (sheaf,) = bind(Head(1, 0, ""), [record(event)]).sheaves
    (line,) = lines(sheaf.content)
    return line.body


def write(ledger: Ledger, *, starts: int = 2, records: int = 6) -> None:
    """Starts, each with a chain, a checkpoint after half of its records and one at its end."""
    for start in range(starts):
        book = Book(ledger.place, KEY, 1000 + start)
        for number in range(records):
            book.append([event(100 * start + number)])
            if number == records // 2:
                book.checkpoint(2000)
        book.checkpoint(3000)
        book.close()


def judge(ledger: Ledger, *, kept: KeptCheckpoint | None = None) -> Verdict:
    return verify_chain(ledger.place, [KEY.public_key()], kept=kept)


def export(ledger: Ledger) -> KeptCheckpoint:
    with Reader(ledger.place) as reader:
        kept = KeptCheckpoint.latest(reader)
        assert kept is not None
        return KeptCheckpoint.parse(kept.text())


def everything(place: Place | Path) -> list[AuditEvent]:
    """All records, newest first."""
    with Reader(place) as reader:
        return [kept.event for kept in reversed(list(reader.export())) if kept.event is not None]


def found(place: Place | Path, query: AuditQuery) -> list[AuditEvent]:
    with Reader(place) as reader:
        return reader.search(query).events


def times(events: Sequence[AuditEvent]) -> list[int]:
    return [it.time for it in events]
