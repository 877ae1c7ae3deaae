"""A day with the command: sign in, reach a cluster with plain kubectl, look around, sign out."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from tests.journeys.gatehouse import Gatehouse
from tests.journeys.laptop import Laptop, finished, press, shown_url
from tests.journeys.processes import eventually
from tests.journeys.screen import Screen
from tests.support.browser import Browser

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]


@pytest.fixture
def laptop(house: Gatehouse, tmp_path: Path) -> Laptop:
    house.bind_group("sailors")
    return Laptop(house, tmp_path / "laptop")


def private(directory: Path) -> bool:
    """Whether nobody else can read anything there."""
    return all(stat.S_IMODE(it.stat().st_mode) & 0o077 == 0 for it in (directory, *directory.rglob("*")))


def test_a_day(laptop: Laptop, window: Browser) -> None:
    """With a real browser: nothing before, everything works in between, nothing left behind."""
    house, subject = laptop.house, laptop.house.person("sailors")
    who = f"{subject}@example.com"
    assert laptop.run("kube", "ls").code == 3
    window.forget()
    process = laptop.start("login", house.url, "--ca", str(laptop.ca), "--no-browser")
    window.go(shown_url(process))
    window.click("a.button")
    window.type("input[name=login]", subject)
    window.type("input[name=password]", "any")
    window.click("button[type=submit]")
    eventually(lambda: "Authorize" in window.text(), what="the provider's question")
    window.click("button[type=submit]")
    eventually(lambda: "on this computer?" in window.text(), what="our own question")
    window.click("button[value=yes]")
    eventually(lambda: "Back to the terminal" in window.text(), what="the command's own page")
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, f"You are signed in to {house.url} as {who}.\n"), err
    assert private(laptop.kept)
    again = laptop.run("login")
    assert (again.code, "You are signed in" in again.out) == (0, True)

    assert laptop.run("kube", "ls").out.splitlines()[1].split() == ["toy", "connected", "all", "-"]
    made = laptop.run("kube", "login", "toy")
    assert (made.code, made.out) == (
        0,
        f"The context fairlead-toy is in {laptop.kubeconfig}, and is the current one.\n",
    )
    assert laptop.kubectl("get", "pods", "-n", "demo", "-o", "name").out.startswith("pod/")
    assert laptop.kubectl("auth", "whoami", "-o", "json").json()["status"]["userInfo"]["username"] == who
    assert stat.S_IMODE(laptop.kubeconfig.stat().st_mode) == 0o600

    me = laptop.run("whoami", "-o", "json").json()
    assert (me["name"], me["groups"], me["clusters"], me["server"]) == (who, ["sailors"], ["toy"], house.url)
    told = laptop.run("status", "-o", "json").json()
    assert (told["account"], [it["name"] for it in told["clusters"]]) == (who, ["toy"])
    checks = laptop.run("doctor", "toy", "-o", "json").json()["items"]
    assert {it["check"]: it["state"] for it in checks} == {
        **dict.fromkeys(("configuration", "name", "connection", "certificate", "appliance", "clock"), "ok"),
        **dict.fromkeys(("sign-in", "session", "kubeconfig", "clusters", "tunnel"), "ok"),
    }
    assert laptop.run("accounts", "ls", "-o", "name").out == f"{who}\n"
    assert laptop.run("profiles", "current", "-o", "name").out == f"127.0.0.1:{house.stack.bound.users}\n"
    assert laptop.run("config", "path").out == f"{laptop.kept}\n"

    door_opener = laptop.run("kube", "token", "--cluster", "toy").json()["status"]["token"]
    ended = laptop.run("logout")
    assert (ended.code, ended.out.splitlines()) == (
        0,
        [f"{who} is signed out of {house.url}.", "The context fairlead-toy is removed from your kubeconfig."],
    )
    issued = {"server": f"{house.url}/api/proxy/toy", "token": door_opener}
    assert house.door(issued).ask("GET", "/version").code == "CREDENTIAL_REVOKED"
    assert laptop.run("whoami").code == 3
    assert not [it for it in laptop.kept.rglob("*.json") if it.name != "config.json"]
    assert house.recorded("CUA014I", actor=who), "that the session ended is on record"


def test_a_machine_without_a_browser(laptop: Laptop) -> None:
    """It shows a code, and waits as long as it is told."""
    subject = laptop.house.person("sailors")
    process = laptop.start("login", laptop.house.url, "--ca", str(laptop.ca), "--device")
    assert process.stderr is not None
    code = next(found[1] for line in process.stderr if (found := re.search(r"type the code  (\S+)", line)))
    surfer = laptop.house.surfer()
    laptop.house.sign_in(surfer, subject)
    action, fields = surfer.go(f"{laptop.house.url}/fairlead/device?code={code}").form()
    surfer.go(action, fields | {"answer": "yes"})
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, f"You are signed in to {laptop.house.url} as {subject}@example.com.\n"), err


def test_a_no_in_the_browser(laptop: Laptop) -> None:
    surfer = laptop.house.surfer()
    laptop.house.sign_in(surfer, laptop.house.person("sailors"))
    process = laptop.start("login", laptop.house.url, "--ca", str(laptop.ca), "--no-browser")
    ended = finished(process, press(surfer, surfer.follow(shown_url(process)), "no"))
    assert (ended.code, ended.err.splitlines()[-1]) == (4, "fairlead: The sign-in was refused in the browser.")
    assert laptop.run("whoami").code == 3


def test_the_first_administrator(laptop: Laptop) -> None:
    """A setup code and no browser: someone who may do everything for some hours. The code is good once."""
    code = laptop.house.setup_code()
    login = ("login", laptop.house.url, "--ca", str(laptop.ca), "--setup-code")
    came = laptop.run(*login, stdin=f"{code}\n")
    assert (came.code, " as fairlead:administrator-" in came.out) == (0, True), came
    assert "roles:escalate" in laptop.run("whoami", "-o", "json").json()["permissions"]
    spent = laptop.run(*login, stdin=f"{code}\n")
    assert (spent.code, "SETUP_CODE_REFUSED" in spent.err) == (4, True)
    assert code not in spent.err


def test_several_accounts_and_appliances(laptop: Laptop) -> None:
    """Two people on one machine: one is in use, kubectl follows, and a stranger is sent away again."""
    house, kubectl_who = laptop.house, ("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    one, other = (f"{it}@example.com" for it in (house.person("sailors"), house.person("sailors")))
    assert laptop.login(one.partition("@")[0]).code == 0
    assert laptop.run("kube", "login", "toy").code == 0
    assert laptop.kubectl(*kubectl_who).out == one
    wrong = laptop.login(other.partition("@")[0], "--account", "somebody@example.com")
    assert (wrong.code, f"You signed in as {other}, not as somebody@example.com" in wrong.err) == (4, True)
    assert laptop.run("accounts", "ls", "-o", "name").out == f"{one}\n"
    assert laptop.login(other.partition("@")[0], "--account", other).code == 0
    assert laptop.kubectl(*kubectl_who).out == other
    assert laptop.run("accounts", "use", one).code == 0
    assert laptop.kubectl(*kubectl_who).out == one
    listed = laptop.run("accounts", "ls", "-o", "json").json()["items"]
    assert {it["name"]: it["in_use"] for it in listed} == {one: True, other: False}
    assert laptop.run("accounts", "remove", other).code == 0
    assert laptop.run("accounts", "use", other).code == 5
    assert laptop.run("profiles", "create", "elsewhere", "https://elsewhere.example.com").code == 0
    assert laptop.run("profiles", "use", "elsewhere").code == 0
    assert laptop.run("whoami").code == 3
    assert laptop.kubectl(*kubectl_who).out == one, "a kubeconfig names its profile"
    usual = f"127.0.0.1:{house.stack.bound.users}"
    assert laptop.run("whoami", "--profile", usual, "-o", "name").out == f"{one}\n"
    assert laptop.run("profiles", "delete", "elsewhere").code == 0
    assert sorted(json.loads((laptop.kept / "config.json").read_text())["profiles"]) == [usual]
    wished = laptop.run("config", "clean", "--dry-run").out
    assert f"session  {one}" in wished
    assert laptop.run("whoami", "--profile", usual).code == 0
    assert laptop.run("config", "clean").code == 2, "nobody can be asked"
    assert laptop.run("config", "clean", "--yes").code == 0
    assert not laptop.kept.exists()
    assert "fairlead" not in laptop.kubeconfig.read_text()


def test_a_terminal(laptop: Laptop) -> None:
    """A setup code is typed and not seen; what cannot be taken back is asked about."""
    code = laptop.house.setup_code()
    login = ["fairlead", "login", laptop.house.url, "--ca", str(laptop.ca), "--setup-code"]
    with Screen(login, laptop.environment, columns=200) as screen:
        screen.expect("Setup code: ")
        said = screen.keys(f"{code}\n", r"You are signed in to \S+ as fairlead:administrator-\w+\.")
        assert code not in said
        assert screen.exit_code() == 0
    with Screen(["fairlead", "config", "clean"], laptop.environment, columns=200) as screen:
        screen.expect(r"Remove all of this\? \[y/N\] ")
        screen.keys("n\n", r"Nothing was changed\.")
        assert screen.exit_code() == 1
    assert laptop.run("whoami").code == 0
