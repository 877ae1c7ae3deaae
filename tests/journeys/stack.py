"""An appliance, an agent and a toy cluster as separate programs that a test may kill, stop and start again.

They are started and set up as an operator would: settings files, `fairlead` commands, the admin API. What always
holds: each has a fixed port from its first start on, so that a kubeconfig and a bundle stay true; none outlives the
test.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import trio

from ops.demo import kubeconfig, ports, registration, settings
from ops.demo.admin import Appliance
from ops.demo.files import write_private
from ops.demo.kubeconfig import TokenFile, Upstream
from ops.demo.settings import Home
from tests.journeys.cable import Cable
from tests.journeys.door import Door
from tests.journeys.processes import eventually

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
COMMAND_SECONDS = 120.0  # for a command beside it, an audit of everything included
STOP_SECONDS = 40.0
DRAIN_SECONDS = 1


class Part:
    """One running `fairlead` command; what it says is kept."""

    def __init__(self, *arguments: str, inside: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*inside, sys.executable, "-m", "ops.demo.leash", *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(self.process.stdout)

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self) -> int:
        """Ask it to end, as a supervisor would."""
        self.process.terminate()
        try:
            return self._ended()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("it did not stop:\n" + "".join(self.said[-20:])) from None

    def kill(self) -> None:
        """End it without a word (kill -9)."""
        self.process.kill()
        self._ended()

    def _ended(self) -> int:
        code = self.process.wait(STOP_SECONDS)
        self._listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code


@dataclass
class Stack:
    """The three programs, what they are set up with, and the cable between agent and appliance."""

    home: Home
    lane: str
    cable: Cable
    settings: str = ""  # more sections of the appliance's settings
    host: str = ports.LOOPBACK  # where the appliance listens
    inside: Mapping[str, Sequence[str]] = field(default_factory=dict)  # what goes before a part's command
    toy: Part = field(init=False)
    appliance: Part = field(init=False)
    agent: Part = field(init=False)
    bound: ports.Ports = field(default_factory=lambda: ports.Ports(0, 0, 0))  # chosen at the first start
    toy_listen: str = f"{ports.LOOPBACK}:0"
    token: str = ""  # a machine's, for the admin API

    @property
    def kubeconfig(self) -> Path:
        return self.home.kubeconfig

    @property
    def door(self) -> Door:
        return Door.of(self.kubeconfig)

    def start_toy(self) -> None:
        url = self.home.toy / "url"
        url.unlink(missing_ok=True)
        words = ("--listen", self.toy_listen, "--dir", str(self.home.toy))
        self.toy = Part("toy-cluster", *words, inside=self.inside.get("toy", ()))
        eventually(url.exists, START_SECONDS, "the toy cluster's start")
        self.toy_listen = url.read_text().strip().removeprefix("https://")

    def start_appliance(self) -> None:
        self.home.bound_ports.unlink(missing_ok=True)
        file = self._appliance_settings()
        self.token = self.token or self.machine_token()  # before the first start, as a setup script would
        self.appliance = Part("serve", "--config", str(file), inside=self.inside.get("appliance", ()))
        bound = eventually(lambda: ports.read(self.home.bound_ports), START_SECONDS, "the appliance's start")
        assert bound is not None
        self.bound = bound
        self.cable.leads_to(bound.agents)

    def _appliance_settings(self) -> Path:
        file = self.home.root / "fairlead.toml"
        # Elsewhere than on this machine there is no cable between agent and appliance: the network is one.
        dialled = f"{ports.LOOPBACK}:{self.cable.port}" if self.host == ports.LOOPBACK else f"{self.host}:0"
        text = (
            f'public_url = "https://{self.host}:{self.bound.users}"\n'
            f"data_dir = {json.dumps(str(self.home.appliance))}\n"
            f'[users]\nlisten = "{self.host}:{self.bound.users}"\nlane = "{self.lane}"\n'
            f'[agents]\nlisten = "{self.host}:{self.bound.agents}"\nurl = "https://{dialled}"\n'
            f'[health]\nlisten = "{ports.LOOPBACK}:{self.bound.health}"\n'
            f'[limits]\ndrain_seconds = {DRAIN_SECONDS}\n[log]\nformat = "json"\naudit = "all"\n'
            f"{self.settings}"
        )
        write_private(file, text.encode())
        return file

    def command(self, *words: str | Path, check: bool = False) -> subprocess.CompletedProcess[str]:
        """A command on the appliance's host, running or not. `check`: it must succeed."""
        line = [sys.executable, "-m", "ops.cli.main", *map(str, words)]
        line += ["--config", str(self.home.root / "fairlead.toml")]
        return subprocess.run(
            line, cwd=REPOSITORY, capture_output=True, text=True, check=check, timeout=COMMAND_SECONDS
        )

    def machine_token(self, name: str = "journeys") -> str:
        """A token for the admin API, made beside the appliance."""
        self._appliance_settings()
        return self.command("machine-token", "--name", name, check=True).stdout.strip()

    def api(self, token: str | None = None) -> Appliance:
        """The admin API, as whoever holds the token."""
        authority = (self.home.appliance / "ca.pem").read_text()
        return Appliance(f"https://{self.host}:{self.bound.users}", authority, token or self.token)

    def start_agent(self) -> None:
        file = str(self.home.root / "agent.toml")
        self.agent = Part("agent", "--config", file, inside=self.inside.get("agent", ()))

    def set_up(self) -> None:
        """Register the cluster, start its agent, and write the kubeconfig once a request goes all the way."""
        appliance = self.api()
        authority = appliance.ca_pem

        async def register() -> tuple[registration.Registered, Mapping[str, Any]]:
            registered = await registration.register(appliance, "toy", "toy:admins")
            return registered, await registration.credential(appliance, registered)

        registered, issued = trio.run(register)
        write_private(self.home.bundle, json.dumps(registered.bundle).encode())
        credential = TokenFile(self.home.toy / "token")
        upstream = Upstream("toy", f"https://{self.toy_listen}", (self.home.toy / "ca.pem").read_bytes(), credential)
        file = settings.write_agent(self.home, upstream)
        with file.open("a") as more:
            more.write(f"drain_seconds = {DRAIN_SECONDS}\n")
        self.start_agent()
        content = kubeconfig.render(
            server=str(issued["server"]),
            token=str(issued["token"]),
            cluster="toy",
            person=registration.PERSON,
            ca_pem=authority,
        )
        write_private(self.kubeconfig, content)
        self.until_it_works()

    def mend(self) -> None:
        """Start again what an earlier test left broken, so that each test stands for itself."""
        self.cable.release()
        for part, start in (
            (self.toy, self.start_toy),
            (self.appliance, self.start_appliance),
            (self.agent, self.start_agent),
        ):
            if part.process.poll() is not None:
                part.kill()
                start()
        self.until_it_works()

    def works(self) -> bool:
        """Tell whether a request goes all the way."""
        try:
            return self.door.ask("GET", "/version").status == 200
        except OSError:
            return False

    def until_it_works(self, seconds: float = START_SECONDS) -> None:
        """Wait until a request goes all the way; what everybody said is shown if none does."""
        try:
            eventually(self.works, seconds, "a request going all the way")
        except AssertionError as failed:
            said = [f"{name}: {''.join(part.said[-8:])}" for name, part in self.parts().items()]
            raise AssertionError("\n".join([str(failed), *said])) from None

    def parts(self) -> dict[str, Part]:
        return {"toy": self.toy, "appliance": self.appliance, "agent": self.agent}


@contextmanager
def running_stack(
    directory: Path,
    lane: str = "express",
    settings: str = "",
    *,
    host: str = ports.LOOPBACK,
    inside: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[Stack]:
    """A stack that works. `host` and `inside`: where the appliance listens, and how each part is started there."""
    home = Home(directory / "home")
    home.make()
    with ExitStack() as ending:
        cable = ending.enter_context(Cable())
        stack = Stack(home, lane, cable, settings, host, inside)
        for start in (stack.start_toy, stack.start_appliance, stack.set_up):
            ending.callback(_end, stack, start.__name__)
            start()
        yield stack


def _end(stack: Stack, started_by: str) -> None:
    """Kill what is left: how the programs end is the subject of other tests."""
    name = {"start_toy": "toy", "start_appliance": "appliance", "set_up": "agent"}[started_by]
    part: Part | None = getattr(stack, name, None)
    if part is not None and part.process.returncode is None:
        part.kill()
