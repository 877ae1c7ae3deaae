"""storm: a thousand agents whose appliance was killed and comes back: how long until all have a session again.

Means: the product's own dialler a thousand times (real TLS with client certificates, full jitter, cap 20 s), on a
hundred clusters. The appliance is killed (SIGKILL) and started again on the same ports: once at once, and once after
an outage long enough for the waits to have grown to their cap. Counted from the moment the new appliance has bound its
ports; the start of the process is not in it.

Could mislead: all agents live in one process, which makes the client's half of a thousand handshakes on one core of
the same machine: real agents have a thousand machines for that. So an appliance alone is faster; and an outage longer
than the cap is the worst case, where the wait is mostly jitter on purpose (half the agents wait more than 10 s).
Sessions of one cluster share a certificate here, and all agents one address, which
is given 8 handshakes at once of the appliance's 32.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import AsyncExitStack, suppress
from typing import Any

import trio

from benchmarks import fairlead
from benchmarks.agents import colony
from benchmarks.fairlead import Serving, Wishes
from benchmarks.goals import figure
from benchmarks.nginx import free_port
from benchmarks.processes import PartFailedError, cpu_seconds
from benchmarks.scenarios import Options

ROUNDS = 1
AGENTS = 1000
CLUSTERS = 100
OUTAGES_SECONDS = (0.0, 30.0)


async def run(options: Options) -> dict[str, Any]:
    """Register, connect all, then kill and start again."""
    home = options.directory / "storm"
    wishes = Wishes(name="storm", users=free_port(), agents=free_port())
    place = options.directory / "fairlead-storm"
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(AsyncExitStack())
        serving = await first.enter_async_context(fairlead.appliance(place, wishes))
        known = await stack.enter_async_context(colony(home, serving, clusters=CLUSTERS, agents=AGENTS))
        await known.all_there(0.0)
        storms = []
        for outage in OUTAGES_SECONDS * options.rounds:
            killed = time.monotonic()
            await _kill(serving, first)
            await trio.sleep(outage)
            first = await stack.enter_async_context(AsyncExitStack())
            serving = await first.enter_async_context(fairlead.appliance(place, wishes))
            ready = time.monotonic()
            await known.all_there(killed)
            took = known.moment(killed) - ready
            cpu = 1e3 * cpu_seconds(serving.part.pid) / AGENTS
            half = known.moment(killed, AGENTS // 2) - ready
            print(f"outage {outage:.0f} s: half back after {half:.1f} s, all after {took:.1f} s, {cpu:.1f} ms CPU each")
            storms.append({"outage": outage, "half": half, "all": took, "cpu_ms": cpu})
    return {"figures": _figures(storms), "storms": storms}


def _figures(storms: list[dict[str, float]]) -> list[Any]:
    long = [it for it in storms if it["outage"]]
    short = [it for it in storms if not it["outage"]]
    return [
        figure(f"all back after an outage of {OUTAGES_SECONDS[-1]:.0f} s", "s", [it["all"] for it in long], "storm"),
        figure("half back after the same", "s", [it["half"] for it in long]),
        figure("all back after a restart", "s", [it["all"] for it in short]),
        figure("CPU of one reconnection, the start included: appliance", "ms", [it["cpu_ms"] for it in storms]),
    ]


async def _kill(serving: Serving, ending: AsyncExitStack) -> None:
    os.kill(serving.part.pid, signal.SIGKILL)
    with suppress(PartFailedError):  # which is what it says of a part that ended by itself
        await ending.aclose()
