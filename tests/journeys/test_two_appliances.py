"""Two appliances on one PostgreSQL: rivals' calls meet in the database, records are kept once, keys change for both."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from ops.demo import ports
from ops.demo.admin import ApiError, Appliance
from ops.demo.files import write_private
from ops.demo.settings import Home
from tests.journeys.cable import Cable
from tests.journeys.processes import eventually
from tests.journeys.stack import START_SECONDS, STOP_SECONDS, Part, Stack, running_stack
from tests.support.postgres import PostgresServer, cluster

ROUNDS = 6  # who begins first changes with each
SEEN_SECONDS = 5.0  # what one has written, the other knows within one; a busy machine takes longer
NO_RULES = [{"verbs": ["none"], "apiGroups": [""], "resources": ["none"]}]


@dataclass
class Pair:
    """A whole stack, and a second appliance that reaches the database through a cable."""

    stack: Stack
    cable: Cable
    file: Path  # the second one's settings
    home: Home
    other: Part

    def start_other(self) -> None:
        self.home.bound_ports.unlink(missing_ok=True)
        self.other = Part("serve", "--config", str(self.file))
        eventually(lambda: ports.read(self.home.bound_ports), START_SECONDS, "the second appliance's start")

    @property
    def apis(self) -> tuple[Appliance, Appliance]:
        """Both, as the same administrator."""
        bound = ports.read(self.home.bound_ports)
        assert bound is not None
        authority = (self.home.appliance / "ca.pem").read_text()
        return self.stack.api(), Appliance(f"https://{ports.LOOPBACK}:{bound.users}", authority, self.stack.token)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return trio.run(self.apis[0].call, method, path, body)

    def race(self, turn: int, *rivals: Callable[[Appliance], Any]) -> list[Any]:
        """Both at once, each at an appliance of its own: what came of it, the answer or the code of the refusal."""
        came: list[Any] = [None, None]
        start = threading.Barrier(2)

        def run(which: int) -> None:
            start.wait()
            try:
                came[which] = rivals[which](self.apis[(which + turn) % 2])
            except ApiError as error:
                came[which] = error.code

        threads = [threading.Thread(target=run, args=(which,)) for which in (turn % 2, 1 - turn % 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return came

    def both_see(self, path: str) -> list[dict[str, Any]]:
        """A list, once both appliances hold the same; whether a cluster is connected, each says for itself."""
        found: list[dict[str, Any]] = []

        def alike() -> bool:
            nonlocal found
            found, other = (trio.run(it.call, "GET", path)["items"] for it in self.apis)
            return {it["id"] for it in found} == {it["id"] for it in other}

        eventually(alike, SEEN_SECONDS, f"the same {path} at both")
        return found


def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Callable[[Appliance], Any]:
    return lambda api: trio.run(api.call, method, path, body)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, server: PostgresServer) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("stack")
    url, far_url, key = (directory / name for name in ("url", "far-url", "key"))
    home = Home(directory / "second")
    home.make()
    near = server.url(server.fresh())
    write_private(url, near.encode())
    write_private(key, base64.b64encode(os.urandom(32)))
    with Cable() as cable, running_stack(directory, settings=store(url, key)) as stack:
        cable.leads_to(server.port)
        write_private(far_url, near.replace(f":{server.port}/", f":{cable.port}/").encode())
        file = home.root / "fairlead.toml"
        anywhere = f'"{ports.LOOPBACK}:0"'
        listen = "".join(f"[{it}]\nlisten = {anywhere}\n" for it in ("users", "agents", "health"))
        text = (
            f'public_url = "https://{ports.LOOPBACK}:0"\ndata_dir = "{home.appliance}"\n{listen}{store(far_url, key)}'
        )
        write_private(file, text.encode())
        made = Pair(stack, cable, file, home, stack.appliance)
        made.start_other()
        try:
            yield made
        finally:
            if made.other.process.returncode is None:
                made.other.kill()


def store(url: Path, key: Path) -> str:
    return f'[store]\nurl_file = "{url}"\nmaster_key = "{key}"\n'


def test_of_two_registrations_of_one_name_one_is_there(pair: Pair, unique: str) -> None:
    for turn in range(ROUNDS):
        name = f"{unique}-{turn}"
        came = pair.race(turn, *[ask("POST", "clusters", {"name": name})] * 2)
        assert "DUPLICATE_CLUSTER_NAME" in came
        (made,) = (it for it in came if it != "DUPLICATE_CLUSTER_NAME")
        assert [it["id"] for it in pair.both_see("clusters") if it["name"] == name] == [made["id"]]


def test_of_two_approvals_one_grants(pair: Pair, unique: str) -> None:
    approvers = []
    for number in range(2):
        machine = pair.call("POST", "machines", {"name": f"{unique}-{number}"})
        role = pair.call(
            "POST", "roles", {"name": machine["name"], "permissions": ["access:approve"], "rules": NO_RULES}
        )
        subject = {"kind": "machine", "id": machine["id"]}
        pair.call("POST", "bindings", {"subject": subject, "role_id": role["id"], "scope": {"kind": "everywhere"}})
        approvers.append(machine["token"])
    person = {"issuer": "https://login.example.com", "subject": unique, "name": f"{unique}@example.com"}
    asker = pair.call("POST", "people", person)
    role = pair.call("POST", "roles", {"name": unique, "groups": ["viewers"]})
    body = {"role_id": role["id"], "scope": {"kind": "everywhere"}, "askers": [{"kind": "person", "id": asker["id"]}]}
    policy = pair.call("POST", "request-policies", body)
    for turn in range(ROUNDS):
        request = pair.call(
            "POST", f"people/{asker['id']}/access-requests", {"policy_id": policy["id"], "ttl_seconds": 60}
        )
        pair.both_see("access-requests")
        pair.both_see("machines")

        def approve(token: str, path: str = f"access-requests/{request['id']}/approve") -> Callable[[Appliance], Any]:
            return lambda api: trio.run(Appliance(api.url, api.ca_pem, token).call, "POST", path, {})

        came = pair.race(turn, approve(approvers[0]), approve(approvers[1]))
        assert came.count("REQUEST_NOT_PENDING") == 1
        mine = [it for it in pair.both_see("bindings") if it.get("request_id") == request["id"]]
        assert len(mine) == 1
        pair.call("POST", f"access-requests/{request['id']}/revoke", {})


def test_a_role_deleted_while_it_is_bound_is_either_bound_or_gone(pair: Pair, unique: str) -> None:
    person = {"issuer": "https://login.example.com", "subject": unique, "name": f"{unique}@example.com"}
    subject = {"kind": "person", "id": pair.call("POST", "people", person)["id"]}
    for turn in range(ROUNDS):
        role = pair.call("POST", "roles", {"name": f"{unique}-{turn}", "groups": ["viewers"]})
        pair.both_see("roles")
        pair.both_see("people")
        body = {"subject": subject, "role_id": role["id"], "scope": {"kind": "everywhere"}}
        bound, gone = pair.race(turn, ask("POST", "bindings", body), ask("DELETE", f"roles/{role['id']}"))
        there = role["id"] in {it["id"] for it in pair.both_see("roles")}
        bindings = [it["id"] for it in pair.both_see("bindings") if it["role_id"] == role["id"]]
        if gone == "ROLE_IN_USE":
            assert there
            assert bindings == [bound["id"]]
        else:
            assert (gone, bound) == (None, "ROLE_NOT_FOUND")
            assert not there
            assert not bindings


def test_a_machine_made_on_the_host_is_recorded_once(pair: Pair, unique: str) -> None:
    pair.stack.machine_token(unique)
    assert unique in {it["name"] for it in pair.both_see("machines")}
    for number, api in enumerate(pair.apis):  # what either would have had to say of it comes before this
        trio.run(api.call, "POST", "machines", {"name": f"{unique}-{number}"})
    made = pair.call("GET", "audit?type=CUA007I&limit=500")["items"]
    assert [it["actor"] for it in made if it["details"]["machine"] == unique] == ["host"]
    assert pair.stack.command("audit", "verify").returncode == 0


def test_keys_are_replaced_while_no_appliance_runs_and_one_that_was_cut_off_finds_out(pair: Pair) -> None:
    stack = pair.stack

    def refused() -> None:
        done = stack.command("keys", "rotate")
        assert (done.returncode, done.stdout) == (1, "")
        assert "stop" in done.stderr

    refused()  # both run
    assert stack.appliance.stop() == 0
    refused()  # one of them, on another host
    pair.cable.hold()
    pair.cable.pull()
    said = eventually(lambda: rotated(stack), SEEN_SECONDS, "PostgreSQL missing the one that was cut off")
    assert "will be signed with key" in said
    pair.cable.release()
    assert pair.other.process.wait(STOP_SECONDS) == 1
    pair.other.stop()
    assert "keys for credentials were replaced" in pair.other.said[-1]

    stack.start_appliance()
    pair.start_other()
    stack.until_it_works()  # with the kubeconfig of before
    assert {it["type"] for it in pair.call("GET", "audit?limit=100")["items"]} >= {"CSY010I"}


def rotated(stack: Stack) -> str:
    done = stack.command("keys", "rotate")
    assert done.returncode == 0, done.stderr
    return done.stdout
