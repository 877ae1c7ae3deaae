"""The audit ledger in a SQLite file of its own: one writing process, each commit on the disk before it returns.

What always holds: the file is ours alone (0600); a file that was replaced under us is noticed before anything more is
written to it. Several connections of the writing process may write in turn (records, retention); the database makes
them wait for each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from appliance.audit import statements
from appliance.audit.sheaf import Sheaf
from appliance.audit.shelf import AuditRefused

BUSY_SECONDS = 1.0  # readers never hold us up in WAL mode; retention does, for milliseconds
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged record survives a power cut
    "PRAGMA trusted_schema = OFF",
)


@dataclass(frozen=True, slots=True)
class SQLitePlace:
    """A ledger in a file."""

    path: Path
    shared: ClassVar[bool] = False

    def __str__(self) -> str:
        return str(self.path)

    def open(self) -> SQLiteShelf:
        return SQLiteShelf(self.path)

    def open_to_read(self) -> SQLiteShelf:
        return SQLiteShelf(self.path, read_only=True)


class SQLiteShelf:
    """One connection to the file."""

    shared = False
    damage: type[Exception] = sqlite3.DatabaseError

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._lock: int | None = None
        self._read_only = read_only
        self.connection = _connect_to_read(path) if read_only else _connect(path)
        self._inode = path.stat().st_ino

    def claim(self) -> None:
        """Two appliances writing one file would each take the other's records for forgeries."""
        name = self._path.with_name(self._path.name + ".lock")
        lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            sentence = f"Another appliance is writing to {self._path}. Stop it, or use another data_dir."
            raise AuditRefused(sentence) from None
        self._lock = lock

    def check(self) -> None:
        if self._path.stat().st_ino != self._inode:
            raise OSError(f"the audit file {self._path} was replaced")

    @contextlib.contextmanager
    def signing(self) -> Iterator[None]:
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with self._transaction("BEGIN"):
            yield

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(_numbered(sql), values).fetchall()

    def add(self, sheaves: Sequence[Sheaf]) -> None:
        with self._transaction("BEGIN IMMEDIATE"):
            for sheaf in sheaves:
                self.connection.execute(_ADD, sheaf)

    def hold(self, chain: int) -> bool:
        """Whoever holds the file holds its chains."""
        return chain > 0

    def release(self, chain: int) -> None:
        """Goes with the file."""

    def reopen(self) -> None:
        self.connection.close()
        self.connection = _connect_to_read(self._path) if self._read_only else _connect(self._path)
        self._inode = self._path.stat().st_ino

    def close(self) -> None:
        self.connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.connection.execute(begin)
        try:
            yield
            self.connection.execute("COMMIT")
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")


@cache
def _numbered(sql: str) -> str:
    """`$2` is a name for SQLite, `?2` a place."""
    return re.sub(r"\$(\d+)", r"?\1", sql)


_ADD = _numbered(statements.SHEAF_ADD)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _own_file(path)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for pragma in PRAGMAS:
            connection.execute(pragma)
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements.SCHEMA:
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_read(path: Path) -> sqlite3.Connection:
    # mode=rw: reading a WAL needs its shared memory, which a dead writer may have left to be made anew.
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        connection.close()
        raise
    return connection


def _own_file(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # Looked at without opening it: closing any descriptor of a file drops the locks SQLite holds on it.
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise AuditRefused(f"The file {path} must be ours alone. Run: chmod 600 {path}") from None
