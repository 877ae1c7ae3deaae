"""A backup made while everybody works, and a life after it: what still holds, what is refused, what nobody notices."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from ops.demo import kubeconfig, registration
from ops.demo.admin import ApiError
from ops.demo.files import write_private
from tests.journeys.conftest import Kubectl, kubectl_for, kubectls
from tests.journeys.door import Door
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack
from tests.support.postgres import PostgresServer

PASSPHRASE = "correct horse battery staple"
COMMAND_SECONDS = 60.0
MANY = 30  # roles made before the backup begins, and again before it may end


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def private(path: Path, text: str) -> Path:
    write_private(path, text.encode())
    return path


class Crowd:
    """Somebody who makes roles through the API, one after another; `made` holds what was answered."""

    def __init__(self, stack: Stack) -> None:
        self.made: list[str] = []
        self._stack = stack
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                name = f"role-{len(self.made)}"
                trio.run(self._stack.api().call, "POST", "roles", {"name": name, "groups": ["viewers"]})
                self._stack.door.ask("GET", "/api/v1/namespaces/demo/pods")
                self.made.append(name)
        except BaseException as error:
            self._failed.append(error)

    def until(self, count: int) -> None:
        eventually(lambda: len(self.made) >= count or self._failed, COMMAND_SECONDS, f"{count} roles")
        assert not self._failed, self._failed

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        assert not self._failed, self._failed


@contextmanager
def crowd(stack: Stack) -> Iterator[Crowd]:
    working = Crowd(stack)
    try:
        yield working
    finally:
        working.end()


def listed(stack: Stack, what: str, token: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = trio.run(stack.api(token).call, "GET", what)["items"]
    return found


def new_kubeconfig(stack: Stack, token: str, file: Path) -> Path:
    """As an administrator with a new machine token would make it."""
    api = stack.api(token)

    async def issue() -> Mapping[str, Any]:
        (cluster,) = (await api.call("GET", "clusters"))["items"]
        (person,) = (await api.call("GET", "people"))["items"]
        return await registration.credential(api, registration.Registered(cluster["id"], person["id"], {}))

    issued = trio.run(issue)
    content = kubeconfig.render(
        server=str(issued["server"]),
        token=str(issued["token"]),
        cluster="toy",
        person=registration.PERSON,
        ca_pem=api.ca_pem,
    )
    write_private(file, content)
    return file


def kubectl_of(file: Path, homes: pytest.TempPathFactory) -> Kubectl:
    return kubectl_for(next(reversed(kubectls()), None), file, homes)


def section(server: PostgresServer, directory: Path, name: str) -> str:
    """Settings for a new, empty database. The key is wherever a restore puts it, or given."""
    url = private(directory / f"{name}.url", server.url(server.fresh()))
    return f'[store]\nurl_file = "{url}"\nmaster_key = "{directory / name}.key"\n'


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("of", "to"), [("sqlite", "sqlite"), ("sqlite", "postgres"), ("postgres", "sqlite")])
def test_a_life_after_the_disk_was_lost(
    of: str, to: str, tmp_path: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = ""
    if of == "postgres":
        settings = section(request.getfixturevalue("postgres_server"), tmp_path, "first")
        private(tmp_path / "first.key", "A" * 43 + "=")
    passphrase = private(tmp_path / "passphrase", PASSPHRASE)
    backup = tmp_path / "it.backup"
    with running_stack(tmp_path, settings=settings) as stack:
        old = kubectl_of(stack.kubeconfig, tmp_path_factory)
        assert "harbour-master" in old("get", "pods", "-A")
        with crowd(stack) as working:
            working.until(MANY)
            before = list(working.made)
            said = done(stack.command("backup", "--out", backup, "--passphrase-file", passphrase))
            working.until(len(before) + MANY)
        assert "audit records" in said
        refuse_beside_a_running_appliance(stack, of, backup, passphrase)

        stack.appliance.kill()
        stack.home.appliance.rename(tmp_path / "lost")
        stack.settings = (
            section(request.getfixturevalue("postgres_server"), tmp_path, "second") if to != "sqlite" else ""
        )
        stack._appliance_settings()
        said = done(stack.command("restore", "--from", backup, "--passphrase-file", passphrase))
        assert "Machines whose tokens ended: journeys." in said
        done(stack.command("verify"))

        stack.start_appliance()
        answer = eventually(lambda: the_agent_is_back(stack), COMMAND_SECONDS, "the agent's own return")
        assert answer == "401 CREDENTIAL_REVOKED"
        assert "revoked" in old.refused("get", "pods", "-A")
        with pytest.raises(ApiError) as refused:
            listed(stack, "roles")
        assert refused.value.status == 401

        token = stack.machine_token("after")
        eventually(lambda: trio.run(stack.api(token).raw, "GET", "/fairlead/v1/roles")[0] == 200, what="the new token")
        new = kubectl_of(new_kubeconfig(stack, token, tmp_path / "new.yaml"), tmp_path_factory)
        eventually(lambda: new.run("get", "pods", "-A").returncode == 0, COMMAND_SECONDS, "kubectl")
        assert "harbour-master" in new("get", "pods", "-A")
        assert new("exec", "-n", "demo", "harbour-master", "--", "echo", "ahoy") == "ahoy\n"

        what_was_made_is_there_and_on_record(stack, token, before, working.made)
        assert "whole" in done(stack.command("audit", "verify"))
        assert done(stack.command("verify")).count("fine") == 3
        assert not [line for line in stack.agent.said if "enrolled" in line][1:]


def refuse_beside_a_running_appliance(stack: Stack, engine: str, backup: Path, passphrase: Path) -> None:
    for more in ((), ("--force",)):
        refused = stack.command("restore", "--from", backup, "--passphrase-file", passphrase, *more)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.count("\n") == 1
        assert "Another appliance runs with the data" in refused.stderr
    assert stack.works()


def the_agent_is_back(stack: Stack) -> str:
    """Asked with the credential of before: once the cluster is connected or not, it is refused, and by us."""
    connected = [line for line in stack.appliance.said if '"cluster.connected"' in line or "CCL002I" in line]
    answer = Door.of(stack.kubeconfig).ask("GET", "/api/v1/pods")
    return f"{answer.status} {answer.code}" if connected else ""


def what_was_made_is_there_and_on_record(stack: Stack, token: str, before: list[str], made: list[str]) -> None:
    """What was answered before the backup began is in it; whatever is in it, is on record in it."""
    roles = {role["name"] for role in listed(stack, "roles", token) if role["name"].startswith("role-")}
    assert set(before) <= roles <= {*made, f"role-{len(made)}"}
    assert len(roles) < len(made)
    records = done(stack.command("audit", "export"))
    named = {
        dict(record["details"]).get("role") or dict(record["details"]).get("name")
        for record in map(json.loads, records.splitlines())
        if record["type"] == "CRL001I"
    }
    assert roles <= named
