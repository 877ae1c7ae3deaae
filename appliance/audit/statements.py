"""Every statement of the audit ledger, in SQL that SQLite and PostgreSQL read alike; see store/statements.py.

Nothing looks inside a sheaf but SEARCH, and that as text: a body is canonical JSON, in which `"name":"value"` can only
be that field with that value, since quotes inside a text are escaped.
"""

from __future__ import annotations

CHAINS_TABLE = "CREATE TABLE IF NOT EXISTS chains (number BIGINT NOT NULL PRIMARY KEY, started_at BIGINT NOT NULL)"
SHEAVES_TABLE = (
    "CREATE TABLE IF NOT EXISTS sheaves (chain BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL, "
    "since BIGINT NOT NULL, until BIGINT NOT NULL, content TEXT NOT NULL, PRIMARY KEY (chain, first))"
)
SHEAVES_BY_TIME = "CREATE INDEX IF NOT EXISTS sheaves_by_time ON sheaves (until, chain, first)"
CHECKPOINTS_TABLE = (
    "CREATE TABLE IF NOT EXISTS checkpoints (number BIGINT NOT NULL PRIMARY KEY, body TEXT NOT NULL, "
    "signature TEXT NOT NULL)"
)
SCHEMA = (CHAINS_TABLE, SHEAVES_TABLE, SHEAVES_BY_TIME, CHECKPOINTS_TABLE)

CHAIN_ADD = "INSERT INTO chains (number, started_at) VALUES ($1, $2)"
CHAIN_NEXT = "SELECT number, started_at FROM chains WHERE number > $1 ORDER BY number LIMIT 1"
LAST_CHAIN = "SELECT number, started_at FROM chains ORDER BY number DESC LIMIT 1"
CHAIN_REMOVE = "DELETE FROM chains WHERE number = $1"

SHEAF_ADD = "INSERT INTO sheaves (chain, first, last, since, until, content) VALUES ($1, $2, $3, $4, $5, $6)"
LAST_SHEAF = "SELECT content FROM sheaves WHERE chain = $1 ORDER BY first DESC LIMIT 1"
SHEAVES_UNREACHED = "SELECT chain, first FROM sheaves WHERE chain <= $1 OR first <= $1 ORDER BY chain, first LIMIT $2"
SHEAF_CHAIN_NEXT = "SELECT chain FROM sheaves WHERE chain > $1 ORDER BY chain LIMIT 1"
SHEAVES = (
    "SELECT first, last, since, until, content FROM sheaves WHERE chain = $1 AND first > $2 ORDER BY first LIMIT $3"
)
SHEAVES_BEYOND = (
    "SELECT first, content FROM sheaves WHERE chain = $1 AND first > $2 AND last > $3 ORDER BY first LIMIT $4"
)
SHEAF_FIRST = "SELECT first, last FROM sheaves WHERE chain = $1 ORDER BY first LIMIT 1"
SHEAF_WITH = "SELECT until, first, content FROM sheaves WHERE chain = $1 AND first <= $2 ORDER BY first DESC LIMIT 1"
SHEAVES_REMOVE = "DELETE FROM sheaves WHERE chain = $1 AND first <= $2 AND last <= $3"

# $1 since, $2 until, $3-$5 the place to go on from. The edge is where $6 sheaves later the next look begins.
SEARCH_EDGE = (
    "SELECT until, chain, first FROM sheaves WHERE until >= $1 AND since <= $2 "
    "AND (until, chain, first) < ($3, $4, $5) ORDER BY until DESC, chain DESC, first DESC LIMIT 1 OFFSET $6"
)
# The same range down to the edge, $6-$8; $9 a piece of a body.
SEARCH = (
    "SELECT until, chain, first, content FROM sheaves WHERE until >= $1 AND since <= $2 "
    "AND (until, chain, first) < ($3, $4, $5) AND (until, chain, first) >= ($6, $7, $8) "
    "AND ($9 = '' OR replace(content, $9, '') <> content) "
    "ORDER BY until DESC, chain DESC, first DESC LIMIT $10"
)
EXPORT = (
    "SELECT until, chain, first, content FROM sheaves WHERE until >= $1 AND since <= $2 "
    "AND (until, chain, first) > ($3, $4, $5) ORDER BY until, chain, first LIMIT $6"
)

CHECKPOINT_ADD = "INSERT INTO checkpoints (number, body, signature) VALUES ($1, $2, $3)"
LAST_CHECKPOINT = "SELECT number, body, signature FROM checkpoints ORDER BY number DESC LIMIT 1"
CHECKPOINT_BEFORE = "SELECT number, body, signature FROM checkpoints WHERE number < $1 ORDER BY number DESC LIMIT 1"
CHECKPOINTS = "SELECT number, body, signature FROM checkpoints WHERE number > $1 ORDER BY number LIMIT $2"
CHECKPOINTS_REMOVE = "DELETE FROM checkpoints WHERE number <= $1"
