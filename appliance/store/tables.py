"""The tables of the schema, as the migrations make them, and the statements that read and fill any of them row by row.

For what must work on whole tables without knowing what they mean: a backup of one engine goes into the other. What
always holds: names come from our own migration files and from nowhere else; a table has one column that is its key,
which gives its rows an order; the tables are listed so that a row never refers to one of a later table.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from appliance.store.schema import Migration
from appliance.store.unit import Row

_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
_COLUMNS = "SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid"
_REFERENCES = 'SELECT "table" FROM pragma_foreign_key_list($1)'

KINDS: Mapping[str, type] = MappingProxyType({"TEXT": str, "BIGINT": int})


@dataclass(frozen=True, slots=True)
class Table:
    """One table; its statements take and give the columns in this order."""

    name: str
    columns: tuple[str, ...]
    key: str
    kinds: tuple[type, ...] = ()  # what each column holds if it is not NULL: text or a whole number

    @property
    def first_page(self) -> str:
        """$1 rows from the first key on."""
        return f"SELECT {', '.join(self.columns)} FROM {self.name} ORDER BY {self.key} LIMIT $1"  # noqa: S608 -- our own names

    @property
    def next_page(self) -> str:
        """$2 rows beyond the key $1."""
        columns = ", ".join(self.columns)
        return f"SELECT {columns} FROM {self.name} WHERE {self.key} > $1 ORDER BY {self.key} LIMIT $2"  # noqa: S608 -- our own names

    def add(self, count: int) -> str:
        """Adds so many rows; the values of one after those of the other."""
        width = len(self.columns)
        rows = (range(row * width + 1, (row + 1) * width + 1) for row in range(count))
        values = ", ".join("(" + ", ".join(f"${number}" for number in row) + ")" for row in rows)
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES {values}"  # noqa: S608 -- our own names

    @property
    def clear(self) -> str:
        return f"DELETE FROM {self.name}"  # noqa: S608 -- our own name

    def key_of(self, row: Row) -> Any:
        return row[self.columns.index(self.key)]


def tables_after(migrations: Iterable[Migration]) -> tuple[Table, ...]:
    """The tables that these migrations lead to: asked of an empty database that they were applied to."""
    with closing(sqlite3.connect(":memory:")) as empty:
        for migration in migrations:
            for text in migration.statements():
                empty.execute(text)
        names = [name for (name,) in empty.execute(_TABLES)]
        tables = {name: _table(name, empty.execute(_COLUMNS, {"1": name}).fetchall()) for name in names}
        needs = {name: {other for (other,) in empty.execute(_REFERENCES, {"1": name})} for name in names}
    ordered: list[Table] = []
    while len(ordered) < len(tables):
        there = {table.name for table in ordered}
        ready = [name for name in names if name not in there and needs[name] <= there]
        if not ready:
            raise ValueError("tables of the schema refer to each other in a ring")
        ordered += [tables[name] for name in ready]
    return tuple(ordered)


def _table(name: str, columns: list[tuple[str, str, int]]) -> Table:
    keys = [column for column, _, place in columns if place]
    if len(keys) != 1:
        raise ValueError(f"the table {name} has no single column as its key")
    return Table(name, tuple(it[0] for it in columns), keys[0], tuple(KINDS[kind] for _, kind, _ in columns))
