"""The credential plugin when it is called often, at once, after a refusal, and when nobody is signed in."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import kubectls
from tests.journeys.gatehouse import Gatehouse
from tests.journeys.laptop import Laptop, Ran, press
from tests.journeys.screen import Screen

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

AT_ONCE = 40
TOKEN = ("kube", "token", "--cluster", "toy")


@pytest.fixture
def laptop(house: Gatehouse, tmp_path: Path) -> Laptop:
    """Someone who has signed in and reaches the cluster."""
    house.bind_group("sailors")
    made = Laptop(house, tmp_path / "laptop")
    assert made.login(house.person("sailors")).code == 0
    assert made.run("kube", "login", "toy").code == 0
    return made


def issued(laptop: Laptop) -> list[dict[str, Any]]:
    """The plugin credentials this person has got, the latest first."""
    who = laptop.run("whoami", "-o", "name").out.strip()
    listed = laptop.house.call("GET", f"credentials?person={who}")["items"]
    return [it for it in listed if it["kind"] == "plugin"]


def kept(laptop: Laptop) -> Path:
    return next((laptop.kept / "credentials").rglob("current.json"))


def grown_old(laptop: Laptop, seconds: float = 30) -> str:
    """As if the kept credential had been got so long ago; returns its id."""
    document = json.loads(kept(laptop).read_text())
    document["began"] -= seconds
    kept(laptop).write_text(json.dumps(document))
    return str(document["id"])


def token_of(ran: Ran) -> str:
    document = ran.json()
    assert document["kind"] == "ExecCredential"
    return str(document["status"]["token"])


def test_forty_at_once_are_one_renewal(laptop: Laptop) -> None:
    """Also when the access token has to be renewed before."""
    kept(laptop).unlink()
    before = len(issued(laptop))
    session = next(it for it in (laptop.kept / "sessions").rglob("*.json"))
    session.write_text(json.dumps({**json.loads(session.read_text()), "access_until": 0}))
    with ThreadPoolExecutor(AT_ONCE) as people:
        answers = list(people.map(lambda _: laptop.run(*TOKEN), range(AT_ONCE)))
    assert len({token_of(it) for it in answers}) == 1
    assert len(issued(laptop)) == before + 1


def test_a_second_call_by_the_same_parent_means_a_refusal(laptop: Laptop) -> None:
    """We are the parent of each run; a shell in between is another one, each time."""
    first = token_of(laptop.run(*TOKEN))
    assert token_of(laptop.run(*TOKEN)) == first, "younger than ten seconds: another would be refused, too"
    grown_old(laptop)
    for _ in range(2):  # other parents
        shell = subprocess.run(
            ["sh", "-c", f"fairlead {' '.join(TOKEN)}; true"],
            env=laptop.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(shell.stdout)["status"]["token"] == first
    second = token_of(laptop.run(*TOKEN))
    assert second != first
    assert token_of(laptop.run(*TOKEN)) == second, "once in ten seconds"
    assert len(issued(laptop)) == 2


def test_a_revoked_credential_is_replaced_by_the_command_that_meets_it(laptop: Laptop) -> None:
    """With the oldest kubectl and the newest: one that makes several requests shows nothing of it on its output."""
    for kubectl in {str(it) for it in (kubectls()[0], kubectls()[-1])}:
        assert laptop.kubectl("get", "pods", "-n", "demo", "-o", "name").code == 0
        laptop.house.call("DELETE", f"credentials/{grown_old(laptop)}")
        shown = subprocess.run(
            [kubectl, "get", "pods", "-n", "demo", "-o", "name", f"--cache-dir={laptop.home}/{Path(kubectl).name}"],
            env=laptop.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (shown.returncode, shown.stdout.startswith("pod/")) == (0, True), shown


def test_a_clock_that_is_off_by_an_hour_changes_nothing(laptop: Laptop) -> None:
    """kubectl compares the expiry with this machine's clock, so it is said in its time. `faketime` is not needed: the
    kept times are all that is compared.
    """
    told = laptop.run(*TOKEN).json()["status"]["expirationTimestamp"]
    assert told.endswith("Z")
    grown_old(laptop, -3600)  # got "in an hour": this clock went back since
    again = laptop.run(*TOKEN)
    assert again.code == 0
    assert len(issued(laptop)) == 2


def test_a_session_that_ended(laptop: Laptop) -> None:
    """One sentence, by kubectl too, and the next runs do not ask the appliance again for ten seconds."""
    token_of(laptop.run(*TOKEN))
    me = laptop.run("whoami", "-o", "json").json()
    laptop.house.call("DELETE", f"sessions/{me['session']['id']}")
    kept(laptop).unlink()
    ended = laptop.run(*TOKEN)
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.splitlines()[0].startswith("fairlead: Your session has ended: ")
    assert ended.err.splitlines()[-1] == "  Next: fairlead login"
    told = next((laptop.kept / "credentials").rglob("refused.json"))
    refused = told.read_text()
    shown = laptop.kubectl("get", "pods", "-n", "demo")
    assert (shown.code, "fairlead login" in shown.err) == (1, True), shown
    assert told.read_text() == refused, "the appliance was not asked again"


def test_a_terminal_is_asked(laptop: Laptop) -> None:
    """kubectl lends its terminal: the plugin offers to sign in, and the command then does what it was for."""
    subject = laptop.run("whoami", "-o", "name").out.strip().partition("@")[0]
    me = laptop.run("whoami", "-o", "json").json()
    laptop.house.call("DELETE", f"sessions/{me['session']['id']}")
    surfer = laptop.house.surfer()
    laptop.house.sign_in(surfer, subject)
    kubectl = ("kubectl", "get", "pods", "-n", "demo", "-o", "name")
    browser = laptop.home / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {laptop.home}/asked\n')
    browser.chmod(0o700)
    laptop.extra["BROWSER"] = str(browser)
    kept(laptop).unlink()
    with Screen(kubectl, laptop.environment) as screen:
        screen.keys("", r"Sign in now\? \[Y/n\] ")
        url = screen.keys("y\n", r"https://\S+/authorize\?\S+\s")
        from urllib.request import urlopen

        callback = press(surfer, surfer.follow(url.rpartition("\n")[2].strip()))
        with urlopen(callback, timeout=20) as answer:
            assert answer.status == 200
        screen.expect(r"pod/\S+")
