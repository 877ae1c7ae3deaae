"""The audit file, written and read: SQLite, one writing process, each append on the disk before it is acknowledged.

What always holds: `append` writes the whole batch with its hashes or nothing; `head` moves only after the commit; a
file that was replaced or truncated under us is noticed before anything more is written to it. Used from one thread at a
time.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit import statements
from appliance.audit.chain import Checkpoint, Head, fingerprint, genesis, key_id, link, sign
from appliance.audit.records import columns, parse, render
from appliance.core.events import AuditEvent
from appliance.store.faults import StoreRefused

log = logging.getLogger("fairlead.audit")

BUSY_SECONDS = 1.0  # readers never hold us up in WAL mode; only a foreign writer could
FILTERS = ("type", "actor_id", "cluster_id", "correlation_id")
MAX_PAGE = 10_000  # records at once, about 10 MB
FOREVER = (1 << 63) - 1
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # an acknowledged record survives a power cut
    "PRAGMA trusted_schema = OFF",
)


class AuditRefused(StoreRefused):
    """The audit file cannot be used as it is; the text is one sentence for the operator."""


class Book:
    """One open audit file and the chain being written to it."""

    def __init__(self, path: Path, key: Ed25519PrivateKey, now: int) -> None:
        self._path = path
        self._key = key
        self._key_id = key_id(key.public_key())
        self._lock = _take_lock(path)
        try:
            self._connection = _connect(path)
            self._inode = path.stat().st_ino
            self.head = self._start_chain(now)
        except BaseException:
            os.close(self._lock)
            raise

    def append(self, events: Sequence[AuditEvent]) -> None:
        """Adds the events in one commit, or raises and leaves `head` where it was."""
        self._still_ours()
        moved, values = self._rows(events)
        with _Transaction(self._connection):
            start = 0
            for size in _SIZES:
                width = size * statements.RECORD_COLUMNS
                while len(values) - start >= width:
                    # Numbered by first appearance, a sequence binds them right; naming 576 of them costs as much again.
                    self._connection.execute(_ADD[size], values[start : start + width])
                    start += width
        self.head = moved

    def _rows(self, events: Sequence[AuditEvent]) -> tuple[Head, list[object]]:
        """The values of all rows, one row after the other, and the head they lead to."""
        chain, number, previous = self.head.chain, self.head.number, self.head.hash
        values: list[object] = []
        for event in events:
            body = render(event)
            number += 1
            previous = link(previous, number, body)
            values += (chain, number, *columns(event), body, previous)
        return Head(chain, number, previous), values

    def checkpoint(self, now: int) -> None:
        """Signs where the chain stands."""
        self._still_ours()
        with _Transaction(self._connection):
            self._sign([self.head], now)

    def recover(self, now: int, unsure: Sequence[AuditEvent]) -> int:
        """Opens the file again after a failure; how many of `unsure`, the batch that failed, it holds after all.

        A commit that failed may have reached the disk nevertheless. If the file no longer ends where we left it, what
        follows goes into a new chain, and verification will tell what is missing.
        """
        self._connection.close()
        self._connection = _connect(self._path)
        self._inode = self._path.stat().st_ino
        before, after = self.head, self._after(unsure)
        found = _head(self._connection, before.chain)
        if found == before or (found is None and before.number == 0):
            return 0
        if found == after:
            self.head = after
            return len(unsure)
        log.error("the audit file %s does not end where we left it; a new chain is begun", self._path)
        self.head = self._start_chain(now)
        return 0

    def close(self) -> None:
        self._connection.close()
        os.close(self._lock)

    def _after(self, events: Sequence[AuditEvent]) -> Head:
        number, previous = self.head.number, self.head.hash
        for event in events:
            number += 1
            previous = link(previous, number, render(event))
        return Head(self.head.chain, number, previous)

    def _start_chain(self, now: int) -> Head:
        """A new chain; the end of the one before is signed first, if it is sound."""
        with _Transaction(self._connection):
            last = self._connection.execute(statements.LAST_CHAIN).fetchone()
            if last is not None:
                tail = self._sound_tail(*last)
                if tail is not None:
                    self._sign([tail], now)
            number = 1 if last is None else last[0] + 1
            self._connection.execute(statements.CHAIN_ADD, {"1": number, "2": now})
        return Head(number, 0, genesis(number, now))

    def _sound_tail(self, chain: int, started_at: int) -> Head | None:
        """The end of an earlier chain, if what follows its last signed head hangs together; None: nothing to sign."""
        signed = Head(chain, 0, genesis(chain, started_at))
        checkpoint = self._connection.execute(statements.LAST_CHECKPOINT).fetchone()
        if checkpoint is not None:
            signed = next((it for it in Checkpoint.parse(checkpoint[1]).heads if it.chain == chain), signed)
        head = signed
        for number, body, found in self._connection.execute(statements.TAIL, {"1": chain, "2": signed.number}):
            head = Head(chain, head.number + 1, link(head.hash, head.number + 1, body))
            if (number, found) != (head.number, head.hash):
                log.error("the audit file %s was changed: chain %d, record %d", self._path, chain, number)
                return None
        return head if head.number > signed.number else None

    def _sign(self, heads: list[Head], now: int) -> None:
        last = self._connection.execute(statements.LAST_CHECKPOINT).fetchone()
        number, previous = (1, "") if last is None else (last[0] + 1, fingerprint(last[1], last[2]))
        body = Checkpoint(number, now, previous, self._key_id, tuple(heads)).body()
        values = {"1": number, "2": body, "3": sign(body, self._key)}
        self._connection.execute(statements.CHECKPOINT_ADD, values)

    def _still_ours(self) -> None:
        if self._path.stat().st_ino != self._inode:
            raise OSError(f"the audit file {self._path} was replaced")


class Reader:
    """Reads a book on a connection of its own, and never writes to it."""

    def __init__(self, path: Path) -> None:
        # mode=rw: reading a WAL needs its shared memory, which a dead writer may have left to be made anew.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        self.connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            self.connection.execute("PRAGMA query_only = ON")
            self.connection.execute("PRAGMA trusted_schema = OFF")
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def recent(
        self, filters: Mapping[str, str], *, since: int = 0, until: int = FOREVER, limit: int = MAX_PAGE
    ) -> list[AuditEvent]:
        """The newest records first. `filters`: exact values of FILTERS; times are microseconds UTC, inclusive."""
        if not set(filters) <= set(FILTERS):
            raise ValueError(f"records can be filtered by {', '.join(FILTERS)}")
        wanted = (since, until, *(filters.get(name, "") for name in FILTERS), max(1, min(limit, MAX_PAGE)))
        values = {str(number): value for number, value in enumerate(wanted, 1)}
        return [parse(body) for (body,) in self.connection.execute(statements.SEARCH, values)]


_SIZES = (64, 16, 4, 1)  # rows a statement: few texts to prepare, few statements for a batch
_ADD = {size: statements.records_add(size) for size in _SIZES}


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT, or ROLLBACK and the exception."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    _own_file(path)
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        for pragma in PRAGMAS:
            connection.execute(pragma)
        with _Transaction(connection):
            for statement in statements.SCHEMA:
                connection.execute(statement)
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


def _head(connection: sqlite3.Connection, chain: int) -> Head | None:
    row = connection.execute(statements.HEAD, {"1": chain}).fetchone()
    return None if row is None else Head(chain, row[0], row[1])


def _take_lock(path: Path) -> int:
    """Two appliances writing one file would each take the other's records for forgeries."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise AuditRefused(f"Another appliance is writing to {path}. Stop it, or use another data_dir.") from None
    return lock
