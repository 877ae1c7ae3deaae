"""transfer: one body of 64 MiB over one connection, down and up; MB/s, and CPU seconds per GiB of each part.

Means: how fast one large list, log or upload moves when nothing else does, through nginx and through Fairlead, from and
to the same upstream and the same client. Every byte is decrypted and encrypted three times on Fairlead's way (upstream
to agent, tunnel, appliance to client), twice on nginx's. nginx passes an upload on as it comes, like Fairlead.

Could mislead: loopback has neither loss nor delay, so windows and credit never limit it; what is measured is CPU. The
client is a Python process that shares the cores (its own cost is in the table as `client`) and is the limit of the
direct way and of nginx's, which makes the ratio kinder to Fairlead than a faster client would. MB is 10^6 bytes.
"""

from __future__ import annotations

import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

from benchmarks import client, nginx
from benchmarks.goals import figure
from benchmarks.processes import cpu_seconds
from benchmarks.rounds import Spread, Target, spread, turned
from benchmarks.scenarios import Options
from benchmarks.scenarios.small_get import BASELINE, LANES, start_targets

TIMES = 3  # in a row per round: one takes a fraction of a second, and CPU is counted in ticks of 10 ms
DOWN, UP = "down", "up"


async def run(options: Options) -> dict[str, Any]:
    """Move the body each way, in turn, every round."""
    async with AsyncExitStack() as stack:
        ways = await start_targets(stack, options, lanes=LANES, proxy_workers=(1,))
        for way in ways:
            await _moved(way, DOWN)
        rounds = [
            {
                f"{way.name} {direction}": await moving(way, direction)
                for way in turned(ways, number)
                for direction in (DOWN, UP)
            }
            for number in range(options.rounds)
        ]
    summary = [_row(way.name, direction, rounds) for direction in (DOWN, UP) for way in ways]
    for row in summary:
        cpu = "  ".join(f"{part} {value:.2f}" for part, value in row["cpu_s_per_gib"].items())
        ratio = str(Spread(**row["ratio"]))
        print(f"{row['way']:<15} {row['mb_per_second']:>5.0f} MB/s  ÷ nginx {ratio:<18}  CPU s per GiB: {cpu}")
    found = []
    for lane in LANES:
        for direction in (DOWN, UP):
            pairs = [(done[f"{lane} {direction}"], done[f"{BASELINE} {direction}"]) for done in rounds]
            ratios = [ours["mb_per_second"] / theirs["mb_per_second"] for ours, theirs in pairs]
            goal = "download" if (lane, direction) == ("express", DOWN) else ""
            found.append(figure(f"{lane}: 64 MiB {direction} ÷ nginx", "", ratios, goal))
    return {"figures": found, "summary": summary, "rounds": rounds}


async def moving(way: Target, direction: str) -> dict[str, float]:
    """MB/s of TIMES bodies in a row, and CPU seconds per GiB of each part."""
    before = {part.name: cpu_seconds(part.pid) for part in way.parts}
    began, own = time.perf_counter(), time.process_time()
    size = 0
    for _ in range(TIMES):
        size += await _moved(way, direction)
    took, own = time.perf_counter() - began, time.process_time() - own
    used = {part.name: cpu_seconds(part.pid) - before[part.name] for part in way.parts} | {"client": own}
    return {"mb_per_second": size / 1e6 / took} | {f"cpu {name}": cpu / size * 2**30 for name, cpu in used.items()}


async def _moved(way: Target, direction: str) -> int:
    load = way.asking(nginx.BIG_PATH if direction == DOWN else nginx.UPLOAD_PATH)
    body = 0 if direction == DOWN else nginx.BIG_BYTES
    async with client.asked(load, body_bytes=body) as answer:
        size = await answer.drain()
    if direction == DOWN and size < nginx.BIG_BYTES:
        raise client.BadAnswerError(f"{way.name}: {size} bytes of {nginx.BIG_BYTES}")
    return body or size


def _row(name: str, direction: str, rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    mine = [done[f"{name} {direction}"] for done in rounds]
    theirs = [done[f"{BASELINE} {direction}"] for done in rounds]
    rate = "mb_per_second"
    return {
        "way": f"{name} {direction}",
        rate: statistics.median(figures[rate] for figures in mine),
        "ratio": asdict(spread(a[rate] / b[rate] for a, b in zip(mine, theirs, strict=True))),
        "cpu_s_per_gib": {
            key.removeprefix("cpu "): statistics.median(figures[key] for figures in mine)
            for key in mine[0]
            if key.startswith("cpu ")
        },
    }
