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
from dataclasses import dataclass
from typing import Any

import trio

from benchmarks import fairlead, nginx, streams
from benchmarks.crowd import Crowd
from benchmarks.fairlead import Wishes
from benchmarks.goals import figure
from benchmarks.processes import Part, cpu_seconds
from benchmarks.scenarios import Options
from benchmarks.wrk import Load
from tests.support.certificates import TestCA

SECONDS = 5.0
ROUNDS = 3
WATCHES = 1000
IDLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the upstream's streams."""

    name: str
    load: Load
    ca_pem: str
    parts: tuple[Part, ...]


async def ways(stack: AsyncExitStack, options: Options) -> list[Way]:
    """Direct, through nginx, through Fairlead."""
    ca = TestCA.make("benchmark CA")
    upstream = await stack.enter_async_context(streams.streams(options.directory, ca))
    proxy = await stack.enter_async_context(nginx.proxy(options.directory, ca, upstream, buffering=False))
    wishes = Wishes(probe="/api/v1/namespaces/default")
    chain = await stack.enter_async_context(fairlead.wished(options.directory, upstream, wishes))
    return [
        Way("direct", Load(upstream.url, ""), ca.pem, (upstream.part,)),
        Way("nginx", Load(proxy.url, ""), ca.pem, (proxy.part, upstream.part)),
        Way("express", Load(chain.url, chain.path, chain.token), chain.ca_pem, (*chain.parts, upstream.part)),
    ]


async def run(options: Options) -> dict[str, Any]:
    """Open the watches each way, in turn, every round: first silent ones, then busy ones."""
    async with AsyncExitStack() as stack:
        known = await ways(stack, options)
        rounds = []
        for number in range(options.rounds):
            turned = known[number % len(known) :] + known[: number % len(known)]
            rounds.append({way.name: await _way(way, options.seconds) for way in turned})
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


async def _way(way: Way, seconds: float) -> dict[str, float]:
    found: dict[str, float] = {}
    idle = Crowd(way.load, way.ca_pem)
    try:
        await trio.to_thread.run_sync(idle.grow, WATCHES, streams.LIST_BYTES, way.load.path + streams.WATCH_PATH)
        before = _cpu(way)
        await trio.sleep(IDLE_SECONDS)
        for name, used in _cpu(way).items():
            found[f"idle ms/s {name}"] = 1e3 * (used - before[name]) / IDLE_SECONDS
    finally:
        idle.close()
    busy = Crowd(way.load, way.ca_pem)
    try:
        await trio.to_thread.run_sync(busy.grow, WATCHES, 0, way.load.path + streams.BUSY_PATH.format(WATCHES))
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


def _cpu(way: Way) -> dict[str, float]:
    return {part.name: cpu_seconds(part.pid) for part in way.parts}
