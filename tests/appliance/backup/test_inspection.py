"""`fairlead verify` finds what is wrong, names it, says what to do, and changes nothing."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from appliance import database
from appliance.inspection import Inspection, inspect
from appliance.store import schema
from appliance.store.schema import Migration, migrations
from tests.appliance.backup.conftest import MakePlace
from tests.appliance.backup.places import Place
from tests.support.tampering import tamper_file

pytestmark = pytest.mark.real_clock


async def look(place: Place) -> Inspection:
    return await inspect(place.config(), lambda _: None)


def run(place: Place, *statements: str) -> None:
    """What somebody else did to the database."""
    if place.server is not None:
        place.server.query(place.name, *statements)
        return
    with closing(sqlite3.connect(place.layout.store)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def tear(path_of: Callable[[Place], object], at: int) -> Callable[[Place], None]:
    def do(place: Place) -> None:
        path = path_of(place)
        with open(str(path), "r+b") as file:  # noqa: PTH123 -- as plainly as damage comes
            file.seek(at)
            file.write(b"\xaa" * 2048)

    return do


def loosen(path_of: Callable[[Place], object]) -> Callable[[Place], None]:
    import os

    return lambda place: os.chmod(str(path_of(place)), 0o644)  # noqa: PTH101 -- the same for every kind of path


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_what_is_whole_is_found_whole_and_left_as_it_is(make_place: MakePlace, engine: str) -> None:
    place = make_place(engine)
    await place.fill(200)
    rows, files = await place.rows(), place.files()
    found = await look(place)
    assert found.faults == []
    assert [line.partition(":")[0] for line in found.fine] == ["files", "configuration", "audit ledger"]
    assert await place.rows() == rows
    assert place.files() == files


SQL_FAULTS = [
    ("UPDATE feed SET head = head + 1", "the change feed has gaps"),
    ("DELETE FROM changes WHERE number = 5", "the change feed has gaps"),
    ("DELETE FROM changes", "the change feed has gaps"),
    ("DELETE FROM feed", "the change feed has no head"),
    ("UPDATE roles SET rules_json = '{'", "the role role_1 cannot be read"),
    ("UPDATE bindings SET scope_json = '{}' WHERE id = 'binding_0003'", "the binding binding_0003 cannot be read"),
    ("UPDATE schema_migrations SET checksum = 'x' WHERE number = 1", "was applied in another form"),
    (
        "UPDATE sealed SET box = 'AAAA' || box WHERE name = 'authority'",
        "the sealed secret authority was changed|sealed",
    ),
    ("UPDATE sealed SET key_id = 'other' WHERE name = 'authority'", "sealed under another master key"),
    ("DELETE FROM sealed WHERE name = 'audit-checkpoint-key'", "the key that signs the audit ledger is not there"),
    (
        "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (99, 'later', 'x', 0)",
        "newer than this program",
    ),
]


EVERY_ENGINE = [("sqlite", *fault) for fault in SQL_FAULTS] + [("postgres", *fault) for fault in SQL_FAULTS[::4]]


@pytest.mark.parametrize(
    ("engine", "statement", "match"), EVERY_ENGINE, ids=[f"{it[0]}-{it[2]}" for it in EVERY_ENGINE]
)
async def test_a_row_that_is_wrong_is_named(make_place: MakePlace, engine: str, statement: str, match: str) -> None:
    place = make_place(engine)
    await place.fill(200)
    run(place, statement)
    faults = (await look(place)).faults
    assert faults
    assert re.search(match, faults[0].what), faults
    assert all(fault.remedy.endswith((".", "restore", "migrate")) for fault in faults)


FILE_FAULTS: list[tuple[str, Callable[[Place], None], str]] = [
    ("open database", loosen(lambda place: place.layout.store), "fairlead.db has mode 0644, open to others"),
    ("open ledger", loosen(lambda place: place.layout.audit), "audit.db has mode 0644, open to others"),
    ("open key", loosen(lambda place: place.layout.master_key), "master key .* can be read by others"),
    ("no key", lambda place: place.layout.master_key.unlink(), "the master key .* is missing"),
    ("no database", lambda place: place.layout.store.unlink(), "there is no database"),
    ("no ledger", lambda place: place.layout.audit.unlink(), "the audit ledger .* cannot be read"),
    ("torn page", tear(lambda place: place.layout.store, 40_000), "the database file is damaged|cannot be used"),
    ("torn start", tear(lambda place: place.layout.store, 0), "file is not a database"),
    ("torn ledger", tear(lambda place: place.layout.audit, 60_000), "the audit file is damaged|cannot be read"),
    (
        "text for a number",
        lambda place: run(place, "UPDATE clusters SET created_at = 'noon'"),
        "created_at of clusters 'cluster_1' is a str where a int belongs",
    ),
    (
        "lost reference",
        lambda place: run(place, "PRAGMA foreign_keys = OFF", "DELETE FROM roles"),
        "of bindings refers to a row of roles that is not there",
    ),
    (
        "edited record",
        lambda place: tamper_file(
            place.layout.audit, "UPDATE records SET body = replace(body, 'alice', 'mallo') WHERE number = 9"
        ),
        "audit ledger: chain 1, record 9: edited",
    ),
    (
        "removed records",
        lambda place: tamper_file(place.layout.audit, "DELETE FROM records WHERE chain = 2 AND number > 150"),
        "audit ledger: chain 2",
    ),
]


@pytest.mark.parametrize(("damage", "match"), [it[1:] for it in FILE_FAULTS], ids=[it[0] for it in FILE_FAULTS])
async def test_damage_on_the_disk_is_named(make_place: MakePlace, damage: Callable[[Place], None], match: str) -> None:
    place = make_place("sqlite")
    await place.fill(200)
    damage(place)
    faults = (await look(place)).faults
    assert any(re.search(match, fault.what) for fault in faults), faults


async def test_one_fault_does_not_hide_the_others(make_place: MakePlace) -> None:
    place = make_place("sqlite")
    await place.fill(200)
    run(place, "UPDATE roles SET rules_json = '{'", "UPDATE people SET groups_json = '['", "UPDATE feed SET head = 0")
    loosen(lambda it: it.layout.audit)(place)
    assert len((await look(place)).faults) == 4


async def test_a_database_that_is_behind_is_named_and_not_read_further(
    make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_place("sqlite")
    await place.fill(200)
    known = [*migrations(), Migration(len(migrations()) + 1, "9999_more", "CREATE TABLE more (id TEXT PRIMARY KEY);")]
    monkeypatch.setattr(schema, "migrations", lambda: known)
    (fault,) = (await look(place)).faults
    assert "migrations are not applied: 9999_more" in fault.what
    assert fault.remedy == "Run: fairlead migrate"


async def test_a_server_that_is_gone_is_named(make_place: MakePlace) -> None:
    place = make_place("postgres")
    await place.fill(200)
    url = place.directory / "url"
    place.settings()
    config = place.config()
    url.write_text("postgresql://fairlead:secret@127.0.0.1:1/x")
    found = await inspect(config, lambda _: None)
    assert "cannot be reached" in found.faults[0].what
    assert "secret" not in str(found.faults)


async def test_it_works_beside_one_who_writes(make_place: MakePlace) -> None:
    place = make_place("sqlite")
    await place.fill(200)
    async with database.opened(place.config()):
        assert (await look(place)).faults == []
