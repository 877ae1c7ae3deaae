"""A person's machine: the `fairlead` command as its user runs it, with a home, a kubeconfig and a browser of its own.

Each run is a process from outside. The browser is either a real one (the test drives it to the URL the command shows)
or a `Surfer` that goes through the same pages.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.journeys.gatehouse import Gatehouse
from tests.support.surfer import Seen, Surfer

RUN_SECONDS = 60.0
BIN = Path(sys.executable).parent
URL = re.compile(r"https://\S+/fairlead/authorize\?\S+")


@dataclass(frozen=True)
class Ran:
    """How one run ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self
        return json.loads(self.out)


@dataclass
class Laptop:
    """`home` holds everything of this person."""

    house: Gatehouse
    home: Path
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"

    @property
    def ca(self) -> Path:
        return self.house.stack.home.appliance / "ca.pem"

    @property
    def kept(self) -> Path:
        return self.home / "fairlead"

    @property
    def environment(self) -> dict[str, str]:
        """Of every program that runs here; `extra` last."""
        usual = {name: value for name, value in os.environ.items() if not name.startswith(("FAIRLEAD_", "KUBE"))}
        ours = {
            "HOME": str(self.home),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "KUBECONFIG": str(self.kubeconfig),
            "FAIRLEAD_CLI_HOME": str(self.kept),
            "FAIRLEAD_CLI_KEYRING": "off",
            "NO_COLOR": "1",
        }
        return {**usual, **ours, **self.extra}

    def run(self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None) -> Ran:
        """One run to its end."""
        done = subprocess.run(
            ["fairlead", *arguments],
            env={**self.environment, **(environment or {})},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One that waits for its user; what it says on standard error is read line by line."""
        return subprocess.Popen(
            ["fairlead", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=listen_to_ctrl_c,
        )

    def login(self, subject: str, *arguments: str) -> Ran:
        """Beside a browser, signed in at the provider as `subject`, that is led by the URL the command shows."""
        surfer = self.house.surfer()
        self.house.sign_in(surfer, subject)
        process = self.start("login", self.house.url, "--ca", str(self.ca), "--no-browser", *arguments)
        try:
            page = surfer.follow(shown_url(process))
            if "/fairlead/sign-in?" in page.url:  # it asks for whoever it may be
                page = surfer.follow(self.house.to_callback(surfer, subject, page.query["next"]).location)
            return finished(process, press(surfer, page))
        finally:
            process.kill()
            process.communicate()

    def kubectl(self, *arguments: str) -> Ran:
        done = subprocess.run(
            ["kubectl", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


def listen_to_ctrl_c() -> None:
    """As at a terminal: what runs in a script's background is started deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def shown_url(process: subprocess.Popen[str]) -> str:
    """The page that the command asks to be opened."""
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        found = URL.search(line)
        if found:
            return found[0]
    raise AssertionError("".join(said))


def press(surfer: Surfer, page: Seen, answer: str = "yes") -> str:
    """Press the button on our page; where the browser is then sent."""
    action, fields = page.form()
    return surfer.go(action, fields | {"answer": answer}).location


def finished(process: subprocess.Popen[str], callback: str) -> Ran:
    """Bring the command what the browser got, and see how it ends."""
    import urllib.request

    with urllib.request.urlopen(callback, timeout=RUN_SECONDS) as answer:  # http, on this machine's loopback
        assert b"Back to the terminal" in answer.read()
    out, err = process.communicate(timeout=RUN_SECONDS)
    return Ran(process.returncode, out, err)
