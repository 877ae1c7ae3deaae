"""One ledger for each engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit import sqlite
from tests.appliance.audit.rig import Ledger, PostgresLedger, SQLiteLedger
from tests.support.postgres import PostgresServer, cluster


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresLedger]:
    """A ledger in a database of its own, empty so far."""
    database = postgres_server.fresh()
    yield PostgresLedger(postgres_server, database)
    postgres_server.drop(database)


@pytest.fixture(scope="session")
def mortal_server() -> Iterator[PostgresServer]:
    """A server for tests that hurt it."""
    with cluster() as server:
        yield server


@pytest.fixture
def mortal(mortal_server: PostgresServer) -> Iterator[PostgresLedger]:
    """The same on a server that a test may stop, kill and freeze."""
    database = mortal_server.fresh()
    try:
        yield PostgresLedger(mortal_server, database)
    finally:
        mortal_server.heal()
        mortal_server.drop(database)


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A place for a ledger, empty so far. The machine loses no power during a test: nothing waits for its disk."""
    if request.param == "sqlite":
        monkeypatch.setattr(sqlite, "PRAGMAS", (*sqlite.PRAGMAS, "PRAGMA synchronous = OFF"))
        return SQLiteLedger(tmp_path / "audit.db")
    found: PostgresLedger = request.getfixturevalue("postgres")
    return found
