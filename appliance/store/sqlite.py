"""SQLite under the store: one connection, used from one thread, driven by units of work.

What always holds: the file and its directory are ours alone (0600, 0700), a unit is committed whole or not at all, and
what is committed is on the disk (synchronous=FULL). Other processes on the host may write to the same file; their
changes are found by `collect` like our own. Parameters are bound by name: `$1` is the parameter called "1".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from appliance.core.snapshot import Entity
from appliance.store import statements
from appliance.store.faults import StoreRefused, StoreUnavailable
from appliance.store.files import own_file
from appliance.store.rows import READERS
from appliance.store.schema import bring_up_to_date
from appliance.store.unit import Rows, Statement, Unit, run

T = TypeVar("T")

BUSY_SECONDS = 5.0  # how long to wait for another process's transaction; ours take milliseconds
MAX_CHANGES_AT_ONCE = 1_000  # further behind than this, reading everything again is no slower

PRAGMAS = (
    "PRAGMA journal_mode = WAL",  # readers of other processes never wait for us
    "PRAGMA synchronous = FULL",  # a revocation that was answered survives a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
)


@dataclass(frozen=True, slots=True)
class Changes:
    """What became different since the last look, in feed order. `everything`: it is the whole state instead."""

    entities: tuple[tuple[Entity, str, Any], ...] = ()
    everything: bool = False


@dataclass(slots=True)
class SQLite:
    """The connection and how far the feed has been read. Made and used in the writer thread only."""

    path: Path
    connection: sqlite3.Connection
    inode: int
    head: int = field(default=-1)

    @classmethod
    def open(cls, path: Path, *, migrate: bool, now: int) -> SQLite:
        own_file(path)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, cached_statements=256)
        try:
            for pragma in PRAGMAS:
                connection.execute(pragma)
            engine = cls(path, connection, path.stat().st_ino)
            engine._begin("BEGIN IMMEDIATE")
            try:
                bring_up_to_date(engine.execute, migrate=migrate, now=now)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return engine

    def close(self) -> None:
        self.connection.close()

    def execute(self, statement: Statement) -> Rows:
        named = {str(number): value for number, value in enumerate(statement.values, 1)}
        return self.connection.execute(statement.sql, named).fetchall()

    def write(self, unit: Unit[T]) -> T:
        """One unit in one transaction."""
        return self._drive(unit, "BEGIN IMMEDIATE")

    def read(self, unit: Unit[T]) -> T:
        """One unit that only reads, on one state of the database; a write in it fails."""
        self.connection.execute("PRAGMA query_only = ON")
        try:
            return self._drive(unit, "BEGIN")
        finally:
            self.connection.execute("PRAGMA query_only = OFF")

    def collect(self) -> Changes:
        """What the feed holds beyond `head`, which moves along; the file must still be the one we opened."""
        if self.path.stat().st_ino != self.inode:
            raise StoreRefused(f"The database {self.path} was replaced while in use. Restart the appliance.")
        self._begin("BEGIN")
        try:
            head, found = self._changes()
        finally:
            self.connection.execute("ROLLBACK")
        self.head = head
        return found

    def _changes(self) -> tuple[int, Changes]:
        ((head,),) = self.execute(run(statements.FEED_HEAD))
        if head == self.head:
            return head, Changes()
        numbered = self.execute(run(statements.CHANGES_AFTER, self.head, MAX_CHANGES_AT_ONCE)) if self.head >= 0 else []
        complete = [number for number, _, _ in numbered] == list(range(self.head + 1, head + 1))
        if self.head >= 0 and complete:
            latest = dict.fromkeys((Entity(entity), str(identity)) for _, entity, identity in numbered)
            return head, Changes(tuple((entity, identity, self._one(entity, identity)) for entity, identity in latest))
        return head, Changes(self._all(), everything=True)

    def _one(self, entity: Entity, identity: str) -> Any:
        one, _, read = READERS[entity]
        found = self.execute(run(one, identity))
        return read(found[0]) if found else None

    def _all(self) -> tuple[tuple[Entity, str, Any], ...]:
        return tuple(
            (entity, str(row[0]), read(row))
            for entity, (_, every, read) in READERS.items()
            for row in self.execute(run(every))
        )

    def _drive(self, unit: Unit[T], begin: str) -> T:
        self._begin(begin)
        try:
            statement = next(unit)
            while True:
                statement = unit.send(self.execute(statement))
        except StopIteration as finished:
            self.connection.execute("COMMIT")
            result: T = finished.value
            return result
        finally:
            # After COMMIT there is nothing to roll back; before it, whatever went wrong, everything is.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            unit.close()

    def _begin(self, begin: str) -> None:
        if self.connection.in_transaction:
            raise RuntimeError("a transaction was left open")
        self.connection.execute(begin)


@contextmanager
def translated() -> Iterator[None]:
    """Turns what the disk or the engine suffers into StoreUnavailable; a broken constraint or statement is our bug."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"the database cannot be used: {error}") from error
