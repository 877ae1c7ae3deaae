"""The file the records are kept in: SQLite of its own, every commit on disk before it is believed.

Used by one thread at a time. Columns beside the text are copies for queries; verification compares them. The schema
is made here, not by the store's migrations, because the file must open when the store cannot.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from appliance.audit.chain import GENESIS, Checkpoint, heads_of, heads_text, link, parse, render
from appliance.core.events import AuditEvent

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    chain TEXT NOT NULL, seq BIGINT NOT NULL, hash BLOB NOT NULL, text TEXT NOT NULL,
    time BIGINT NOT NULL, type TEXT NOT NULL, actor_id TEXT NOT NULL, actor TEXT NOT NULL, cluster_id TEXT NOT NULL,
    namespace TEXT NOT NULL, verb TEXT NOT NULL, resource TEXT NOT NULL, name TEXT NOT NULL, status BIGINT NOT NULL,
    correlation_id TEXT NOT NULL, credential_id TEXT NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX IF NOT EXISTS records_by_time ON records (time);
CREATE INDEX IF NOT EXISTS records_by_actor ON records (actor, time);
CREATE INDEX IF NOT EXISTS records_by_cluster ON records (cluster_id, time);
CREATE INDEX IF NOT EXISTS records_by_correlation ON records (correlation_id);
CREATE TABLE IF NOT EXISTS checkpoints (
    time BIGINT NOT NULL, heads TEXT NOT NULL, signature BLOB NOT NULL
);
"""

COLUMNS: Final = (
    "time",
    "type",
    "actor_id",
    "actor",
    "cluster_id",
    "namespace",
    "verb",
    "resource",
    "name",
    "status",
    "correlation_id",
    "credential_id",
)
"""Copies of the text's fields that queries filter by."""

_INSERT: Final = (
    f"INSERT INTO records (chain, seq, hash, text, {', '.join(COLUMNS)}) "  # noqa: S608 # constants of this module
    f"VALUES (?, ?, ?, ?, {', '.join('?' * len(COLUMNS))})"
)

BUSY_MILLISECONDS: Final = 2000
"""How long to wait for a reader's lock. Longer, and requests would wait for a query."""


def copies(event: AuditEvent) -> tuple[str | int, ...]:
    """Return the columns that stand beside a record's text."""
    return tuple(str(value) if isinstance(value, str) else value for value in (getattr(event, c) for c in COLUMNS))


class Book:
    """The open file, and the head of the chain that this start writes."""

    def __init__(self, path: Path, chain: str) -> None:
        self._path = path
        self.chain = chain
        self.seq = 0
        self.head = GENESIS
        self._earlier: tuple[tuple[str, int, bytes], ...] | None = None
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open or make the file, readable by its owner only. May be called again after a failure."""
        self.close()
        if not self._path.exists():
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # an acknowledged record survives a power cut
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def append(self, events: list[AuditEvent]) -> None:
        """Keep records in one transaction. After an error nothing of them is kept, and the head is as before."""
        connection = self._opened()
        seq, head = self.seq, self.head
        rows: list[tuple[object, ...]] = []
        for event in events:
            seq += 1
            text = render(event)
            head = link(head, self.chain, seq, text)
            rows.append((self.chain, seq, head, text, *copies(event)))
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_INSERT, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.seq, self.head = seq, head

    def heads(self) -> tuple[tuple[str, int, bytes], ...]:
        """Return the head of every chain in the file. Earlier chains do not grow, so theirs are read once."""
        if self._earlier is None:
            rows = self._opened().execute(
                "SELECT r.chain, r.seq, r.hash FROM records AS r "
                "JOIN (SELECT chain, max(seq) AS seq FROM records WHERE chain <> ? GROUP BY chain) AS last "
                "ON r.chain = last.chain AND r.seq = last.seq",
                (self.chain,),
            )
            self._earlier = tuple((chain, seq, bytes(head)) for chain, seq, head in rows)
        return (*self._earlier, (self.chain, self.seq, self.head)) if self.seq else self._earlier

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint."""
        self._opened().execute(
            "INSERT INTO checkpoints (time, heads, signature) VALUES (?, ?, ?)",
            (checkpoint.time, heads_text(checkpoint.heads), checkpoint.signature),
        )

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.open()
        assert self._connection is not None
        return self._connection


class Reader:
    """Reads a book, its own connection; for queries and verification."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")

    def close(self) -> None:
        self._connection.close()

    def rows(self) -> Iterator[tuple[str, int, bytes, str, tuple[str | int, ...]]]:
        """Yield (chain, seq, hash, text, copies) in the order of each chain."""
        query = f"SELECT chain, seq, hash, text, {', '.join(COLUMNS)} FROM records ORDER BY chain, seq"  # noqa: S608 # constants
        for chain, seq, digest, text, *beside in self._connection.execute(query):
            yield chain, seq, bytes(digest), text, tuple(beside)

    def checkpoints(self) -> Iterator[Checkpoint]:
        for time, heads, signature in self._connection.execute(
            "SELECT time, heads, signature FROM checkpoints ORDER BY time, rowid"
        ):
            yield Checkpoint(time, heads_of(heads), bytes(signature))

    def recent(self, filters: dict[str, str | int], *, since: int, until: int, limit: int) -> list[AuditEvent]:
        """Return the newest records first. `filters`: exact values of COLUMNS; times are microseconds, inclusive."""
        unknown = set(filters) - set(COLUMNS)
        if unknown:
            raise ValueError(f"records cannot be filtered by {', '.join(sorted(unknown))}")
        where = "".join(f" AND {column} = ?" for column in filters)
        query = f"SELECT text FROM records WHERE time >= ? AND time <= ?{where} ORDER BY time DESC, seq DESC LIMIT ?"  # noqa: S608 # columns are checked above
        rows = self._connection.execute(query, (since, until, *filters.values(), limit))
        return [parse(text) for (text,) in rows]
