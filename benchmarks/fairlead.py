"""Fairlead as its operator runs it: `fairlead serve` and `fairlead agent`, registered through the admin API.

The same commands, settings files and calls as `fairlead demo`, with nginx in place of the cluster. Authentication,
admission, decision and audit are on as shipped; only the limits of one person are raised by their settings, because
here one person asks thousands of times a second. What always holds: tokens are in files of mode 0600 in the run's own
directory, never in a command line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from benchmarks.nginx import SMALL_PATH, Nginx
from benchmarks.processes import START_SECONDS, Part, PartFailedError, running, tail, until
from ops.demo import ports, registration
from ops.demo.admin import Appliance
from ops.demo.files import write_private

GROUP = "benchmark:viewers"
PORTS_FILE = "ports.json"  # the appliance writes it once it has bound them
POLL_SECONDS = 0.05

_APPLIANCE = """
public_url = "https://127.0.0.1:0"
data_dir = "{home}/appliance"
[users]
listen = "127.0.0.1:0"
lane = "{lane}"
[agents]
listen = "127.0.0.1:0"
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


@dataclass(frozen=True, slots=True)
class Chain:
    """A running appliance and agent. `path` goes before a Kubernetes path, `token` is a person's credential."""

    url: str
    path: str
    token: str
    ca_pem: str
    appliance: Part
    agent: Part

    @property
    def parts(self) -> tuple[Part, Part]:
        return self.appliance, self.agent


@asynccontextmanager
async def chain(directory: Path, upstream: Nginx, lane: str = "express") -> AsyncIterator[Chain]:
    """Start, register and join an appliance and an agent; yield once a request has gone all the way."""
    home = directory / f"fairlead-{lane}"
    for part in (home, home / "appliance", home / "agent"):
        part.mkdir(mode=0o700)
    settings = home / "appliance.toml"
    write_private(settings, _APPLIANCE.format(home=home, lane=lane).encode())
    machine_token = await _machine_token(settings)
    logs = home / "appliance.log", home / "agent.log"
    async with running("appliance", _command("serve", settings), logs[0]) as serving:
        await until(
            "the appliance", lambda: ports.read(home / "appliance" / "ports.json") is not None, serving, logs[0]
        )
        bound = ports.read(home / "appliance" / "ports.json")
        assert bound is not None
        url = f"https://127.0.0.1:{bound.users}"
        ca_pem = (home / "appliance" / "ca.pem").read_text()
        admin = Appliance(url, ca_pem, machine_token)
        registered = await registration.register(admin, "bench", GROUP)
        issued = await registration.credential(admin, registered)
        agent_settings = _agent_files(home, upstream, registered.bundle)
        async with running("agent", _command("agent", agent_settings), logs[1]) as dialled:
            path = str(issued["server"]).removeprefix(url)
            made = Chain(url, path, str(issued["token"]), ca_pem, serving, dialled)
            await _until_answered(made, logs)
            yield made


def _command(name: str, settings: Path) -> list[str]:
    """The real command, on a leash: it ends when we do, however we end."""
    return [sys.executable, "-m", "ops.demo.leash", name, "--config", str(settings)]


async def _machine_token(settings: Path) -> str:
    command = [sys.executable, "-m", "ops.cli.main", "machine-token", "--config", str(settings), "--name", "benchmark"]
    with trio.fail_after(START_SECONDS):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    if done.returncode:
        raise PartFailedError(f"no machine token: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    return done.stdout.decode().strip()


def _agent_files(home: Path, upstream: Nginx, bundle: object) -> Path:
    write_private(home / "bundle.json", json.dumps(bundle).encode())
    write_private(home / "upstream-ca.pem", upstream.ca_pem.encode())
    write_private(home / "upstream-token", b"benchmark-upstream-token")
    settings = home / "agent.toml"
    write_private(settings, _AGENT.format(home=home, upstream=upstream.url).encode())
    return settings


async def _until_answered(made: Chain, logs: tuple[Path, Path]) -> None:
    """Ask until the whole way answers; before, the tunnel is not there and the appliance says so."""
    person = Appliance(made.url, made.ca_pem, made.token)
    last = "nothing"
    with trio.move_on_after(START_SECONDS):
        while True:
            status, body = await person.raw("GET", made.path + SMALL_PATH)
            if status == 200:
                return
            last = f"{status}: {body.decode(errors='replace').strip()[:300]}"
            await trio.sleep(POLL_SECONDS)
    said = "\n".join(tail(log) for log in logs)
    raise PartFailedError(f"no request got through; the last answer was {last}\n{said}")
