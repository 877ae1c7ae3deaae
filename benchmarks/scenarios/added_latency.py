"""added_latency: what Fairlead adds to the latency of a quiet system, at 100 requests a second in an open loop.

Means: one small GET every 10 ms at its planned moment, over kept connections; latency from that moment, not from when
it was sent. In each round the same plan goes directly to the upstream, through nginx and through Fairlead; p50 and p99
of the direct way are taken off within the round, and the median of the rounds counts.

Could mislead: a round has some hundred requests, so its p99 is its few slowest, and on a shared machine these belong to
whoever else ran: look at the spread. Processes that slept are woken on cold caches, which at 100 requests a second is
most of the cost; a busier system adds less per request until it queues. The client sees whole milliseconds of nothing:
it waits in select, which is punctual to about 0.1 ms, in all ways alike.
"""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import trio

from benchmarks.goals import figure
from benchmarks.open_loop import latencies
from benchmarks.rounds import turned
from benchmarks.scenarios import Options
from benchmarks.scenarios.small_get import start_targets
from benchmarks.wrk import Load

SECONDS = 5.0
ROUNDS = 9
PER_SECOND = 100
DIRECT = "direct"


async def run(options: Options) -> dict[str, Any]:
    """Follow the plan each way, in turn, every round."""
    async with AsyncExitStack() as stack:
        ways = await start_targets(stack, options, lanes=("express",), proxy_workers=(1,))
        rounds = [
            {way.name: await _planned(way.load, options.seconds) for way in turned(ways, number)}
            for number in range(options.rounds)
        ]
    found = []
    for name in ("express", "nginx"):
        for key in ("p50", "p99"):
            added = [done[name][key] - done[DIRECT][key] for done in rounds]
            goal = f"added-{key}" if name == "express" else ""
            found.append(figure(f"{name}: latency over direct at 100 requests/s, {key}", "ms", added, goal))
    return {"figures": found, "rounds": rounds}


async def _planned(load: Load, seconds: float) -> dict[str, float]:
    plan = partial(latencies, load, per_second=PER_SECOND, seconds=seconds)
    quantiles = statistics.quantiles(await trio.to_thread.run_sync(plan), n=100)
    return {"p50": quantiles[49], "p99": quantiles[98]}
