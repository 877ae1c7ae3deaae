"""Every statement of the audit ledger, in SQL that SQLite and PostgreSQL read alike; see store/statements.py.

Nothing looks inside a body but SEARCH, and that as text: a body is canonical JSON, in which `,"name":"value"` can only
be that field with that value, since quotes inside a text are escaped.
"""

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
CHAIN_NEXT = "SELECT number, started_at FROM chains WHERE number > $1 ORDER BY number LIMIT 1"
LAST_CHAIN = "SELECT number, started_at FROM chains ORDER BY number DESC LIMIT 1"
CHAIN_REMOVE = "DELETE FROM chains WHERE number = $1"

RECORD_COLUMNS = 9


def records_add(count: int) -> str:
    """One statement for `count` records: on SQLite each statement hands the interpreter's lock over and back."""
    numbers = [range(first, first + RECORD_COLUMNS) for first in range(1, count * RECORD_COLUMNS, RECORD_COLUMNS)]
    rows = ", ".join("(" + ", ".join(f"${number}" for number in row) + ")" for row in numbers)
    columns = "chain, number, recorded_at, type, actor_id, cluster_id, correlation_id, body, hash"
    return f"INSERT INTO records ({columns}) VALUES {rows}"  # noqa: S608 -- columns and parameters' numbers, all ours


HEAD = "SELECT number, hash FROM records WHERE chain = $1 ORDER BY number DESC LIMIT 1"
RECORDED_CHAIN_NEXT = "SELECT chain FROM records WHERE chain > $1 ORDER BY chain LIMIT 1"
RECORDS = (
    "SELECT number, recorded_at, type, actor_id, cluster_id, correlation_id, body, hash FROM records "
    "WHERE chain = $1 AND number > $2 ORDER BY number LIMIT $3"
)
RECORD_FIRST = "SELECT number FROM records WHERE chain = $1 ORDER BY number LIMIT 1"
RECORD = "SELECT recorded_at, chain, number, body FROM records WHERE chain = $1 AND number = $2"
RECORDS_REMOVE = "DELETE FROM records WHERE chain = $1 AND number <= $2"

# $1 since, $2 until, $3-$5 the place to go on from. The edge is where $6 records later the next look begins.
SEARCH_EDGE = (
    "SELECT recorded_at, chain, number FROM records WHERE recorded_at >= $1 AND recorded_at <= $2 "
    "AND (recorded_at, chain, number) < ($3, $4, $5) ORDER BY recorded_at DESC, chain DESC, number DESC "
    "LIMIT 1 OFFSET $6"
)
# The same range down to the edge, $6-$8; $9 a list of types, $13 a piece of the body, $14 a list of clusters.
SEARCH = (
    "SELECT recorded_at, chain, number, body FROM records WHERE recorded_at >= $1 AND recorded_at <= $2 "
    "AND (recorded_at, chain, number) < ($3, $4, $5) AND (recorded_at, chain, number) >= ($6, $7, $8) "
    "AND ($9 = '' OR replace($9, type, '') <> $9) AND ($10 = '' OR actor_id = $10) "
    "AND ($11 = '' OR cluster_id = $11) AND ($12 = '' OR correlation_id = $12) "
    "AND ($13 = '' OR replace(body, $13, '') <> body) AND ($14 = '' OR replace($14, cluster_id, '') <> $14) "
    "ORDER BY recorded_at DESC, chain DESC, number DESC LIMIT $15"
)
EXPORT = (
    "SELECT recorded_at, chain, number, body FROM records WHERE recorded_at <= $1 "
    "AND (recorded_at, chain, number) > ($2, $3, $4) ORDER BY recorded_at, chain, number LIMIT $5"
)

CHECKPOINT_ADD = "INSERT INTO checkpoints (number, body, signature) VALUES ($1, $2, $3)"
LAST_CHECKPOINT = "SELECT number, body, signature FROM checkpoints ORDER BY number DESC LIMIT 1"
CHECKPOINT_BEFORE = "SELECT number, body, signature FROM checkpoints WHERE number < $1 ORDER BY number DESC LIMIT 1"
CHECKPOINTS = "SELECT number, body, signature FROM checkpoints WHERE number > $1 ORDER BY number LIMIT $2"
CHECKPOINTS_REMOVE = "DELETE FROM checkpoints WHERE number <= $1"
