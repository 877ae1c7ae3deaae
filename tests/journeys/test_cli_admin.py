"""The administrator's half of the command, as it is typed: scripts against a running appliance.

`ann` administers everything, `ben` is an ordinary user (of the group staff at the provider), `root` is a machine with
the administrator's role, `nobody` never signed in. Each script in `scripts/` stands by itself.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.request import urlopen

import pytest

from ops.demo import ports
from ops.demo.files import write_private
from tests.journeys.gatehouse import Gatehouse, running_gatehouse
from tests.journeys.processes import eventually
from tests.journeys.stack import Part
from tests.support.missing import need
from tests.support.scripts import Script

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

SCRIPTS = Path(__file__).parent / "scripts"
PEOPLE = {"ann": [], "ben": ["staff"]}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    """An appliance of our own: what it holds is known to the letter."""
    need("node")
    with running_gatehouse(tmp_path_factory.mktemp("administered")) as made:
        yield made


@pytest.fixture(scope="module")
def environments(house: Gatehouse, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, str]]:
    """Of everybody who types."""
    home = tmp_path_factory.mktemp("people")
    ca = house.stack.home.appliance / "ca.pem"
    bare = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "FAIRLEAD_CLI_KEYRING": "off",
    }
    found = {name: {**bare, "FAIRLEAD_CLI_HOME": str(home / name)} for name in (*PEOPLE, "nobody")}
    for name, groups in PEOPLE.items():
        email = f"{name}@example.com"
        house.provider.knows(name, {"email": email, "email_verified": True, "groups": groups})
        signed_in(house, name, found[name], ca)
    token = home / "root.token"
    token.write_text(house.stack.token)
    machine = {"FAIRLEAD_CLI_TOKEN_FILE": str(token), "FAIRLEAD_CLI_SERVER": house.url, "FAIRLEAD_CLI_CA": str(ca)}
    found["root"] = {**bare, **machine}
    administer(house, "ann@example.com")
    return found


def signed_in(house: Gatehouse, subject: str, environment: Mapping[str, str], ca: Path) -> None:
    """`fairlead login`, beside a browser that goes through the provider and presses the button."""
    surfer = house.surfer()
    house.sign_in(surfer, subject)
    command = [sys.executable, "-m", "ops.cli.main", "login", house.url, "--ca", str(ca), "--no-browser"]
    with subprocess.Popen(command, env=dict(environment), stderr=subprocess.PIPE, text=True) as asking:
        assert asking.stderr is not None
        page = surfer.follow(next(it.strip() for it in asking.stderr if "/fairlead/authorize" in it))
        action, fields = page.form()
        with urlopen(surfer.go(action, fields | {"answer": "yes"}).location) as answer:
            assert answer.status == 200
        told = asking.stderr.read()
        assert asking.wait(60) == 0, told


def administer(house: Gatehouse, name: str) -> None:
    """The administrator's role, as a setup code gives it."""
    roles = house.call("GET", "roles")["items"]
    person = next(it for it in house.call("GET", "people")["items"] if it["name"] == name)
    role = next(it for it in roles if it["name"] == "fairlead-administrator")
    subject = {"kind": "person", "id": person["id"]}
    house.call("POST", "bindings", {"subject": subject, "role_id": role["id"], "scope": {"kind": "everywhere"}})


@pytest.mark.parametrize("script", sorted(it.name for it in SCRIPTS.glob("*.txt")))
def test_script(script: str, house: Gatehouse, environments: Mapping[str, Mapping[str, str]], tmp_path: Path) -> None:
    Script(tmp_path, environments, f"{ports.LOOPBACK}:{house.stack.bound.users}").check(SCRIPTS / script)


def test_following_the_trail(house: Gatehouse, environments: Mapping[str, Mapping[str, str]]) -> None:
    """What happens is shown, whatever happens to the appliance; reading on leaves no record each second."""
    words = ("audit", "tail", "-f", "--lines", "1", "--code", "CCL001I", "-o", "json")
    command = [sys.executable, "-m", "ops.cli.main", *words]
    house.call("POST", "clusters", {"name": "before"})
    with subprocess.Popen(command, env=dict(environments["ann"]), stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        told = (json.loads(line) for line in following.stdout)
        assert next(told)["cluster"] == "before"
        for name in ("followed", "next"):
            house.call("POST", "clusters", {"name": name})
            assert next(told)["cluster"] == name
            house.stack.appliance.kill()
            house.stack.start_appliance()
        following.send_signal(signal.SIGINT)
        assert following.wait(60) == 130
    eventually(lambda: house.call("GET", "clusters/toy")["connected"], 30, "the agent's coming back")
    filters = [it["details"].get("filters", "") for it in house.call("GET", "audit?type=CSY012I")["items"]]
    assert 1 <= sum("follow=true" in it for it in filters) <= 3, "one for each time that the appliance was started"
    for name in ("before", "followed", "next"):
        house.call("DELETE", f"clusters/{name}")


def test_a_terminal_is_asked(environments: Mapping[str, Mapping[str, str]], house: Gatehouse) -> None:
    """Whoever sits at a terminal says yes or no to what cannot be taken back."""
    house.call("POST", "clusters", {"name": "doomed"})
    words = ("clusters", "delete", "doomed")
    for answer, code, said in (("n\n", 1, "Nothing was changed"), ("\n", 1, "Nothing"), ("y\n", 0, "Deleted cluster")):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "ops.cli.main", *words],
            env=dict(environments["ann"]),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as asking:
            os.write(ours, answer.encode())
            text, _ = asking.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        assert (asking.returncode, said in text, "Delete cluster doomed (" in text) == (code, True, True), text


def test_what_registering_says_works(
    house: Gatehouse, environments: Mapping[str, Mapping[str, str]], tmp_path: Path
) -> None:
    """A cluster is registered, its agent started from the bundle, seen, and cut off."""
    command = [sys.executable, "-m", "ops.cli.main", "clusters"]

    def said(*words: str) -> str:
        done = subprocess.run(
            [*command, *words], env=dict(environments["ann"]), capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    bundle = tmp_path / "bundle.json"
    said("register", "installed", "--bundle-out", str(bundle))
    given = (house.stack.home.root / "agent.toml").read_text().splitlines()
    mine = [it for it in given if not it.startswith(("bundle", "data_dir"))]
    settings = tmp_path / "agent.toml"
    write_private(settings, "\n".join([f'data_dir = "{tmp_path / "data"}"', *mine, ""]).encode())
    agent = Part("agent", "--bootstrap", str(bundle), "--config", str(settings))
    try:
        eventually(lambda: "installed\n" in said("list", "--state", "connected", "-o", "name"), 30, "its agent")
        assert "connected" in said("show", "installed")
        said("revoke-agent", "installed", "--yes", "--bundle-out", str(tmp_path / "next.json"))
        eventually(lambda: "installed\n" not in said("list", "--state", "connected", "-o", "name"), 30, "its end")
    finally:
        agent.kill()
        said("delete", "installed", "--yes")


def test_a_terminal_has_colours_and_an_edge(environments: Mapping[str, Mapping[str, str]]) -> None:
    """Tables fit the terminal and are coloured there, unless somebody says no."""
    command = [sys.executable, "-m", "ops.cli.main", "clusters", "list", "-o", "wide"]
    shown = {}
    for name, more in (("usual", []), ("plain", ["--no-color"])):
        ours, theirs = pty.openpty()
        narrow = {**environments["ann"], "COLUMNS": "70", "TERM": "xterm"}
        subprocess.run([*command, *more], env=narrow, stdout=theirs, timeout=60, check=True)
        shown[name] = os.read(ours, 65536).decode().replace("\r\n", "\n")
        os.close(ours)
        os.close(theirs)
    assert "\x1b[32mconnected\x1b[0m" in shown["usual"]
    assert "\x1b" not in shown["plain"]
    words = {name: re.sub(r"\x1b\[\d+m|\d+s", "", text).split() for name, text in shown.items()}
    assert words["usual"] == words["plain"]
