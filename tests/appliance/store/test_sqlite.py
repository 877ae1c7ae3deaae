"""What only SQLite can suffer: a file moved away, another process's lock, a full disk, a lost key beside it."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
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

pytestmark = pytest.mark.real_clock

CLUSTER = Cluster("cluster_1", "prod", (("env", "prod"),), created_at=NOW)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return in_file(tmp_path)


async def test_a_database_replaced_under_us_is_not_believed(home: Home) -> None:
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        home.path.rename(home.path.with_name("moved.db"))  # noqa: ASYNC240 -- a moment, in a test
        with pytest.raises(StoreUnavailable):
            await store.poll()
        home.path.touch(mode=0o600)  # noqa: ASYNC240 -- a moment, in a test
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
