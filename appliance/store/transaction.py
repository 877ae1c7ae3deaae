"""One transaction on a connection of asyncpg, and what makes a connection fit for it.

What always holds: a transaction ends committed or rolled back, or its connection ends: one whose state is not known is
cut at once and the server rolls back, so that nothing is left "idle in transaction" and nobody waits for a server that
is silent. All of it is asyncio's side; `postgres` is the way in.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from appliance.store import statements
from appliance.store.faults import StoreRefused, StoreUnavailable
from appliance.store.sqlstates import LOST
from appliance.store.unit import Unit

T = TypeVar("T")

LOWEST_VERSION = 14  # the oldest that is still maintained
# An answered revocation is on the disk, whatever the database's default is; a stronger setting is kept.
DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
# How soon a statement ends, and gives its locks back, whose client was cut: we cut what is cancelled.
NOTICE_CUT = "SELECT set_config('client_connection_check_interval', '1s', false)"


@asynccontextmanager
async def whole(pool: asyncpg.Pool, connection: Any) -> AsyncIterator[list[str]]:
    """The rest of a transaction: committed at the end, rolled back by an exception, cut when its state is unknown.

    What is put into the list goes to the server together with the COMMIT.
    """
    ending: list[str] = []
    try:
        yield ending
        done = await connection.execute("; ".join([*ending, "COMMIT"]))
        if done != "COMMIT":
            raise StoreUnavailable("the database rolled back instead of committing")
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, LOST):
            await _roll_back(connection)
        else:  # cancelled, or the server is silent or gone: what it has done is not known
            cut(connection)
        raise
    finally:
        await pool.release(connection)


async def _roll_back(connection: Any) -> None:
    try:
        await connection.execute("ROLLBACK")
    except (*LOST, asyncpg.PostgresError):
        cut(connection)
    except BaseException:
        cut(connection)
        raise


def cut(connection: Any) -> None:
    """Ends a connection of the pool at once, and gives its place back; one that was lost has done so itself."""
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


async def drive(connection: Any, unit: Unit[T], seconds: float) -> tuple[T, bool]:
    """The unit's statements in turn; also whether it announced a change."""
    announced = False
    try:
        statement = next(unit)
        while True:
            announced = announced or statement.sql == statements.FEED_ADVANCE
            rows = await connection.fetch(statement.sql, *statement.values, timeout=seconds)
            statement = unit.send([tuple(row) for row in rows])
    except StopIteration as finished:
        return finished.value, announced
    finally:
        unit.close()


async def fit(connection: Any) -> None:
    """What each new connection of the pool is asked before it is used."""
    if connection.get_server_version().major < LOWEST_VERSION:
        raise StoreRefused(f"PostgreSQL is older than {LOWEST_VERSION}, the lowest that is supported.")
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise StoreRefused(f"The database keeps text as {encoding}. Make it again with the encoding UTF8.")
    await connection.execute(DURABLE)
    with contextlib.suppress(asyncpg.InvalidParameterValueError):  # a server whose system cannot tell
        await connection.execute(NOTICE_CUT)


async def nothing(connection: Any) -> None:
    """In place of RESET ALL when a connection goes back: a unit leaves nothing, and this would undo `fit`."""
