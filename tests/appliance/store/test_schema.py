"""Migrations: once, in order, as they were; anything else stops the start with a sentence."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from appliance.store import schema
from appliance.store.faults import StoreRefused
from appliance.store.schema import Migration, migrations
from appliance.store.sqlite import SQLite


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def open_and_close(path: Path, *, migrate: bool = False) -> None:
    SQLite.open(path, migrate=migrate, now=7).close()


def test_an_empty_database_is_filled_and_opens_again(tmp_path: Path) -> None:
    path = tmp_path / "private" / "fairlead.db"
    open_and_close(path)
    open_and_close(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT number, checksum, applied_at FROM schema_migrations").fetchall()
    assert found == [(it.number, it.checksum, 7) for it in migrations()]


def test_a_database_that_is_behind_is_refused_unless_told_to_migrate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fairlead.db"
    open_and_close(path)
    newer = Migration(len(migrations()) + 1, "9999_more", "-- one; more\nCREATE TABLE more (id TEXT NOT NULL);\n")
    known = [*migrations(), newer]
    monkeypatch.setattr(schema, "migrations", lambda: known)
    with pytest.raises(StoreRefused, match="behind: 9999_more"):
        open_and_close(path)
    open_and_close(path, migrate=True)
    open_and_close(path)
    monkeypatch.undo()
    with pytest.raises(StoreRefused, match="newer than this program"):
        open_and_close(path)


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fairlead.db"
    open_and_close(path)
    broken = Migration(len(migrations()) + 1, "9999_broken", "CREATE TABLE more (id TEXT NOT NULL); NONSENSE;")
    known = [*migrations(), broken]
    monkeypatch.setattr(schema, "migrations", lambda: known)
    with pytest.raises(sqlite3.OperationalError):
        open_and_close(path, migrate=True)
    monkeypatch.undo()
    open_and_close(path)
    with closing(sqlite3.connect(path)) as connection:
        assert not connection.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall()


def test_an_applied_file_that_was_edited_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.db"
    open_and_close(path)
    change(path, "UPDATE schema_migrations SET checksum = 'x'")
    with pytest.raises(StoreRefused, match="another form"):
        open_and_close(path)


def test_a_file_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.db"
    path.touch()
    path.chmod(0o640)
    with pytest.raises(StoreRefused, match="chmod 600"):
        open_and_close(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch(mode=0o600)
    path = tmp_path / "fairlead.db"
    path.symlink_to(tmp_path / "real.db")
    with pytest.raises(StoreRefused):
        open_and_close(path)
