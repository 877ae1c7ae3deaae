"""A unit of work: what is asked of the database, apart from who asks it and how.

A unit is a generator that yields statements and is sent their rows. It holds no connection and never waits, so one
text of it runs in SQLite's writer thread and inside one asyncpg transaction alike. The driver runs a unit inside one
transaction, from its first statement to its last: committed when the generator returns, rolled back when it raises.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

Value: TypeAlias = str | int | None
Row: TypeAlias = tuple[Any, ...]
Rows: TypeAlias = list[Row]
T = TypeVar("T")

MAX_TEXT_CHARS = 1024 * 1024  # one value; the largest of ours is a certificate of a few KB
_BIGINT = 1 << 63


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of `statements.py` with its parameters; the driver answers with the rows it returned."""

    sql: str
    values: tuple[Value, ...] = ()


Unit: TypeAlias = Generator[Statement, Rows, T]


def run(sql: str, *values: Value) -> Statement:
    """A statement whose values both engines keep unchanged: NUL and lone surrogates in text are refused."""
    for value in values:
        if isinstance(value, str):
            if len(value) > MAX_TEXT_CHARS or "\0" in value:
                raise ValueError("a text holds NUL or is too long")
            value.encode()
        elif value is not None and (type(value) is not int or not -_BIGINT <= value < _BIGINT):
            raise TypeError(f"the store keeps text and 64-bit whole numbers, not {type(value).__name__}")
    return Statement(sql, values)
