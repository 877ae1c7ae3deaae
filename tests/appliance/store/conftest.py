"""A PostgreSQL for the session, and a home for each test's store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.appliance.store.homes import Home, in_file, in_postgres
from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "sqlite":
        return in_file(tmp_path)
    return in_postgres(tmp_path, request.getfixturevalue("postgres_server"))


@pytest.fixture
def pg_home(tmp_path: Path, postgres_server: PostgresServer) -> Home:
    """In PostgreSQL, whichever engine the others use."""
    return in_postgres(tmp_path, postgres_server)
