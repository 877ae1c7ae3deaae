"""small_get: requests a second, latency and CPU for a 2 KiB JSON answer over kept TLS connections.

Means: what one `kubectl get` of a small object costs on each part of the way, and how many of them the whole chain
(token, decision, audit, tunnel, agent) carries compared with nginx as a plain TLS reverse proxy in front of the same
upstream, which does none of these.

Could mislead: everything, wrk included, shares this machine's cores. With two of them the chain's three busy processes
(appliance, agent, upstream) compete with wrk; nginx has one less. The ratio is therefore of systems, not of proxies;
CPU per request is the figure to compare between machines. The loop is closed: latency at 64 connections is queueing,
and the figure for a quiet system is that of one connection. All requests are one person's GET of one object, so every
cache of the appliance is warm.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from benchmarks import fairlead, nginx, rounds
from benchmarks.goals import Figure, figure
from benchmarks.rounds import Target
from benchmarks.scenarios import Options
from benchmarks.wrk import Load
from tests.support.certificates import TestCA

SECONDS = 3.0
CONNECTIONS = (64, 1, 8, 256)
BASELINE = "nginx"
LANES = ("express", "hypercorn")


async def run(options: Options) -> dict[str, Any]:
    """Measure every way at every number of connections."""
    async with AsyncExitStack() as stack:
        targets = await start_targets(stack, options, lanes=LANES, proxy_workers=(1, 2))
        samples = []
        for connections in CONNECTIONS:
            samples += await rounds.interleaved(
                targets, options.directory, connections=connections, rounds=options.rounds, seconds=options.seconds
            )
        rows = rounds.summary(samples, BASELINE)
        print(rounds.table(rows, BASELINE))
        return {"figures": _figures(samples), "summary": rows, "samples": rounds.as_json(samples)}


def _figures(samples: list[rounds.Sample]) -> list[Figure]:
    found = [
        figure(
            "CPU of one request, express: appliance",
            "µs",
            rounds.cost(samples, "express", "appliance", 64),
            "cpu-appliance",
        ),
        figure("CPU of one request, express: agent", "µs", rounds.cost(samples, "express", "agent", 64), "cpu-agent"),
    ]
    for connections in CONNECTIONS:
        for lane in LANES:
            ratios = rounds.paired(samples, lane, BASELINE, connections)
            goal = f"rate-{connections}" if lane == "express" and connections in (64, 1) else ""
            found.append(figure(f"{lane}: requests/s ÷ nginx, {connections} connections", "", ratios, goal))
    two = rounds.paired(samples, "express", "nginx×2", 64)
    found.append(figure("express: requests/s ÷ nginx with 2 workers, 64 connections", "", two))
    return found


async def start_targets(
    stack: AsyncExitStack, options: Options, *, lanes: tuple[str, ...], proxy_workers: tuple[int, ...]
) -> list[Target]:
    """The upstream, and the ways to it: direct, through nginx, through Fairlead."""
    ca = TestCA.make("benchmark CA")
    upstream = await stack.enter_async_context(nginx.upstream(options.directory, ca))
    targets = [Target("direct", Load(upstream.url, nginx.SMALL_PATH, ca_pem=ca.pem), (upstream.part,))]
    for workers in proxy_workers:
        proxy = await stack.enter_async_context(nginx.proxy(options.directory, ca, upstream, workers))
        targets.append(
            Target(proxy.part.name, Load(proxy.url, nginx.SMALL_PATH, ca_pem=ca.pem), (proxy.part, upstream.part))
        )
    for lane in lanes:
        chain = await stack.enter_async_context(fairlead.chain(options.directory, upstream, lane))
        targets.append(Target(lane, chain.load(nginx.SMALL_PATH), (*chain.parts, upstream.part)))
    return targets
