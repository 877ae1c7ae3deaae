"""A PostgreSQL for the session, and a home for each test's store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.store.homes import Home, in_file, in_postgres
from tests.support.postgres import PostgresServer, cluster


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    if request.param == "sqlite":
        yield in_file(tmp_path)
        return
    with in_postgres(tmp_path, request.getfixturevalue("postgres_server")) as made:
        yield made


@pytest.fixture
def pg_home(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Home]:
    """In PostgreSQL, whichever engine the others use."""
    with in_postgres(tmp_path, postgres_server) as made:
        yield made


@pytest.fixture(scope="session")
def fragile() -> Iterator[PostgresServer]:
    """A server that tests stop, kill and freeze."""
    with cluster() as made:
        yield made


@pytest.fixture
def fragile_home(tmp_path: Path, fragile: PostgresServer) -> Iterator[Home]:
    with in_postgres(tmp_path, fragile) as made:
        try:
            yield made
        finally:
            fragile.heal()
