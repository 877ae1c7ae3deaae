"""The appliance on PostgreSQL: it works, what a user notices when the database goes, and no secret is shown."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from ops.demo.admin import ApiError
from tests.journeys.conftest import Kubectl, kubectl_for, kubectls
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack
from tests.support.postgres import PostgresServer, cluster

SOON_SECONDS = 1.0  # how soon what one process changed holds in another


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    """A server of its own: it is stopped and frozen here."""
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, database: PostgresServer) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("stack")
    url, key = directory / "url", directory / "key"
    url.write_text(database.url(database.fresh()))
    key.write_text("A" * 43 + "=")
    for file in (url, key):
        file.chmod(0o600)
    store = f'[store]\nurl_file = "{url}"\nmaster_key = "{key}"\nconnections = 3\n'
    with running_stack(directory, settings=store) as started:
        yield started


@pytest.fixture
def stack(shared: Stack) -> Stack:
    """The stack, working, whatever the test before has left."""
    shared.mend()
    return shared


@pytest.fixture
def kubectl(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return kubectl_for(next(reversed(kubectls()), None), stack.kubeconfig, tmp_path_factory)


def test_kubectl_works_and_a_restart_remembers(stack: Stack, kubectl: Kubectl) -> None:
    assert "harbour-master" in kubectl("get", "pods", "-A")

    stack.appliance.stop()
    stack.start_appliance()
    stack.until_it_works()

    assert "harbour-master" in kubectl("get", "pods", "-A")
    assert not (stack.home.appliance / "fairlead.db").exists()


def test_a_killed_appliance_starts_again_and_remembers(stack: Stack, kubectl: Kubectl) -> None:
    stack.appliance.kill()
    stack.start_appliance()
    stack.until_it_works()

    assert "harbour-master" in kubectl("get", "pods", "-A")


def test_what_another_process_writes_holds_within_a_second(stack: Stack) -> None:
    """`fairlead machine-token` is one; the appliance is told, and need not look. The best of some tries."""
    took = []
    for number in range(8):
        token = stack.machine_token(f"beside-{number}")
        began = time.monotonic()
        eventually(partial(is_let_in, stack, token))
        took.append(time.monotonic() - began)
        if min(took) < SOON_SECONDS:
            break

    assert min(took) < SOON_SECONDS


def test_without_its_database_nothing_begins_until_it_is_back(
    stack: Stack, kubectl: Kubectl, database: PostgresServer
) -> None:
    """Requests could be decided from memory, but not recorded: the audit ledger lies in the same database."""
    role: dict[str, object] = {"name": "visitor", "groups": ["visitors"]}
    database.stop()
    try:
        eventually(lambda: "audit record cannot be kept" in kubectl.run("get", "pods", "-n", "demo").stderr)
        with pytest.raises(ApiError) as refused:
            trio.run(stack.api().call, "POST", "roles", role)
        assert (refused.value.status, refused.value.code) == (503, "AUDIT_UNAVAILABLE")
    finally:
        database.start()

    made = eventually(partial(make, stack, role), 10.0, "the database being used again")
    assert made["name"] == "visitor"
    roles = trio.run(stack.api().call, "GET", "roles")
    assert [it["name"] for it in roles["items"]].count("visitor") == 1
    assert "harbour-master" in kubectl("get", "pods", "-A")


def is_let_in(stack: Stack, token: str) -> bool:
    return trio.run(stack.api(token).raw, "GET", "/fairlead/v1/clusters")[0] == 200


def make(stack: Stack, role: dict[str, object]) -> dict[str, object]:
    try:
        made: dict[str, object] = trio.run(stack.api().call, "POST", "roles", role)
    except ApiError as error:
        raise AssertionError(str(error)) from None
    return made


def test_no_secret_is_shown_to_other_processes_or_to_the_log(stack: Stack, database: PostgresServer) -> None:
    shown = Path(f"/proc/{stack.appliance.pid}/cmdline").read_text() + "".join(stack.appliance.said)
    shown += Path(f"/proc/{stack.appliance.pid}/environ").read_text()
    assert json.loads(stack.appliance.said[0])
    assert database.password not in shown
    named = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE backend_type = 'client backend'"
    assert ("fairlead",) in database.query("postgres", named)
