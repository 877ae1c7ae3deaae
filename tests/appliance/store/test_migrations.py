"""Migrations on both engines: once, in order, as they were; anything else stops the start with a sentence."""

from __future__ import annotations

import pytest
import trio

from appliance.store import schema
from appliance.store.faults import StoreRefused
from appliance.store.schema import Migration, migrations
from tests.appliance.store.homes import NOW, Home

pytestmark = pytest.mark.real_clock

APPLIED = "SELECT number, checksum, applied_at FROM schema_migrations ORDER BY number"


async def open_and_close(home: Home, *, migrate: bool = False) -> None:
    async with home.opened(migrate=migrate):
        pass


def add(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    known = [*migrations(), Migration(len(migrations()) + 1, name, text)]
    monkeypatch.setattr(schema, "migrations", lambda: known)


async def test_an_empty_database_is_filled_and_opens_again(home: Home) -> None:
    await open_and_close(home)
    await open_and_close(home)
    assert home.query(APPLIED) == [(str(it.number), it.checksum, str(NOW)) for it in migrations()]


async def test_of_many_that_start_at_once_each_finds_it_done_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start() -> None:
        await open_and_close(home, migrate=True)

    for text in ("", "CREATE TABLE more (id TEXT NOT NULL);"):
        if text:
            add(monkeypatch, "9999_more", text)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(start)
    assert len(home.query(APPLIED)) == len(schema.migrations())


async def test_a_database_that_is_behind_is_refused_unless_told_to_migrate(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    await open_and_close(home)
    add(monkeypatch, "9999_more", "-- one; more\nCREATE TABLE more (id TEXT NOT NULL);\n")
    with pytest.raises(StoreRefused, match="behind: 9999_more"):
        await open_and_close(home)
    await open_and_close(home, migrate=True)
    await open_and_close(home)
    monkeypatch.undo()
    with pytest.raises(StoreRefused, match="newer than this program"):
        await open_and_close(home)


async def test_a_migration_that_fails_leaves_nothing_behind(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    await open_and_close(home)
    add(monkeypatch, "9999_broken", "CREATE TABLE more (id TEXT NOT NULL); NONSENSE;")
    with pytest.raises(Exception, match="NONSENSE"):
        await open_and_close(home, migrate=True)
    monkeypatch.undo()
    await open_and_close(home)
    home.query("CREATE TABLE more (id TEXT NOT NULL)")


async def test_an_applied_file_that_was_edited_is_refused(home: Home) -> None:
    await open_and_close(home)
    home.query("UPDATE schema_migrations SET checksum = 'x'")
    with pytest.raises(StoreRefused, match="another form"):
        await open_and_close(home)


async def test_one_who_may_not_make_tables_may_open_what_is_up_to_date(pg_home: Home) -> None:
    """Migrated by the owner, run by someone with fewer rights."""
    await open_and_close(pg_home)
    assert pg_home.server is not None
    role = f"role_{pg_home.database}"
    pg_home.query(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    try:
        pg_home.query(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        pg_home.url_file.write_text(f"postgresql://{role}:p@127.0.0.1:{pg_home.server.port}/{pg_home.database}")
        await open_and_close(pg_home)
    finally:
        pg_home.query(f"DROP OWNED BY {role}")
        pg_home.query(f"DROP ROLE {role}")
