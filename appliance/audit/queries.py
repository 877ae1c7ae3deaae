"""Looking into the ledger: newest first, by a few fields, a page at a time. Reads only, on a connection of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from appliance.audit import statements
from appliance.audit.records import parse
from appliance.core.events import AuditEvent, EventType

MAX_PAGE = 500
DEFAULT_PAGE = 50
BUSY_SECONDS = 2.0
_END = (1 << 63) - 1

Cursor = tuple[int, int, int]
"""(time, chain, number) of the last entry of a page: the next one begins after it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record where it stands: its chain, its number in it, its hash, and what it says."""

    chain: int
    number: int
    hash: str
    event: AuditEvent

    @property
    def cursor(self) -> Cursor:
        return (self.event.time, self.chain, self.number)


@dataclass(frozen=True, slots=True)
class Filter:
    """Empty fields do not filter. Times are microseconds UTC, both ends included."""

    since: int = 0
    until: int = _END
    after: Cursor = (_END, _END, _END)
    type: EventType | None = None
    actor_id: str = ""
    cluster_id: str = ""
    correlation_id: str = ""
    limit: int = DEFAULT_PAGE

    def values(self) -> tuple[int | str, ...]:
        texts = (str(self.type or ""), self.actor_id, self.cluster_id, self.correlation_id)
        return (self.since, self.until, *self.after, *texts, max(1, min(self.limit, MAX_PAGE)))


def search(path: Path, wanted: Filter) -> list[Entry]:
    """What fits, newest first."""
    with closing(connect_readonly(path)) as connection:
        values = {str(number): value for number, value in enumerate(wanted.values(), 1)}
        rows = connection.execute(statements.SEARCH, values).fetchall()
    return [Entry(chain, number, found, parse(body)) for chain, number, body, found in rows]


def connect_readonly(path: Path) -> sqlite3.Connection:
    """Never makes the file, never writes to it."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        connection.close()
        raise
    return connection
