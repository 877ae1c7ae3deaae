"""One ledger for each engine, and the PostgreSQL server that all tests of it share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.audit.rig import Ledger, PostgresLedger, SQLiteLedger
from tests.support.postgres_server import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture
def postgres(server: PostgresServer) -> PostgresLedger:
    """A ledger in PostgreSQL, empty so far."""
    if server.process is None:
        server.start()
    ledger = PostgresLedger(server)
    ledger.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    ledger.run("DROP SCHEMA IF EXISTS fairlead_audit CASCADE")
    return ledger


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """A place for a ledger, empty so far."""
    if request.param == "sqlite":
        return SQLiteLedger(tmp_path / "audit.db")
    found: PostgresLedger = request.getfixturevalue("postgres")
    return found
