"""Is the configuration whole? Units that look at all of it in one transaction and say what is wrong.

Beside what each engine can say of itself: the migrations, the change feed, every value's kind, every row by the reader
that the snapshot uses, every sealed secret. Nothing is changed, and one fault does not hide the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from appliance.store import schema, statements
from appliance.store.faults import StoreRefused
from appliance.store.rows import READERS
from appliance.store.sealing import Sealer, SealError
from appliance.store.tables import Table, tables_after
from appliance.store.unit import Rows, Statement, Unit, run

PAGE = 500  # rows looked at at once
MAX_FAULTS = 100  # after so many the rest is no news

RESTORE = "Restore a backup: fairlead restore."


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and what to do about it."""

    what: str
    remedy: str


@dataclass(slots=True)
class Looked:
    """What was found. `tables`: the rows in each."""

    faults: list[Fault]
    schema: int = 0
    rows: int = 0
    secrets: tuple[str, ...] = ()

    def wrong(self, what: str, remedy: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(what, remedy))


def sqlite_itself() -> Unit[Looked]:
    """What SQLite finds in its own file: damaged pages, indexes that differ from their tables, broken references."""
    looked = Looked([])
    for (said,) in (yield Statement("PRAGMA integrity_check")):
        if said != "ok":
            looked.wrong(f"the database file is damaged: {said}", RESTORE)
    for table, number, other, _ in (yield Statement("PRAGMA foreign_key_check")):
        looked.wrong(f"row {number} of {table} refers to a row of {other} that is not there", RESTORE)
    return looked


def configuration(sealer: Sealer | None) -> Unit[Looked]:
    """Everything else; see the module. Without a sealer the secrets are not opened."""
    looked = Looked([])
    applied = yield from schema.applied(tabled=True)
    looked.schema = max(applied, default=0)
    try:
        missing = schema.missing(applied)
    except StoreRefused as refused:
        looked.wrong(str(refused), "Use the version of Fairlead that this database belongs to.")
        return looked
    if missing:
        names = ", ".join(it.name for it in missing)
        looked.wrong(f"migrations are not applied: {names}; the rows were not looked at", "Run: fairlead migrate")
        return looked
    yield from _feed(looked)
    for table in tables_after(schema.migrations()):
        yield from _values(table, looked)
    for entity, (_, every, read) in READERS.items():
        rows = yield run(every)
        for identity, fault in _unreadable(rows, read):
            looked.wrong(f"the {entity} {identity} cannot be read: {fault}", RESTORE)
    yield from _secrets(sealer, looked)
    return looked


def _feed(looked: Looked) -> Unit[None]:
    found = yield run(statements.FEED_EXTENT)
    if len(found) != 1:
        looked.wrong("the change feed has no head", RESTORE)
        return
    ((head, count, first, last),) = found
    if count == 0 and head == 0:
        return
    if count == 0 or last != head or count != last - first + 1:
        what = f"the change feed has gaps: its head is {head}, and {count} changes are kept, {first} to {last}"
        looked.wrong(what, RESTORE)


def _values(table: Table, looked: Looked) -> Unit[None]:
    rows = yield Statement(table.first_page, (PAGE,))
    while True:
        looked.rows += len(rows)
        for row in rows:
            for column, kind, value in zip(table.columns, table.kinds, row, strict=True):
                if value is not None and type(value) is not kind:
                    what = f"{column} of {table.name} {table.key_of(row)!r} is a {type(value).__name__}"
                    looked.wrong(f"{what} where a {kind.__name__} belongs", RESTORE)
        if len(rows) < PAGE:
            return
        rows = yield Statement(table.next_page, (table.key_of(rows[-1]), PAGE))


def _unreadable(rows: Rows, read: Any) -> Iterator[tuple[str, str]]:
    for row in rows:
        try:
            read(row)
        except Exception as error:  # noqa: BLE001 -- whatever a reader stumbles over, the snapshot would too
            yield str(row[0]), f"{type(error).__name__}: {error}"


def _secrets(sealer: Sealer | None, looked: Looked) -> Unit[None]:
    sealed = yield run(statements.SEALED_ALL)
    looked.secrets = tuple(str(name) for name, _, _ in sealed)
    if sealer is None:
        return
    for name, key_id, box in sealed:
        try:
            sealer.open(name, key_id, box)
        except (SealError, TypeError, AttributeError) as error:
            looked.wrong(f"a secret does not open: {error}", "Put the right master key back, or restore a backup.")
