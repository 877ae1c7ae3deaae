"""The schema of the database that the settings name: what it lacks, and bringing it up to date.

What always holds: applying is one transaction under the database's lock, so of several that try one does it; with
SQLite no appliance runs meanwhile, because there is only one and it knows the old schema.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from appliance import database
from appliance.config import Config
from appliance.layout import Layout
from appliance.store import schema
from appliance.store.clock import utc_micros
from appliance.store.unit import Unit


@dataclass(frozen=True, slots=True)
class Pending:
    """The names of the migrations that are not applied, and the number of the last there is."""

    missing: tuple[str, ...]
    latest: int


async def pending(config: Config) -> Pending:
    """Looks and changes nothing.

    Raises:
        StoreRefused: the database is newer than this program, or another program's.
        StoreUnavailable: it cannot be reached.

    """
    where = database.place(config.store, Layout(config.data_dir))
    latest = len(schema.migrations())
    if isinstance(where, Path) and not where.exists():
        return Pending(tuple(it.name for it in schema.migrations()), latest)
    found: dict[int, str] = {}

    def look(tabled: bool) -> Unit[None]:
        found.update((yield from schema.applied(tabled=tabled)))

    async with database.opened_engine(where, look):
        return Pending(tuple(it.name for it in schema.missing(found)), latest)


async def bring_up_to_date(config: Config) -> None:
    """Applies what is missing, all of it or nothing.

    Raises:
        InUseError: an appliance runs on this SQLite database.
        StoreRefused, StoreUnavailable: see `pending`.

    """
    layout = Layout(config.data_dir)
    where = database.place(config.store, layout)
    prepare = partial(_prepare, now=utc_micros())
    if isinstance(where, Path):
        layout.make()
        with layout.claimed():
            async with database.opened_engine(where, prepare):
                return
    async with database.opened_engine(where, prepare):
        return


def _prepare(tabled: bool, now: int) -> Unit[None]:
    return schema.bring_up_to_date(tabled=tabled, migrate=True, now=now)
