"""The schema as numbered files, applied forwards only, each once, each with the checksum it had then.

A database that is behind, ahead of this program, or whose applied files differ from ours, is refused with a sentence.
Applying is one transaction under the database's write lock, so two processes that start together do it once.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from appliance.store import statements
from appliance.store.faults import StoreRefused
from appliance.store.unit import Statement, Unit, run


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


def bring_up_to_date(*, tabled: bool, migrate: bool, now: int) -> Unit[None]:
    """A unit for a transaction that holds the write lock. An empty database is always filled.

    `tabled`: the table of what was applied is known to be there, and nothing need be made when nothing is missing.
    """
    if not tabled:
        yield run(statements.MIGRATIONS_TABLE)
    applied = {int(number): str(checksum) for number, checksum in (yield run(statements.MIGRATIONS))}
    known = migrations()
    if applied and max(applied) > len(known):
        raise StoreRefused(f"The database is at schema {max(applied)}, newer than this program. Install the newer one.")
    for migration in known:
        if migration.number in applied:
            if applied[migration.number] != migration.checksum:
                raise StoreRefused(f"Migration {migration.name} was applied in another form. Install that program.")
            continue
        if applied and not migrate:
            raise StoreRefused(f"The database is behind: {migration.name} is not applied. Run: fairlead migrate")
        for text in migration.statements():
            yield Statement(text)
        yield run(statements.MIGRATION_ADD, migration.number, migration.name, migration.checksum, now)
