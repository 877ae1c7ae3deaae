"""watches: a thousand watches on one tunnel, silent and then each with ten events a second.

Means: CPU of appliance and agent per second while a thousand watches are open and nothing happens (it should be close
to nothing), and per event at 10,000 events a second of 400 bytes each; how late an event is when it is read; and what
of it a direct connection and nginx as a proxy (without buffering) take of the same. Each way is visited in turn.

Could mislead: the upstream and the reader are Python too and share the cores: at 10,000 events a second two cores may
be full, and then delays are queueing and fewer events than asked for arrive (the table says how many). An event that
finds the kernel's buffer full is not sent at all; the upstream then drops that watch. Events come evenly spread; real
ones come in bursts, which cost less each.
"""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import trio

from benchmarks import fairlead, nginx, streams
from benchmarks.crowd import Crowd
from benchmarks.fairlead import Wishes
from benchmarks.goals import figure
from benchmarks.processes import cpu_seconds
from benchmarks.rounds import Target, turned
from benchmarks.scenarios import Options
from benchmarks.wrk import Load
from tests.support.certificates import TestCA

SECONDS = 5.0
ROUNDS = 3
WATCHES = 1000
IDLE_SECONDS = 5.0


async def ways(stack: AsyncExitStack, options: Options) -> list[Target]:
    """Direct, through nginx, through Fairlead; what is asked is still to be added to the path of each."""
    ca = TestCA.make("benchmark CA")
    upstream = await stack.enter_async_context(streams.streams(options.directory, ca))
    proxy = await stack.enter_async_context(nginx.proxy(options.directory, ca, upstream, buffering=False))
    wishes = Wishes(probe=streams.PROBE_PATH)
    chain = await stack.enter_async_context(fairlead.wished(options.directory, upstream, wishes))
    return [
        Target("direct", Load(upstream.url, "", ca_pem=ca.pem), (upstream.part,)),
        Target("nginx", Load(proxy.url, "", ca_pem=ca.pem), (proxy.part, upstream.part)),
        Target("express", chain.load(""), (*chain.parts, upstream.part)),
    ]


def beyond(way: Target, path: str) -> Load:
    """To ask for this path, that way."""
    return replace(way.load, path=way.load.path + path)


async def run(options: Options) -> dict[str, Any]:
    """Open the watches each way, in turn, every round: first silent ones, then busy ones."""
    async with AsyncExitStack() as stack:
        known = await ways(stack, options)
        rounds = [
            {way.name: await _way(way, options.seconds) for way in turned(known, number)}
            for number in range(options.rounds)
        ]
    for name in rounds[0]:
        middle = {key: statistics.median(done[name][key] for done in rounds) for key in rounds[0][name]}
        print(f"{name:<8} " + "  ".join(f"{key} {value:.2f}" for key, value in middle.items()))
    ours = [done["express"] for done in rounds]
    found = [
        figure("a thousand idle watches: appliance", "ms CPU/s", [it["idle ms/s appliance"] for it in ours]),
        figure("a thousand idle watches: agent", "ms CPU/s", [it["idle ms/s agent"] for it in ours]),
        figure("10,000 events/s on 1,000 watches: delivered", "events/s", [it["events/s"] for it in ours]),
        figure("CPU of one event: appliance", "µs", [it["µs/event appliance"] for it in ours]),
        figure("CPU of one event: agent", "µs", [it["µs/event agent"] for it in ours]),
        figure("delay of an event, p50", "ms", [it["p50 ms"] for it in ours]),
        figure("delay of an event, p99", "ms", [it["p99 ms"] for it in ours]),
        figure("delay of an event, p50, through nginx", "ms", [done["nginx"]["p50 ms"] for done in rounds]),
        figure("delay of an event, p99, through nginx", "ms", [done["nginx"]["p99 ms"] for done in rounds]),
    ]
    return {"figures": found, "rounds": rounds}


async def _way(way: Target, seconds: float) -> dict[str, float]:
    found: dict[str, float] = {}
    idle = Crowd(beyond(way, streams.WATCH_PATH))
    try:
        await trio.to_thread.run_sync(idle.grow, WATCHES, streams.LIST_BYTES)
        before = _cpu(way)
        await trio.sleep(IDLE_SECONDS)
        for name, used in _cpu(way).items():
            found[f"idle ms/s {name}"] = 1e3 * (used - before[name]) / IDLE_SECONDS
    finally:
        idle.close()
    busy = Crowd(beyond(way, streams.BUSY_PATH.format(WATCHES)))
    try:
        await trio.to_thread.run_sync(busy.grow, WATCHES, 0)
        await trio.to_thread.run_sync(busy.listen, 1.0)  # the first ones
        before = _cpu(way)
        heard = await trio.to_thread.run_sync(busy.listen, seconds)
        after = _cpu(way)
    finally:
        busy.close()
    events = max(1, len(heard.delays_ms))
    found |= {f"µs/event {name}": 1e6 * (after[name] - before[name]) / events for name in after}
    quantiles = statistics.quantiles(heard.delays_ms, n=100)
    return found | {"events/s": events / heard.seconds, "p50 ms": quantiles[49], "p99 ms": quantiles[98]}


def _cpu(way: Target) -> dict[str, float]:
    return {part.name: cpu_seconds(part.pid) for part in way.parts}
