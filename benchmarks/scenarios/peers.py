"""peers: Fairlead beside tunnels written in Go, in one run: small GETs on 1, 8 and 64 connections, one 64 MiB download.

Means: what a request costs in Fairlead and in a tunnel of the same shape that is made of what Go programmers reach for:
TLS to the client, mutual TLS between the ends, TLS to the upstream, HTTP read and written at both ends because an agent
changes heads. `go http2` carries requests in one HTTP/2 connection of Go's own library, `go smux` in smux streams
under kept HTTP/1.1 connections. They are one program of ours, `peers/tunnel.go`, not a product.

Could mislead: the Go tunnels ask nobody who they are, decide nothing, record nothing and limit nothing; Fairlead does
all of it for every request. They are a floor for Go tunnels of this kind. Each of their two processes spreads over all
cores, each of Fairlead's has one busy thread; wrk and the upstream want the same cores, and with two of them the rate
is nearly the inverse of all CPU spent. Go spends CPU on collecting garbage while others wait, which is in the figures.
The download's client is one Python process and may be the limit of the fastest ways.
"""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from typing import Any

from benchmarks import fairlead, go_tunnel, nginx, rounds
from benchmarks.goals import Figure, figure
from benchmarks.rounds import Sample, Target, turned
from benchmarks.scenarios import Options
from benchmarks.scenarios.transfer import DOWN, moving
from benchmarks.wrk import Load
from tests.support.certificates import TestCA

SECONDS = 2.0
ROUNDS = 5
CONNECTIONS = (64, 8, 1)
BASELINE, OURS = "nginx", "express"
MUXES = ("http2", "smux")
GO = tuple(f"go {mux}" for mux in MUXES)


async def run(options: Options) -> dict[str, Any]:
    """Load every way at every number of connections, then download through each."""
    async with AsyncExitStack() as stack:
        program = await go_tunnel.built(options.directory)
        targets = await _targets(stack, options, program)
        samples = []
        for connections in CONNECTIONS:
            samples += await rounds.interleaved(
                targets, options.directory, connections=connections, rounds=options.rounds, seconds=options.seconds
            )
        downloads = [
            {way.name: await moving(way, DOWN) for way in turned(targets, number)} for number in range(options.rounds)
        ]
    rows = rounds.summary(samples, BASELINE)
    print(rounds.table(rows, BASELINE))
    for name in downloads[0]:
        print(
            f"64 MiB down, {name:<10} {statistics.median(done[name]['mb_per_second'] for done in downloads):>5.0f} MB/s"
        )
    return {
        "figures": [*_figures(samples), *_downloaded(downloads)],
        "peers": {"go": program.go, "smux": program.smux},
        "summary": rows,
        "samples": rounds.as_json(samples),
        "downloads": downloads,
    }


async def _targets(stack: AsyncExitStack, options: Options, program: go_tunnel.Program) -> list[Target]:
    ca = TestCA.make("benchmark CA")
    upstream = await stack.enter_async_context(nginx.upstream(options.directory, ca))
    proxy = await stack.enter_async_context(nginx.proxy(options.directory, ca, upstream))
    targets = [Target(BASELINE, Load(proxy.url, nginx.SMALL_PATH, ca_pem=ca.pem), (proxy.part, upstream.part))]
    for name, mux in zip(GO, MUXES, strict=True):
        through = await stack.enter_async_context(go_tunnel.tunnel(options.directory, ca, program, upstream, mux))
        targets.append(Target(name, through.load, (through.front, through.far, upstream.part)))
    chain = await stack.enter_async_context(fairlead.chain(options.directory, upstream, OURS))
    return [*targets, Target(OURS, chain.load(nginx.SMALL_PATH), (*chain.parts, upstream.part))]


def _figures(samples: list[Sample]) -> list[Figure]:
    found = []
    for connections in CONNECTIONS:
        at = f"{connections} connections" if connections > 1 else "1 connection"
        for name in GO:
            ratios = rounds.paired(samples, OURS, name, connections)
            found.append(figure(f"requests/s ÷ {name}, {at}", "", ratios))
            found.append(
                figure(f"{name}: requests/s ÷ nginx, {at}", "", rounds.paired(samples, name, BASELINE, connections))
            )
        found.append(
            figure(f"{OURS}: requests/s ÷ nginx, {at}", "", rounds.paired(samples, OURS, BASELINE, connections))
        )
    for name, parts in ((OURS, ("appliance", "agent")), *((name, ("front", "far end")) for name in GO)):
        costs = [rounds.cost(samples, name, part, 64) for part in parts]
        found += [
            figure(f"{name}: CPU of one request, 64 connections: {part}", "µs", cost)
            for part, cost in zip(parts, costs, strict=True)
        ]
    for name in (OURS, *GO):
        for connections in CONNECTIONS:
            slow = [s.counted.p99_ms for s in samples if s.target == name and s.connections == connections]
            found.append(figure(f"{name}: p99, {connections} connections", "ms", slow))
    return found


def _downloaded(downloads: list[dict[str, dict[str, float]]]) -> list[Figure]:
    rate = "mb_per_second"
    return [
        figure(f"64 MiB down ÷ {name}", "", [done[OURS][rate] / done[name][rate] for done in downloads])
        for name in (*GO, BASELINE)
    ]
