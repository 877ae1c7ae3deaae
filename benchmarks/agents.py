"""Many agents in one process: the product's own dialler, many times. `python -m benchmarks.agents DIRECTORY AGENTS`.

DIRECTORY/bundles/*.json are bundles of clusters; each cluster gets an equal share of the agents, which have its
certificate in common but a session, a backoff and a log of their own each.
With a third argument, `held`, all dial in the same moment, when the file DIRECTORY/go appears, each cluster from an
address of its own (127.1.0.1 and onward), as clusters at different places do; and the process has put itself behind
everything else on the machine: what it computes then takes the fewest turns from what is measured.
DIRECTORY/sessions gets one line whenever the number of live sessions changes: the moment (CLOCK_MONOTONIC, in seconds)
and the number. An agent here answers every exchange with a small body: no upstream is part of what is measured.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import trio

from agent.dialling import Dialler, Tunnels
from agent.enrolment import Enrolment
from agent.identity import DataDirectory, Identity
from agent.outbound import TCP_SECONDS, Failing, OutboundError, Place, connect, shake_hands
from benchmarks.fairlead import Serving
from benchmarks.processes import Part, running, until
from benchmarks.session_end import answer
from ops.demo.admin import ApiError
from ops.demo.files import write_private
from wire.session import Session
from wire.tls import TLSStream

LOOK_SECONDS = 0.02
ENROLLING = 4  # at once
DRAIN_SECONDS = 1.0
SETUP_SECONDS = 90.0
LAST = 19  # the nice value of whoever waits for all others
TOO_MANY_SECONDS = 1.0  # what the appliance says of calls to its API
LONGEST_SECONDS = 90.0  # for all to have a session


@dataclass(frozen=True, slots=True)
class Colony:
    """The process, its directory, and how many agents it holds."""

    part: Part
    home: Path
    agents: int

    async def all_there(self, since: float) -> None:
        """Wait until every agent has a session, having been without after that moment."""
        log = self.home / "agents.log"
        await until("every agent", lambda: self.moment(since) > 0, self.part, log, seconds=LONGEST_SECONDS)

    def let_go(self) -> float:
        """Have a held colony dial, all at once; returns the moment."""
        (self.home / "go").touch()
        return time.monotonic()

    def moment(self, since: float, number: int = 0) -> float:
        """When so many sessions (0: all) lived again after there were fewer, both after `since`; 0: not yet."""
        text = ""
        with suppress(OSError):
            text = (self.home / "sessions").read_text()
        return first_again(text, since, number or self.agents)


def first_again(text: str, since: float, number: int) -> float:
    """Of lines with a moment and a number of sessions: when there were `number` again. 0: not yet."""
    fewer = False
    for line in text.splitlines():
        at, _, live = line.partition(" ")
        if float(at) < since or not live:
            continue
        if int(live) < number:
            fewer = True
        elif fewer:
            return float(at)
    return 0.0


@asynccontextmanager
async def colony(
    home: Path, serving: Serving, *, clusters: int, agents: int, held: bool = False
) -> AsyncIterator[Colony]:
    """Register the clusters and run the agents; yield once they have their certificates. `held`: until `let_go`."""
    _make(home, home / "bundles", home / "identities")
    for number in range(clusters):
        made = await _registered(serving, f"{home.name}-{number}")
        write_private(home / "bundles" / f"{number}.json", json.dumps(made["bundle"]).encode())
    module = [sys.executable, "-m", "benchmarks.leash", sys.executable, "-m", "benchmarks.agents"]
    log = home / "agents.log"
    async with running("agents", [*module, str(home), str(agents), *(["held"] * held)], log) as part:
        await until("the certificates", (home / "enrolled").exists, part, log, seconds=SETUP_SECONDS)
        yield Colony(part, home, agents)


async def _registered(serving: Serving, name: str) -> dict[str, Any]:
    while True:
        try:
            made: dict[str, Any] = await serving.admin.call("POST", "clusters", {"name": name})
        except ApiError as error:
            if error.status != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            await trio.sleep(TOO_MANY_SECONDS)
        else:
            return made


def _make(*directories: Path) -> None:
    for directory in directories:
        directory.mkdir(mode=0o700)


# In the other process


async def main(home: Path, agents: int, held: bool) -> None:
    """Enrol, then dial and stay connected until ended."""
    logging.getLogger("fairlead.agent").setLevel(logging.CRITICAL)
    bundles = sorted((home / "bundles").glob("*.json"))
    enrolments: list[Enrolment] = []
    limit = trio.CapacityLimiter(ENROLLING)

    async def enrol(bundle: Path) -> None:
        directory = DataDirectory(home / "identities" / bundle.stem)
        directory.prepare()
        enrolment = Enrolment(directory, bundle)
        async with limit:
            await enrolment.identity()
        enrolments.append(enrolment)

    async with trio.open_nursery() as nursery:
        for bundle in bundles:
            nursery.start_soon(enrol, bundle)
    if held:
        step_back()
    diallers = [
        Dialler(
            Tunnels(
                enrolments[number % len(enrolments)].identity,
                answer,
                None,
                name=f"benchmark agent {number}",
                listening=_Silent(),
                bundle=home / "none",
                drain_seconds=DRAIN_SECONDS,
                connect=partial(_connect_from, number % len(enrolments)) if held else connect,
            )
        )
        for number in range(agents)
    ]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(_tell, home / "sessions", diallers))
        (home / "enrolled").touch()
        while held and not (home / "go").exists():  # noqa: ASYNC110 # a file has no event to wait for
            await trio.sleep(LOOK_SECONDS)
        for dialler in diallers:
            nursery.start_soon(dialler.run)


async def _connect_from(number: int, place: Place, context: ssl.SSLContext) -> TLSStream:
    """What the product does, from an address of the loopback network."""
    address = f"127.1.{number // 250}.{number % 250 + 1}"
    try:
        with trio.fail_after(TCP_SECONDS):
            tcp = await trio.open_tcp_stream(place.host, place.port, local_address=address)
    except (OSError, trio.TooSlowError) as error:
        raise OutboundError(Failing.TCP, f"not connected from {address}: {error}") from error
    return await shake_hands(tcp.socket, context, place)


def step_back() -> None:
    """Let everything else on the machine go first.

    With an autogroup for each session of processes (sched(7)) their nice values compare only inside of it, and the
    group has one of its own.
    """
    os.nice(LAST)
    with suppress(OSError):  # not every kernel has autogroups
        Path("/proc/self/autogroup").write_text(str(LAST))


class _Silent:
    """Says nothing of itself: what is measured is how the sessions come back."""

    def begin(self, session: Session, identity: Identity) -> None: ...
    def end(self, session: Session) -> None: ...


async def _tell(path: Path, diallers: list[Dialler]) -> None:
    known = -1
    with path.open("a", buffering=1) as out:
        while True:
            live = sum(dialler.status.sessions > 0 for dialler in diallers)
            if live != known:
                known = live
                out.write(f"{time.monotonic():.3f} {live}\n")
            await trio.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        trio.run(main, Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] == ["held"])
