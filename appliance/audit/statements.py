"""Every statement of the audit ledger, in SQL that SQLite and PostgreSQL read alike; see store/statements.py."""

from __future__ import annotations

CHAINS_TABLE = "CREATE TABLE IF NOT EXISTS chains (number BIGINT NOT NULL PRIMARY KEY, started_at BIGINT NOT NULL)"
RECORDS_TABLE = (
    "CREATE TABLE IF NOT EXISTS records (chain BIGINT NOT NULL, number BIGINT NOT NULL, recorded_at BIGINT NOT NULL, "
    "type TEXT NOT NULL, actor_id TEXT NOT NULL, cluster_id TEXT NOT NULL, correlation_id TEXT NOT NULL, "
    "body TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (chain, number))"
)
RECORDS_BY_TIME = "CREATE INDEX IF NOT EXISTS records_by_time ON records (recorded_at, chain, number)"
CHECKPOINTS_TABLE = (
    "CREATE TABLE IF NOT EXISTS checkpoints (number BIGINT NOT NULL PRIMARY KEY, body TEXT NOT NULL, "
    "signature TEXT NOT NULL)"
)
SCHEMA = (CHAINS_TABLE, RECORDS_TABLE, RECORDS_BY_TIME, CHECKPOINTS_TABLE)

CHAIN_ADD = "INSERT INTO chains (number, started_at) VALUES ($1, $2)"
CHAINS = "SELECT number, started_at FROM chains ORDER BY number"
LAST_CHAIN = "SELECT number, started_at FROM chains ORDER BY number DESC LIMIT 1"

RECORD_COLUMNS = 9
_RECORDS_ADD = (
    "INSERT INTO records (chain, number, recorded_at, type, actor_id, cluster_id, correlation_id, body, hash) VALUES"
)


def records_add(count: int) -> str:
    """One statement for `count` records: on SQLite each statement hands the interpreter's lock over and back."""
    numbers = [range(first, first + RECORD_COLUMNS) for first in range(1, count * RECORD_COLUMNS, RECORD_COLUMNS)]
    rows = ", ".join("(" + ", ".join(f"${number}" for number in row) + ")" for row in numbers)
    return f"{_RECORDS_ADD} {rows}"


HEAD = "SELECT number, hash FROM records WHERE chain = $1 ORDER BY number DESC LIMIT 1"
TAIL = "SELECT number, body, hash FROM records WHERE chain = $1 AND number > $2 ORDER BY number"
RECORDS = (
    "SELECT chain, number, recorded_at, type, actor_id, cluster_id, correlation_id, body, hash FROM records "
    "ORDER BY chain, number"
)
SEARCH = (
    "SELECT body FROM records WHERE recorded_at >= $1 AND recorded_at <= $2 "
    "AND ($3 = '' OR type = $3) AND ($4 = '' OR actor_id = $4) AND ($5 = '' OR cluster_id = $5) "
    "AND ($6 = '' OR correlation_id = $6) ORDER BY recorded_at DESC, chain DESC, number DESC LIMIT $7"
)

CHECKPOINT_ADD = "INSERT INTO checkpoints (number, body, signature) VALUES ($1, $2, $3)"
LAST_CHECKPOINT = "SELECT number, body, signature FROM checkpoints ORDER BY number DESC LIMIT 1"
CHECKPOINTS = "SELECT number, body, signature FROM checkpoints ORDER BY number"
