"""download: one body of 64 MiB over one connection; MB/s, and CPU seconds per GiB of each part.

Means: how fast one large `kubectl logs` or list moves when nothing else does, through nginx and through Fairlead, from
the same upstream to the same reader. Every byte is decrypted and encrypted three times on Fairlead's way (upstream to
agent, tunnel, appliance to reader), twice on nginx's.

Could mislead: loopback has neither loss nor delay, so windows and credit never limit it; what is measured is CPU. The
reader is a Python process that shares the cores (its own cost is in the table as `reader`) and is the limit of the
direct way and of nginx's, which makes the ratio kinder to Fairlead than a faster reader would. MB is 10^6 bytes.
"""

from __future__ import annotations

import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks import client, fairlead, nginx
from benchmarks.processes import Part, cpu_seconds
from benchmarks.rounds import Spread, spread
from benchmarks.scenarios import Options
from benchmarks.wrk import Load
from tests.support.certificates import TestCA

BASELINE = "nginx"
DOWNLOADS = 3  # in a row per round: one takes a fraction of a second, and CPU is counted in ticks of 10 ms


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the body."""

    name: str
    load: Load
    ca_pem: str
    parts: tuple[Part, ...]


async def run(options: Options) -> dict[str, Any]:
    """Fetch the body each way, in turn, every round."""
    async with AsyncExitStack() as stack:
        ways = await _ways(stack, options)
        for way in ways:
            await _fetch(way)
        rounds = [{way.name: await _measured(way) for way in ways} for _ in range(options.rounds)]
    summary = [_row(way.name, rounds) for way in ways]
    for row in summary:
        cpu = "  ".join(f"{part} {value:.2f}" for part, value in row["cpu_s_per_gib"].items())
        ratio = str(Spread(**row["ratio"]))
        print(f"{row['way']:<8} {row['mb_per_second']:>5.0f} MB/s  ÷ nginx {ratio:<18}  CPU s per GiB: {cpu}")
    return {"summary": summary, "rounds": rounds}


async def _ways(stack: AsyncExitStack, options: Options) -> list[Way]:
    ca = TestCA.make("benchmark CA")
    upstream = await stack.enter_async_context(nginx.upstream(options.directory, ca))
    proxy = await stack.enter_async_context(nginx.proxy(options.directory, ca, upstream))
    chain = await stack.enter_async_context(fairlead.chain(options.directory, upstream))
    through = Load(chain.url, chain.path + nginx.BIG_PATH, chain.token)
    return [
        Way("direct", Load(upstream.url, nginx.BIG_PATH), ca.pem, (upstream.part,)),
        Way("nginx", Load(proxy.url, nginx.BIG_PATH), ca.pem, (proxy.part, upstream.part)),
        Way("fairlead", through, chain.ca_pem, (*chain.parts, upstream.part)),
    ]


async def _measured(way: Way) -> dict[str, float]:
    before = {part.name: cpu_seconds(part.pid) for part in way.parts}
    began, own = time.perf_counter(), time.process_time()
    size = 0
    for _ in range(DOWNLOADS):
        size += await _fetch(way)
    took, own = time.perf_counter() - began, time.process_time() - own
    used = {part.name: cpu_seconds(part.pid) - before[part.name] for part in way.parts} | {"reader": own}
    return {"mb_per_second": size / 1e6 / took} | {f"cpu {name}": cpu / size * 2**30 for name, cpu in used.items()}


async def _fetch(way: Way) -> int:
    async with client.asked(way.load, way.ca_pem) as answer:
        size = await answer.drain()
    if size < nginx.BIG_BYTES:
        raise client.BadAnswerError(f"{way.name}: {size} bytes of {nginx.BIG_BYTES}")
    return size


def _row(name: str, rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    mine = [done[name] for done in rounds]
    rate = "mb_per_second"
    return {
        "way": name,
        rate: statistics.median(figures[rate] for figures in mine),
        "ratio": asdict(spread(done[name][rate] / done[BASELINE][rate] for done in rounds)),
        "cpu_s_per_gib": {
            key.removeprefix("cpu "): statistics.median(figures[key] for figures in mine)
            for key in mine[0]
            if key.startswith("cpu ")
        },
    }
