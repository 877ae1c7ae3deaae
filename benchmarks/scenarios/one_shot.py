"""one_shot: a new connection for every request, as each kubectl command makes one.

Means: TCP, a whole TLS 1.3 handshake (no resumption), one small GET and the end, 8 at a time: how many commands a
second, and what one costs each process. The way's other connections (tunnel, nginx to upstream, agent to upstream) are
kept, as they are in life.

Could mislead: the client is eight threads of this Python process (wrk loses TLS connections that it has to make anew),
makes its half of each handshake on the same cores, and is often the limit; so requests a second are far below what the
server alone could do, and CPU is the figure. kubectl itself takes 50 ms of CPU to start.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from benchmarks import fresh, rounds
from benchmarks.goals import figure
from benchmarks.scenarios import Options
from benchmarks.scenarios.small_get import BASELINE, LANES, start_targets

SECONDS = 3.0
CONNECTIONS = 8


async def run(options: Options) -> dict[str, Any]:
    """Load every way in every round."""
    async with AsyncExitStack() as stack:
        targets = await start_targets(stack, options, lanes=LANES, proxy_workers=(1, 2))
        samples = await rounds.interleaved(
            targets,
            options.directory,
            connections=CONNECTIONS,
            rounds=options.rounds,
            seconds=options.seconds,
            loading=fresh.run,
        )
    rows = rounds.summary(samples, BASELINE)
    print(rounds.table(rows, BASELINE))
    found = [
        figure("one-shot requests/s ÷ nginx", "", rounds.paired(samples, "express", BASELINE, CONNECTIONS)),
        figure(
            "CPU of one one-shot request: appliance", "µs", rounds.cost(samples, "express", "appliance", CONNECTIONS)
        ),
        figure("CPU of one one-shot request: nginx", "µs", rounds.cost(samples, BASELINE, "nginx", CONNECTIONS)),
    ]
    return {"figures": found, "summary": rows, "samples": rounds.as_json(samples)}
