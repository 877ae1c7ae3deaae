"""Fairlead as its operator runs it: `fairlead serve` and `fairlead agent`, registered through the admin API.

The same commands, settings files and calls as `fairlead demo`, with another upstream in place of the cluster.
Authentication, admission, decision and audit are on as shipped; only the limits of one person are raised by their
settings, because here one person asks thousands of times a second. What always holds: tokens are in files of mode 0600
in the run's own directory, never in a command line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import trio

from benchmarks.nginx import SMALL_PATH
from benchmarks.processes import START_SECONDS, Part, PartFailedError, running, tail, until
from benchmarks.wrk import Load
from ops.demo import ports, registration
from ops.demo.admin import Appliance
from ops.demo.files import write_private

GROUP = "benchmark:viewers"
POLL_SECONDS = 0.05
WATCHED_FILE = "BENCHMARK_WATCHED_FILE"
"""Environment variable: where a command run by benchmarks.launch writes what it saw. Others do not know it."""

AS_SHIPPED = "ops.demo.leash"
"""The module that runs the command. benchmarks.launch names others."""

_APPLIANCE = """
public_url = "https://{host}:0"
data_dir = "{home}/appliance"
[users]
listen = "{host}:{users}"
lane = "{lane}"
[agents]
listen = "{host}:{agents}"
url = "{agents_url}"
[health]
listen = "127.0.0.1:0"
[limits]
drain_seconds = 1
requests_per_second = 1000000
request_burst = 1000000
open_exchanges = 2048
[log]
level = "warning"
format = "json"
"""

_AGENT = """
bundle = "{home}/bundle.json"
data_dir = "{home}/agent"
upstream_url = "{upstream}"
upstream_ca = "{home}/upstream-ca.pem"
upstream_token_file = "{home}/upstream-token"
health_listen = "127.0.0.1:0"
drain_seconds = 1
"""


class Upstream(Protocol):
    """What stands for a cluster's API server."""

    @property
    def url(self) -> str: ...
    @property
    def ca_pem(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Wishes:
    """How an appliance and its agent are to be started, where it is not as usual.

    `module` runs the appliance's command (benchmarks.launch has some). `inside_*`: words before the command, such as
    `ip netns exec NAME`. Port 0 is any.
    """

    name: str = "express"
    lane: str = "express"
    module: Sequence[str] = (AS_SHIPPED,)
    agent_module: Sequence[str] = (AS_SHIPPED,)
    host: str = "127.0.0.1"
    users: int = 0
    agents: int = 0
    agents_url: str = ""
    inside_appliance: Sequence[str] = ()
    inside_agent: Sequence[str] = ()
    probe: str = SMALL_PATH
    """Asked until it is answered, before anything is measured."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A running appliance; `admin` speaks to its API, and its representation shows no token."""

    part: Part
    url: str
    ca_pem: str
    ports: ports.Ports
    home: Path
    admin: Appliance = field(repr=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """A running appliance and agent. `path` goes before a Kubernetes path, `token` is a person's credential."""

    url: str
    path: str
    token: str = field(repr=False)
    ca_pem: str
    appliance: Part
    agent: Part
    serving: Serving
    registered: registration.Registered

    @property
    def parts(self) -> tuple[Part, Part]:
        return self.appliance, self.agent

    def load(self, path: str) -> Load:
        """To ask for this Kubernetes path."""
        return Load(self.url, self.path + path, self.token, ca_pem=self.ca_pem)


@asynccontextmanager
async def chain(directory: Path, upstream: Upstream, lane: str = "express") -> AsyncIterator[Chain]:
    """Start, register and join an appliance and an agent; yield once a request has gone all the way."""
    async with wished(directory, upstream, Wishes(name=lane, lane=lane)) as made:
        yield made


@asynccontextmanager
async def wished(directory: Path, upstream: Upstream, wishes: Wishes) -> AsyncIterator[Chain]:
    """The same as `chain`, not quite as usual."""
    home = directory / f"fairlead-{wishes.name}"
    async with appliance(home, wishes) as serving:
        registered = await registration.register(serving.admin, "bench", GROUP)
        issued = await registration.credential(serving.admin, registered)
        settings = agent_files(home, upstream, registered.bundle)
        log = home / "agent.log"
        command = _command("agent", settings, wishes.agent_module, wishes.inside_agent)
        async with running("agent", command, log, {WATCHED_FILE: str(home / "agent-watched")}) as part:
            path = str(issued["server"]).removeprefix(serving.url)
            made = Chain(
                serving.url, path, str(issued["token"]), serving.ca_pem, serving.part, part, serving, registered
            )
            await _until_answered(made, wishes.probe, (home / "appliance.log", log))
            yield made


@asynccontextmanager
async def appliance(home: Path, wishes: Wishes) -> AsyncIterator[Serving]:
    """Start an appliance, or the one that was here before once more."""
    settings = home / "appliance.toml"
    token_file = home / "machine-token"
    if _new(home):
        write_private(settings, _appliance_settings(home, wishes).encode())
        write_private(token_file, (await _machine_token(settings)).encode())
    log = home / "appliance.log"
    bound_file = home / "appliance" / "ports.json"
    bound_file.unlink(missing_ok=True)
    command = _command("serve", settings, wishes.module, wishes.inside_appliance)
    async with running("appliance", command, log, {WATCHED_FILE: str(home / "appliance-watched")}) as part:
        await until("the appliance", lambda: ports.read(bound_file) is not None, part, log)
        bound = ports.read(bound_file)
        assert bound is not None
        url = f"https://{wishes.host}:{bound.users}"
        ca_pem = (home / "appliance" / "ca.pem").read_text()
        yield Serving(part, url, ca_pem, bound, home, Appliance(url, ca_pem, token_file.read_text()))


def agent_files(home: Path, upstream: Upstream, bundle: dict[str, Any] | None) -> Path:
    """Write what an agent reads; returns its settings file."""
    write_private(home / "bundle.json", json.dumps(bundle).encode())
    write_private(home / "upstream-ca.pem", upstream.ca_pem.encode())
    write_private(home / "upstream-token", b"benchmark-upstream-token")
    settings = home / "agent.toml"
    write_private(settings, _AGENT.format(home=home, upstream=upstream.url).encode())
    return settings


def _new(home: Path) -> bool:
    """Make an appliance's directories, unless they are there."""
    if home.exists():
        return False
    for directory in (home, home / "appliance", home / "agent"):
        directory.mkdir(mode=0o700)
    return True


def _appliance_settings(home: Path, wishes: Wishes) -> str:
    return _APPLIANCE.format(
        home=home,
        lane=wishes.lane,
        host=wishes.host,
        users=wishes.users,
        agents=wishes.agents,
        agents_url=wishes.agents_url or f"https://{wishes.host}:{wishes.agents}",
    )


def _command(name: str, settings: Path, module: Sequence[str], inside: Sequence[str]) -> list[str]:
    """The real command, on a leash: it ends when we do, however we end."""
    return [*inside, sys.executable, "-m", *module, name, "--config", str(settings)]


async def _machine_token(settings: Path) -> str:
    command = [sys.executable, "-m", "ops.cli.main", "machine-token", "--config", str(settings), "--name", "benchmark"]
    with trio.fail_after(START_SECONDS):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    if done.returncode:
        raise PartFailedError(f"no machine token: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    return done.stdout.decode().strip()


async def _until_answered(made: Chain, probe: str, logs: tuple[Path, Path]) -> None:
    """Ask until the whole way answers; before, the tunnel is not there and the appliance says so."""
    person = Appliance(made.url, made.ca_pem, made.token)
    last = "nothing"
    with trio.move_on_after(START_SECONDS):
        while True:
            status, body = await person.raw("GET", made.path + probe)
            if status == 200:
                return
            last = f"{status}: {body.decode(errors='replace').strip()[:300]}"
            await trio.sleep(POLL_SECONDS)
    said = "\n".join(tail(log) for log in logs)
    raise PartFailedError(f"no request got through; the last answer was {last}\n{said}")
