"""The schema as numbered files, applied forwards only, each once, each with the checksum it had then.

A database that is behind, ahead of this program, or whose applied files differ from ours, is refused with a sentence.
Applying is one transaction under the database's write lock, so two processes that start together do it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import TypeAlias

from appliance.store import statements
from appliance.store.faults import StoreRefused
from appliance.store.unit import Statement, Unit, run

Preparation: TypeAlias = Callable[[bool], Unit[None]]
"""The unit by which an engine begins, given whether the table of what was applied is there (`tabled`)."""


@dataclass(frozen=True, slots=True, order=True)
class Migration:
    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return sha256(self.text.encode()).hexdigest()

    def statements(self) -> list[str]:
        """The file's statements; its own lines of comment are dropped, and no text in it holds a semicolon."""
        lines = [line for line in self.text.splitlines() if not line.lstrip().startswith("--")]
        return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


def migrations() -> list[Migration]:
    """Every file of `migrations/`, in order; numbers run from 1 without gaps."""
    folder = files("appliance.store") / "migrations"
    found = sorted(
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text())
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    )
    if [it.number for it in found] != list(range(1, len(found) + 1)):
        raise StoreRefused("The program's migration files are not numbered 1, 2, 3, ...; install it again.")
    return found


def applied(*, tabled: bool) -> Unit[dict[int, str]]:
    """The number and checksum of each migration that was applied. Changes nothing; see `bring_up_to_date`."""
    rows = (yield run(statements.MIGRATIONS)) if tabled else []
    return {int(number): str(checksum) for number, checksum in rows}


def missing(found: Mapping[int, str]) -> list[Migration]:
    """Which of ours are not among those that were applied.

    Raises:
        StoreRefused: the database is ahead of this program, or was migrated by another one.

    """
    known = migrations()
    if found and max(found) > len(known):
        raise StoreRefused(f"The database is at schema {max(found)}, newer than this program. Install the newer one.")
    for migration in known:
        if found.get(migration.number, migration.checksum) != migration.checksum:
            raise StoreRefused(f"Migration {migration.name} was applied in another form. Install that program.")
    return [migration for migration in known if migration.number not in found]


def bring_up_to_date(*, tabled: bool, migrate: bool, now: int, to: int | None = None) -> Unit[None]:
    """A unit for a transaction that holds the write lock. An empty database is always filled.

    `tabled`: the table of what was applied is known to be there, and nothing need be made when nothing is missing.
    `to`: the last migration to apply, when it is not all of them.
    """
    if not tabled:
        yield run(statements.MIGRATIONS_TABLE)
    found = yield from applied(tabled=True)
    for migration in missing(found):
        if to is not None and migration.number > to:
            return
        if found and not migrate:
            raise StoreRefused(
                f"The database is behind: {migration.name} is not applied. Stop the appliance, make a backup, then "
                "run: fairlead migrate"
            )
        for text in migration.statements():
            yield Statement(text)
        yield run(statements.MIGRATION_ADD, migration.number, migration.name, migration.checksum, now)
