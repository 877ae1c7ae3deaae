"""mixed_sizes: requests a second and CPU for answers of 512 B, 2 KiB, 16 KiB, 128 KiB and 1 MiB, in turn.

Means: what a dashboard or controller asks for: mostly small, now and then a long list. 16 connections, each asks for
the five sizes one after the other; on the long ones credit, fairness and writes in pieces take part.

Could mislead: most of the time goes into the longest answers (a request moves 234 KiB on average), so this is nearer to
a download than to small_get. All connections share one rhythm. The cores are shared with wrk, which checks nothing.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from benchmarks import nginx, rounds
from benchmarks.goals import figure
from benchmarks.scenarios import Options
from benchmarks.scenarios.small_get import BASELINE, LANES, start_targets

SECONDS = 3.0
CONNECTIONS = 16


async def run(options: Options) -> dict[str, Any]:
    """Load every way in every round."""
    async with AsyncExitStack() as stack:
        targets = await start_targets(stack, options, lanes=LANES, proxy_workers=(1, 2))
        mixed = []
        for target in targets:
            before = target.load.path.removesuffix(nginx.SMALL_PATH)
            first, *others = (before + nginx.SIZED_PATH.format(size) for size in nginx.SIZES)
            mixed.append(replace(target, load=replace(target.load, path=first, others=tuple(others))))
        samples = await rounds.interleaved(
            mixed, options.directory, connections=CONNECTIONS, rounds=options.rounds, seconds=options.seconds
        )
    rows = rounds.summary(samples, BASELINE)
    print(rounds.table(rows, BASELINE))
    found = [
        figure(f"{lane}: requests/s ÷ nginx, mixed sizes", "", rounds.paired(samples, lane, BASELINE, CONNECTIONS))
        for lane in LANES
    ]
    return {"figures": found, "summary": rows, "samples": rounds.as_json(samples)}
