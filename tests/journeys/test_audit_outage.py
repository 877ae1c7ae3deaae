"""No audit, no access: what happens to requests while a record cannot be kept, and that it ends by itself.

The database is locked by somebody else, it goes, it hangs, the appliance is killed. Each time: reads and writes are
refused with a code that says why, nothing that was answered well is lost, and it works again without anybody's help.
"""

from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
import trio

from appliance.audit.postgres import PostgresPlace
from appliance.store.server import parse
from ops.demo.admin import ApiError
from ops.demo.files import write_private
from tests.journeys.outage import Work, create, exported, is_whole, refused_and_back
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack
from tests.support.postgres import PostgresServer, cluster

RECORDS = 1_000


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="module")
def on_postgres(tmp_path_factory: pytest.TempPathFactory, server: PostgresServer) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("stack")
    url, key = directory / "url", directory / "key"
    write_private(url, server.url("postgres").encode())
    write_private(key, base64.b64encode(os.urandom(32)))
    extra = f'[store]\nurl_file = "{url}"\nmaster_key = "{key}"\n'
    with running_stack(directory, settings=extra) as started:
        yield started


@pytest.fixture
def sqlite(on_sqlite: Stack) -> Stack:
    on_sqlite.mend()
    return on_sqlite


@pytest.fixture
def postgres(on_postgres: Stack) -> Stack:
    on_postgres.mend()
    return on_postgres


@pytest.fixture(params=["sqlite", "postgres"])
def stack(request: pytest.FixtureRequest) -> Stack:
    found: Stack = request.getfixturevalue(request.param)
    return found


def test_a_database_that_somebody_else_locks(sqlite: Stack, unique: str) -> None:
    with closing(sqlite3.connect(sqlite.home.appliance / "audit.db", isolation_level=None)) as locker:
        refused_and_back(sqlite, unique, lambda: locker.execute("BEGIN IMMEDIATE"), lambda: locker.execute("ROLLBACK"))


def test_a_configuration_that_somebody_else_locks(sqlite: Stack, unique: str) -> None:
    """Requests go on; a change is on record, is given up after a while, and nobody says that it was not made."""
    body = {"name": unique}
    with closing(sqlite3.connect(sqlite.home.appliance / "fairlead.db", isolation_level=None)) as locker:
        locker.execute("BEGIN IMMEDIATE")
        with pytest.raises(ApiError) as caught:
            trio.run(sqlite.api().call, "POST", "clusters", body)
        assert (caught.value.status, caught.value.code) == (503, "OUTCOME_UNKNOWN")
        assert create(sqlite.door, unique).status == 201
        locker.execute("ROLLBACK")
    assert trio.run(sqlite.api().call, "POST", "clusters", body)["name"] == unique
    is_whole(sqlite)


def test_a_table_that_somebody_locks(postgres: Stack, server: PostgresServer, unique: str) -> None:
    """The configuration can be read and written all the while; only records cannot be kept."""
    with closing(PostgresPlace(parse(server.url("postgres"))).open()) as locker:
        refused_and_back(
            postgres,
            unique,
            lambda: [locker.rows(it) for it in ("BEGIN", "LOCK TABLE sheaves IN EXCLUSIVE MODE")],
            lambda: locker.rows("ROLLBACK"),
        )


def test_a_server_that_goes_and_comes_back(postgres: Stack, server: PostgresServer, unique: str) -> None:
    refused_and_back(postgres, unique, server.kill, server.start)


def test_a_server_that_hangs(postgres: Stack, server: PostgresServer, unique: str) -> None:
    refused_and_back(postgres, unique, server.freeze, server.thaw)


def test_an_appliance_killed_in_the_middle_of_its_records(stack: Stack, unique: str) -> None:
    with Work(stack.door, unique) as work:
        eventually(lambda: len(work.answers) > RECORDS // 2, 60.0, "half of the work")
        stack.appliance.kill()
    acknowledged = {it.headers["x-correlation-id"] for it in work.answered(201)}
    assert len(acknowledged) > 100
    is_whole(stack)
    assert acknowledged <= {it["correlation_id"] for it in exported(stack) if it["type"] == "CPR003I"}

    stack.start_appliance()
    stack.until_it_works()
    is_whole(stack)
    assert create(stack.door, unique).status == 201
