"""The file of an SQLite database: ours alone. What is in it, test_migrations holds for both engines."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from appliance.store.faults import StoreRefused
from appliance.store.schema import bring_up_to_date, migrations
from appliance.store.sqlite import SQLite
from appliance.store.unit import Unit


def prepare(tabled: bool) -> Unit[None]:
    return bring_up_to_date(tabled=tabled, migrate=False, now=7)


def open_and_close(path: Path) -> None:
    SQLite.open(path, prepare).close()


def test_the_file_and_its_directory_are_made_for_us_alone(tmp_path: Path) -> None:
    path = tmp_path / "private" / "fairlead.db"
    open_and_close(path)
    open_and_close(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT number, checksum, applied_at FROM schema_migrations").fetchall()
    assert found == [(it.number, it.checksum, 7) for it in migrations()]


def test_a_file_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fairlead.db"
    path.touch()
    path.chmod(0o640)
    with pytest.raises(StoreRefused, match="chmod 600"):
        open_and_close(path)


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fairlead.db"
    path.touch(mode=0o600)
    monkeypatch.setattr("os.geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(StoreRefused, match="belongs to another user"):
        open_and_close(path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch(mode=0o600)
    path = tmp_path / "fairlead.db"
    path.symlink_to(tmp_path / "real.db")
    with pytest.raises(StoreRefused):
        open_and_close(path)
