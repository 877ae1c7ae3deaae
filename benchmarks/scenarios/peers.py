"""peers: Fairlead beside tunnels written in Go, in one run: small GETs on 1, 8 and 64 connections, one 64 MiB download.

Means: what a request costs in Fairlead and in a tunnel of the same shape that is made of what Go programmers reach for:
TLS to the client, mutual TLS between the ends, TLS to the upstream, HTTP read and written at both ends because an agent
changes heads. `go http2` carries requests in one HTTP/2 connection of Go's own library, `go smux` in streams of smux
under kept HTTP/1.1 connections, `go smux×1` is that with GOMAXPROCS=1, the best of the three with two cores. They are
one program of ours, `peers/tunnel.go`, not a product.

Could mislead: the Go tunnels ask nobody who they are, decide nothing, record nothing and limit nothing; Fairlead does
all of it for every request. They are a floor for what Go tunnels of this kind cost. Where there are more cores, a Go
process spreads over them; each of Fairlead's has one busy thread. wrk and the upstream want the same cores. With few
connections most of the CPU is threads going to sleep and waking, which varies between machines, and most in virtual
ones; a machine that others use as well makes Go's rate rise and the others' fall, because its cores do not sleep. The
download's client is one Python process and may be the limit of the fastest ways.
"""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from typing import Any

from benchmarks import fairlead, go_tunnel, nginx, rounds
from benchmarks.go_tunnel import Kind
from benchmarks.goals import Figure, figure
from benchmarks.rounds import Sample, Target, turned
from benchmarks.scenarios import Options
from benchmarks.scenarios.transfer import DOWN, moving
from benchmarks.wrk import Load
from tests.support.certificates import TestCA

SECONDS = 2.0
ROUNDS = 4
CONNECTIONS = (64, 8, 1)
MOST = 64
BASELINE, OURS = "nginx", "express"
KINDS = (Kind("go http2", "http2"), Kind("go smux", "smux"), Kind("go smux×1", "smux", cores=1))
GO = tuple(kind.name for kind in KINDS)


async def run(options: Options) -> dict[str, Any]:
    """Load every way at every number of connections, then download through each."""
    async with AsyncExitStack() as stack:
        program = await go_tunnel.built(options.directory, go_tunnel.searched())
        targets = await start_ways(stack, options, program)
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


async def start_ways(stack: AsyncExitStack, options: Options, program: go_tunnel.Program) -> list[Target]:
    """The upstream, and the ways to it: through nginx, each tunnel in Go, and Fairlead."""
    ca = TestCA.make("benchmark CA")
    upstream = await stack.enter_async_context(nginx.upstream(options.directory, ca))
    proxy = await stack.enter_async_context(nginx.proxy(options.directory, ca, upstream))
    targets = [Target(BASELINE, Load(proxy.url, nginx.SMALL_PATH, ca_pem=ca.pem), (proxy.part, upstream.part))]
    for kind in KINDS:
        through = await stack.enter_async_context(go_tunnel.tunnel(options.directory, ca, program, upstream, kind))
        targets.append(Target(kind.name, through.load, (through.front, through.far, upstream.part)))
    chain = await stack.enter_async_context(fairlead.chain(options.directory, upstream, OURS))
    return [*targets, Target(OURS, chain.load(nginx.SMALL_PATH), (*chain.parts, upstream.part))]


def _figures(samples: list[Sample]) -> list[Figure]:
    found = []
    for connections in CONNECTIONS:
        at = f"{connections} connections" if connections > 1 else "1 connection"
        for name in GO:
            found += [
                figure(f"requests/s ÷ {name}, {at}", "", rounds.paired(samples, OURS, name, connections)),
                figure(f"{name}: ÷ nginx, {at}", "", rounds.paired(samples, name, BASELINE, connections)),
            ]
    for name, parts in ((OURS, ("appliance", "agent")), *((name, ("front", "far end")) for name in GO)):
        slow = [s.counted.p99_ms for s in samples if s.target == name and s.connections == MOST]
        found += [
            *(
                figure(f"{name}: CPU of one request: {part}", "µs", rounds.cost(samples, name, part, MOST))
                for part in parts
            ),
            figure(f"{name}: p99 at {MOST} connections", "ms", slow),
        ]
    return found


def _downloaded(downloads: list[dict[str, dict[str, float]]]) -> list[Figure]:
    rate = "mb_per_second"
    return [
        figure(f"64 MiB down ÷ {name}", "", [done[OURS][rate] / done[name][rate] for done in downloads])
        for name in (*GO, BASELINE)
    ]
