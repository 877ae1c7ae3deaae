"""No audit, no access: what happens to requests while a record cannot be kept, and that it ends by itself.

The database is locked by somebody else, the disk is full, the appliance is killed. Each time: reads and writes are
refused with a code that says why, nothing that was answered well is lost, and it works again without anybody's help.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Self

import pytest
import trio

from appliance.audit.postgres import PostgresPlace
from appliance.store.server import parse
from ops.demo import ports
from ops.demo.admin import ApiError, Appliance
from ops.demo.files import write_private
from tests.journeys.door import Answer, Door
from tests.journeys.processes import eventually
from tests.journeys.stack import REPOSITORY, Stack, running_stack
from tests.support.postgres import PostgresServer, cluster

MAPS = "/api/v1/namespaces/demo/configmaps"
PODS = "/api/v1/namespaces/demo/pods"
WRITERS = 8  # at once
RECORDS = 1_000
REFUSED_SECONDS = 15.0  # until the first refusal: a statement may wait for a lock, or a server, for some seconds
BACK_SECONDS = 20.0


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


def create(door: Door, name: str) -> Answer:
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).encode()
    return door.ask("POST", MAPS, body, {"Content-Type": "application/json"})


def audit(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`fairlead audit`, beside the running appliance."""
    config = str(stack.home.root / "fairlead.toml")
    command = [sys.executable, "-m", "ops.cli.main", "audit", *arguments, "--config", config]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)


def exported(stack: Stack) -> list[dict[str, Any]]:
    done = audit(stack, "export")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def is_whole(stack: Stack) -> None:
    done = audit(stack, "verify")
    assert done.returncode == 0, done.stdout + done.stderr


def api(stack: Stack) -> Appliance:
    authority = (stack.home.appliance / "ca.pem").read_text()
    return Appliance(f"https://{ports.LOOPBACK}:{stack.bound.users}", authority, stack.token)


class Work:
    """People at work: a few that read and write without pause. Every answer is kept."""

    def __init__(self, door: Door, name: str) -> None:
        self.answers: list[tuple[str, Answer]] = []
        self._door = door
        self._name = name
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WRITERS)]

    def _work(self, worker: int) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            try:
                if turn % 2:
                    answered = "write", create(self._door, f"{self._name}-{worker}-{turn}")
                else:
                    answered = "read", self._door.ask("GET", PODS)
            except OSError:
                continue  # no answer is no acknowledgement
            self.answers.append(answered)
            if answered[1].status != 503 and answered[1].status != 429:
                continue
            self._stop.wait(0.05)

    def answered(self, status: int, kind: str = "") -> list[Answer]:
        return [it for found, it in list(self.answers) if it.status == status and kind in {"", found}]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def nothing_is_lost(stack: Stack, work: Work) -> None:
    """Every answer that was given is in the trail: what it was, and who asked; and only once."""
    records = exported(stack)
    closed = {it["correlation_id"]: it for it in records if it["type"] == "CPR001I"}
    opened = {it["correlation_id"] for it in records if it["type"] == "CPR003I"}
    assert len(closed) == len([it for it in records if it["type"] == "CPR001I"])
    done = [it.headers["x-correlation-id"] for it in work.answered(201)]
    seen = [it.headers["x-correlation-id"] for it in work.answered(200)]
    assert set(done) <= opened
    assert set(done) | set(seen) <= set(closed)
    assert all(closed[it]["status"] == 201 for it in done)
    is_whole(stack)


def refused_and_back(
    stack: Stack, name: str, broken: Callable[[], Any], mend: Callable[[], Any], *, unreadable: bool = False
) -> None:
    """The whole story of one outage, under work."""
    with Work(stack.door, name) as work:
        eventually(lambda: len(work.answered(201)) > 20, what="work")
        broken()
        for kind in ("write", "read"):
            eventually(lambda kind=kind: len(work.answered(503, kind)) > 5, REFUSED_SECONDS, f"{kind}s refused")  # type: ignore[misc]  # the loop's own
        refused = work.answered(503)
        assert {it.code for it in refused} == {"AUDIT_UNAVAILABLE"}
        assert b"audit record cannot be kept" in refused[0].body
        with pytest.raises(ApiError) as caught:
            trio.run(api(stack).call, "POST", "clusters", {"name": name})
        assert (caught.value.status, caught.value.code) == (503, "AUDIT_UNAVAILABLE")
        if unreadable:
            with pytest.raises(ApiError) as caught:
                trio.run(api(stack).call, "GET", "audit")
            assert (caught.value.status, caught.value.code) == (503, "AUDIT_UNAVAILABLE")
        else:
            assert trio.run(api(stack).call, "GET", "audit?limit=1")["items"]
        mend()
        before = len(work.answers)
        eventually(
            lambda: len([it for _, it in work.answers[before:] if it.status in {200, 201}]) > 20,
            BACK_SECONDS,
            "recovery",
        )
    names = {it["name"] for it in trio.run(api(stack).call, "GET", "clusters")["items"]}
    assert name not in names, "what was refused was not done"
    nothing_is_lost(stack, work)


def test_a_database_that_somebody_else_locks(sqlite: Stack, unique: str) -> None:
    with closing(sqlite3.connect(sqlite.home.appliance / "audit.db", isolation_level=None)) as locker:
        refused_and_back(sqlite, unique, lambda: locker.execute("BEGIN IMMEDIATE"), lambda: locker.execute("ROLLBACK"))


def test_a_disk_that_fills(sqlite: Stack, unique: str) -> None:
    """The kernel refuses every byte beyond what the ledger's files hold now; other files are smaller than that."""
    pid = sqlite.appliance.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    files = [sqlite.home.appliance / name for name in ("audit.db", "audit.db-wal")]

    def fill() -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (min(it.stat().st_size for it in files), hard))

    refused_and_back(sqlite, unique, fill, lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard)))


def test_a_table_that_somebody_locks(postgres: Stack, server: PostgresServer, unique: str) -> None:
    """The configuration can be read and written all the while; only records cannot be kept."""
    with closing(PostgresPlace(parse(server.url("postgres"))).open()) as locker:
        refused_and_back(
            postgres,
            unique,
            lambda: [locker.rows(it) for it in ("BEGIN", "LOCK TABLE records IN EXCLUSIVE MODE")],
            lambda: locker.rows("ROLLBACK"),
        )


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_that_goes_and_comes_back(postgres: Stack, server: PostgresServer, how: str, unique: str) -> None:
    refused_and_back(postgres, unique, getattr(server, how), server.start, unreadable=True)


def test_a_server_that_hangs(postgres: Stack, server: PostgresServer, unique: str) -> None:
    refused_and_back(postgres, unique, server.freeze, server.thaw, unreadable=True)


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
