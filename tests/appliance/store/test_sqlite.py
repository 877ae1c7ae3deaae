"""What only SQLite can suffer: a file moved away, another process's lock, a full disk, a lost key beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from appliance.core.clusters import Cluster
from appliance.store import units
from appliance.store.faults import StoreRefused, StoreUnavailable
from appliance.store.sealing import SealError
from appliance.store.store import Store
from tests.appliance.store.homes import NOW, Home, in_file
from tests.appliance.store.programs import Program

pytestmark = pytest.mark.real_clock

CLUSTER = Cluster("cluster_1", "prod", (("env", "prod"),), created_at=NOW)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return in_file(tmp_path)


async def test_a_database_replaced_under_us_is_not_believed(home: Home) -> None:
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        home.path.rename(home.path.with_name("moved.db"))
        with pytest.raises(StoreUnavailable):
            await store.poll()
        home.path.touch(mode=0o600)
        with pytest.raises(StoreRefused, match="replaced"):
            await store.poll()


async def test_another_processs_transaction_is_waited_for_and_its_end_frees_us(home: Home) -> None:
    async with home.opened() as store:
        with closing(sqlite3.connect(home.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.write, units.add_cluster(CLUSTER, NOW))
                await trio.testing.wait_all_tasks_blocked()
                other.execute("ROLLBACK")
        assert store.snapshot.clusters


async def test_a_write_that_never_gets_its_turn_is_unavailable_not_endless(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.store.sqlite.BUSY_SECONDS", 0.05)
    async with home.opened() as store:
        with closing(sqlite3.connect(home.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked"):
                await store.write(units.add_cluster(CLUSTER, NOW))
            other.execute("ROLLBACK")
        await store.write(units.add_cluster(CLUSTER, NOW))


async def test_a_lost_or_foreign_master_key_stops_the_start(home: Home) -> None:
    async with home.opened() as store:
        await store.secret("ca", lambda: b"first")
    key = home.key
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(StoreRefused, match="missing"):
        await Store.open(home.path)
    assert not key.exists()
    key.touch(mode=0o600)
    with pytest.raises(SealError):
        await Store.open(home.path)
    key.write_bytes(b"A" * 43 + b"=\n")
    with pytest.raises(StoreRefused, match="not the one"):
        await Store.open(home.path)
    key.write_bytes(kept)
    async with home.opened() as store:
        assert await store.secret("ca", lambda: b"second") == b"first"


async def test_a_full_disk_refuses_clearly_and_what_was_answered_stays(home: Home) -> None:
    """The disk is full where the kernel says so: at the size a file of that process may have."""
    program = Program("fill", home)
    answered = [int(line) for line in program.lines_until("full")]
    assert len(answered) > 10
    assert program.line() == "again"  # there was space again, and the same process went on
    program.end()
    async with home.opened() as store:
        assert {f"p{number}" for number in answered} | {"again"} == set(store.snapshot.people)
    numbers = [int(number) for (number,) in home.query("SELECT number FROM changes ORDER BY number")]
    assert numbers == list(range(1, len(answered) + 2))
