"""What PostgreSQL and the way to it suffer, in the store's words.

What always holds: a fault of the moment (the network, the server's state, its disk, a limit of ours) becomes
StoreUnavailable, so that it is refused clearly and tried again; a broken constraint becomes ConstraintBroken; a wrong
statement stays what it is, a bug. No sentence repeats the server's DETAIL, which shows values of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from appliance.store.faults import ConstraintBroken, StoreUnavailable

#: Classes of SQLSTATE that speak of the moment, not of the statement.
_OF_THE_MOMENT = frozenset(
    {
        "08",  # connection
        "25",  # a transaction that cannot go on: read only (a standby), ended by the server
        "28",  # who we are
        "3D",  # which database
        "40",  # rolled back: deadlock
        "53",  # resources: disk full, out of memory, too many connections
        "55",  # a lock was not to be had in time
        "57",  # an operator: shutdown, start, a statement cancelled by its limit
        "58",  # the system under the server
        "F0",  # the server's configuration
        "XX",  # the server found itself broken
    }
)
_BROKEN_CONSTRAINT = "23"
_NOT_ALLOWED = "42501"

#: The connection is no use any more, or nobody knows what it is doing.
LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a farewell lay unread in it
    asyncpg.PostgresConnectionError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Turns asyncpg's exceptions into the store's."""
    try:
        yield
    except asyncpg.PostgresError as error:
        state = str(error.sqlstate or "")
        said = _first_line(error)
        if state[:2] == _BROKEN_CONSTRAINT:
            raise ConstraintBroken(said) from error
        if state[:2] in _OF_THE_MOMENT or state == _NOT_ALLOWED:
            raise StoreUnavailable(f"the database cannot be used: {said}") from error
        raise
    except TimeoutError as error:
        raise StoreUnavailable("the database did not answer in time") from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        if isinstance(error, asyncpg.DataError):
            raise
        raise StoreUnavailable(f"the database cannot be reached: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
