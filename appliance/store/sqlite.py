"""SQLite under the store: one connection, used from one thread, driven by units of work.

What always holds: the file and its directory are ours alone (0600, 0700), a unit is committed whole or not at all, and
what is committed is on the disk (synchronous=FULL). Other processes on the host may write to the same file; their
changes are found in the feed like our own. Parameters are bound by name: `$1` is the parameter called "1".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import statvfs
from pathlib import Path
from typing import TypeVar

from appliance.store.faults import ConstraintBroken, StoreRefused, StoreUnavailable
from appliance.store.files import own_file
from appliance.store.schema import Preparation
from appliance.store.unit import Rows, Statement, Unit

T = TypeVar("T")

ROOM_BYTES = 64 * 1024  # of a disk that is not full: what SQLite needs to open a file and to write a little
BUSY_SECONDS = 5.0  # how long to wait for another process's transaction; ours take milliseconds

PRAGMAS = (
    "PRAGMA journal_mode = WAL",  # readers of other processes never wait for us
    "PRAGMA synchronous = FULL",  # a revocation that was answered survives a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
)

TABLED = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'"


@dataclass(slots=True)
class SQLite:
    """The connection. Made and used in one thread only."""

    path: Path
    connection: sqlite3.Connection
    inode: int

    @classmethod
    def open(cls, path: Path, prepare: Preparation) -> SQLite:
        own_file(path)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, cached_statements=256)
        try:
            for pragma in PRAGMAS:
                connection.execute(pragma)
            engine = cls(path, connection, path.stat().st_ino)
            engine.write(prepare(bool(connection.execute(TABLED).fetchall())))
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
        if self.path.stat().st_ino != self.inode:
            raise StoreRefused(f"The database {self.path} was replaced while in use. Restart the appliance.")
        if self.connection.in_transaction:
            raise RuntimeError("a transaction was left open")
        self.connection.execute(begin)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns what the disk or the engine suffers into StoreUnavailable; a wrong statement stays what it is, our bug."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ConstraintBroken(str(error)) from error
    except sqlite3.ProgrammingError:
        raise
    except (sqlite3.Error, OSError) as error:
        full = "; its disk is full" if _is_full(path.parent) else ""  # SQLite may call that an I/O error
        raise StoreUnavailable(f"the database {path} cannot be used: {error}{full}") from error


def _is_full(directory: Path) -> bool:
    try:
        found = statvfs(directory)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < ROOM_BYTES
