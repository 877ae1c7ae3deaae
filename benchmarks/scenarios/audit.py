"""audit: what keeping the audit ledger costs of the rate and of CPU, for reads and at 64 connections.

Means: two appliances side by side, each with its agent, in front of the same upstream; one is as shipped, the other
was started by benchmarks.launch with a ledger that keeps nothing. Every round loads both. A read leaves one record,
which is chained, and committed together with its neighbours by a thread of its own (SQLite, synchronous=FULL).

Could mislead: the record itself is still composed on the side without a ledger (the front makes it, the ledger keeps
it), so a few microseconds of audit are on both sides. The commit costs what this machine's disk costs: on a slow disk
groups grow and CPU falls, while a changing request, not measured here, waits for its own commit. The rate is that of a
saturated machine; its CPU is what the thread takes from the loop there.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from benchmarks import fairlead, nginx, rounds
from benchmarks.fairlead import Chain, Wishes
from benchmarks.goals import Figure, figure
from benchmarks.rounds import Target
from benchmarks.scenarios import Options
from tests.support.certificates import TestCA

SECONDS = 4.0
ROUNDS = 9
CONNECTIONS = 64
WITH, WITHOUT = "audit", "no audit"


async def run(options: Options) -> dict[str, Any]:
    """Load both appliances in every round."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(nginx.upstream(options.directory, TestCA.make("benchmark CA")))
        targets = []
        for name, module in ((WITH, (fairlead.AS_SHIPPED,)), (WITHOUT, ("benchmarks.launch", "unrecorded"))):
            wishes = Wishes(name=name.replace(" ", "-"), module=module)
            chain = await stack.enter_async_context(fairlead.wished(options.directory, upstream, wishes))
            targets.append(target(name, chain))
        samples = await rounds.interleaved(
            targets, options.directory, connections=CONNECTIONS, rounds=options.rounds, seconds=options.seconds
        )
    rows = rounds.summary(samples, WITHOUT)
    print(rounds.table(rows, WITHOUT))
    return {"figures": _figures(samples), "summary": rows, "samples": rounds.as_json(samples)}


def target(name: str, chain: Chain) -> Target:
    """The small GET through a chain."""
    return Target(name, chain.load(nginx.SMALL_PATH), chain.parts)


def _figures(samples: list[rounds.Sample]) -> list[Figure]:
    shares = [100 * (1 - ratio) for ratio in rounds.paired(samples, WITH, WITHOUT, CONNECTIONS)]
    with_it, without = (rounds.cost(samples, name, "appliance", CONNECTIONS) for name in (WITH, WITHOUT))
    return [
        figure("requests/s given up for audit, 64 connections", "%", shares, "audit"),
        figure("CPU of one request for audit: appliance", "µs", [a - b for a, b in zip(with_it, without, strict=True)]),
    ]
