"""To which appliance a sign-in goes, and what of a person's things `config clean` takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.cli import faults, keeping, login, patience, places, plugin
from ops.cli.faults import Fault
from ops.cli.keeping import Kept
from ops.cli.profiles import Book, Profile
from ops.cli.renewal import renew
from ops.cli.settings_here import config
from ops.cli.transport import Transport
from tests.ops.cli.test_transport import certified, listening, speaking
from tests.support.certificates import TestCA


def test_a_profile_called_like_another_appliance_is_not_taken_for_it() -> None:
    """Its sessions would be shown to the other one."""
    named = Book().with_profile(Profile("b.example.com", "https://a.example.com", account="ann"))
    with pytest.raises(Fault, match=r"profile b\.example\.com is of https://a"):
        login._profile(named, "https://b.example.com", None)


@pytest.mark.parametrize("there", ["file:///etc/passwd", "https://elsewhere.example.com/", "URL.elsewhere/x", None])
def test_an_appliance_that_sends_the_browser_elsewhere(tmp_path: Path, there: str | None) -> None:
    ca = TestCA.make()
    context = certified(ca, tmp_path, -1, 1)
    said: list[bytes] = []
    with listening(lambda it: speaking(context, said[0])(it)) as url:
        leads = {"authorization_endpoint": there and there.replace("URL", url), "issuer": url}
        body = json.dumps({**leads, "device_authorization_endpoint": f"{url}/x"}).encode()
        said.append(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        with closing(Transport(url, ca.pem)) as transport, pytest.raises(Fault, match="leads elsewhere"):
            login.described(Profile("x", url), transport)


def test_a_renewal_whose_answer_was_lost_is_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(places.HOME_VARIABLE, str(tmp_path / "home"))
    monkeypatch.setenv(keeping.KEYRING_VARIABLE, "off")
    ca = TestCA.make()
    context = certified(ca, tmp_path, -1, 1)
    body = json.dumps({"access_token": "fla_2", "refresh_token": "flr_2", "expires_in": 900}).encode()
    answers = [b"", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)]
    with listening(lambda it: speaking(context, answers.pop(0))(it)) as url:
        keeping.save("x", Kept("ann", "", "", "fla_1", 0.0, 0.0, "flr_1"))
        with closing(Transport(url, ca.pem)) as transport:
            assert renew(Profile("x", url), "ann", transport, "fla_1").refresh_token == "flr_2"
    kept = keeping.load("x", "ann")
    assert (kept and kept.access_token, answers) == ("fla_2", [])


def test_the_plugin_says_what_is_wrong_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    ran = subprocess.run(
        [sys.executable, "-m", "ops.cli.main", "kube", "token", "--profile", "x", "--cluster", "y"],
        env={**os.environ, places.HOME_VARIABLE: str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"fairlead: {tmp_path}/config.json: Is a directory.\n"


def test_what_an_appliance_says_of_a_refusal_moves_no_cursor() -> None:
    said = {"detail": "No.\x1b[2J", "code": "\x1b[2J", "correlation_id": "1\x1b]0;x\x07"}
    assert "\x1b" not in faults.told(faults.refused(403, said))


def test_cleaning_leaves_what_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody made their own directory the command's."""
    monkeypatch.setenv(places.HOME_VARIABLE, str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("precious")
    ran = CliRunner().invoke(config, ["clean", "--yes"])
    assert (ran.exit_code, "chapter" in ran.output) == (0, False)
    places.write(str(tmp_path / "config.json"), {})
    places.write(str(tmp_path / "sessions" / "x" / "ann.json"), {})
    ran = CliRunner().invoke(config, ["clean", "--yes"])
    assert (ran.exit_code, "ann.json" in ran.output, "chapter" in ran.output) == (0, True, False), ran.output
    assert [it.name for it in tmp_path.iterdir()] == ["thesis"]
    assert (tmp_path / "thesis" / "chapter").read_text() == "precious"


def test_a_signal_waits_for_who_holds_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread of ours takes it instead, and so gives it to the main one."""
    masks: list[set[signal.Signals | int]] = []

    def told(_: str, over: threading.Event) -> None:
        masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        over.wait(20)

    monkeypatch.setattr(patience, "_tell", told)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with patience.patience("Reading"):
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= masks[0]


def test_who_is_named_by_the_environment_gets_their_own_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRLEAD_CLI_ACCOUNT", "admin")
    assert plugin.account_of({}) == "admin"
    assert plugin.account_of({"--account": "ann"}) == "ann"
