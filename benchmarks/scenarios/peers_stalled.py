"""peers_stalled: what 16 clients that stop reading do to a neighbour, in Fairlead and in tunnels written in Go.

Means: on each way of `peers`, a neighbour asks for 2 KiB on 8 connections, alone and then beside 16 clients that asked
for 64 MiB each, took the head of the answer and read no more. A tunnel in which one stream holds up the others stops;
one that keeps them apart pays memory for it: what each process has grown by is divided by 16.

Could mislead: the neighbour's loop is closed, at full load, so its p99 is queueing on shared cores; the median of the
ratios counts. What a stalled answer may hold is a setting on every way: the Go tunnels' window is 1 MiB for a stream,
and a smaller one would hold less. RSS keeps what was freed but not returned, in Go as in Python, so a later round grows
less: the figure is that of the round that grew most. The Go tunnels are those of `peers`, with all that is said there.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import trio

from benchmarks import go_tunnel, nginx, wrk
from benchmarks.goals import Figure, figure
from benchmarks.processes import memory
from benchmarks.rounds import Target, turned
from benchmarks.scenarios import Options
from benchmarks.scenarios.peers import start_ways
from benchmarks.scenarios.stalled_readers import NEIGHBOUR_CONNECTIONS, stalled

READERS = 16
SECONDS = 2.0
ROUNDS = 4
SETTLE_SECONDS = 1.0  # until every window and buffer on the way has filled


async def run(options: Options) -> dict[str, Any]:
    """Measure the neighbour of each way without and with stalled clients, round by round."""
    async with AsyncExitStack() as stack:
        program = await go_tunnel.built(options.directory, go_tunnel.searched())
        ways = await start_ways(stack, options, program)
        for way in ways:
            await _neighbour(way, options)
        rounds = [
            {way.name: await _beside(way, options) for way in turned(ways, number)} for number in range(options.rounds)
        ]
    found = [one for way in ways for one in _figures(way, [done[way.name] for done in rounds])]
    return {"figures": found, "peers": {"go": program.go, "smux": program.smux}, "rounds": rounds}


async def _beside(way: Target, options: Options) -> dict[str, float]:
    """One way in one round."""
    alone = await _neighbour(way, options)
    before = {part.name: memory(part.pid).rss_kib for part in way.parts}
    async with trio.open_nursery() as nursery:
        for _ in range(READERS):
            await nursery.start(stalled, way.asking(nginx.BIG_PATH))
        await trio.sleep(SETTLE_SECONDS)
        held = await _neighbour(way, options)
        grown = {part.name: (memory(part.pid).rss_kib - before[part.name]) / READERS for part in way.parts}
        nursery.cancel_scope.cancel()
    return {
        "p99_ms": alone.p99_ms,
        "p99_stalled_ms": held.p99_ms,
        "max_stalled_ms": held.max_ms,
        "per_second": alone.per_second,
        "per_second_stalled": held.per_second,
    } | {f"kib {name}": kib for name, kib in grown.items()}


async def _neighbour(way: Target, options: Options) -> wrk.Counted:
    return await wrk.run(way.load, options.directory, connections=NEIGHBOUR_CONNECTIONS, seconds=options.seconds)


def _figures(way: Target, rounds: list[dict[str, float]]) -> list[Figure]:
    ratios = [done["p99_stalled_ms"] / done["p99_ms"] for done in rounds]
    rates = [done["per_second_stalled"] / done["per_second"] for done in rounds]
    found = [
        figure(f"{way.name}: p99 beside {READERS} stalled readers", "ms", [done["p99_stalled_ms"] for done in rounds]),
        figure(f"{way.name}: the same", "× unstalled", ratios),
        figure(f"{way.name}: requests/s beside them ÷ without", "", rates),
    ]
    for part in way.parts[:-1]:  # the last is the upstream
        most = max(done[f"kib {part.name}"] for done in rounds)
        found.append(figure(f"{way.name}: memory of one stalled reader: {part.name}", "KiB", [most]))
    return found
