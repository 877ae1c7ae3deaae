"""stalled_readers: what 64 clients that stop reading do to their neighbours on the same tunnel, and to memory.

Means: 64 connections each ask for 64 MiB, take the head of the answer and read no more, as paused terminals do. A
neighbour asks for 2 KiB on 8 connections before they come and while they stand there: its p99 may grow by half at most.
Memory of appliance and agent (RSS and PSS) and of all TCP sockets is read before and during.

Could mislead: the neighbour's loop is closed, at full load, so its p99 is queueing on shared cores and jumps between
rounds; the ratio's median counts, not one round. RSS keeps what Python has freed but not returned. Socket memory is
that of the whole network namespace: both ends of every loopback connection, ours and the readers' and nginx's.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

import trio

from benchmarks import client, fairlead, nginx, wrk
from benchmarks.fairlead import Chain
from benchmarks.goals import GOALS, figure
from benchmarks.processes import memory, socket_memory_kib
from benchmarks.rounds import Spread, spread
from benchmarks.scenarios import Options
from tests.support.certificates import TestCA

READERS = 64
NEIGHBOUR_CONNECTIONS = 8
SECONDS = 4.0
ROUNDS = 7
SETTLE_SECONDS = 2.0  # until every window and buffer on the way has filled


async def run(options: Options) -> dict[str, Any]:
    """Measure the neighbour without and with stalled readers, round by round."""
    async with AsyncExitStack() as stack:
        ca = TestCA.make("benchmark CA")
        upstream = await stack.enter_async_context(nginx.upstream(options.directory, ca))
        chain = await stack.enter_async_context(fairlead.chain(options.directory, upstream))
        await _neighbour(chain, options)
        rounds = [await _round(chain, options) for _ in range(options.rounds)]
    ratios = [done["p99_stalled_ms"] / done["p99_ms"] for done in rounds]
    ratio = spread(ratios)
    rate = spread(done["per_second_stalled"] / done["per_second"] for done in rounds)
    _print(rounds, ratio, rate)
    found = [figure("neighbour's p99 beside 64 stalled readers", "× unstalled", ratios, "stalled")]
    for name in ("appliance rss", "agent rss", "sockets"):
        grown = [(done["kib_during"][name] - done["kib_before"][name]) / READERS for done in rounds]
        found.append(figure(f"memory of one stalled reader: {name}", "KiB", grown))
    return {"figures": found, "p99_ratio": asdict(ratio), "rate_ratio": asdict(rate), "rounds": rounds}


async def _round(chain: Chain, options: Options) -> dict[str, Any]:
    free = await _neighbour(chain, options)
    before = _memory(chain)
    async with trio.open_nursery() as nursery:
        for _ in range(READERS):
            await nursery.start(stalled, chain.load(nginx.BIG_PATH))
        await trio.sleep(SETTLE_SECONDS)
        held = await _neighbour(chain, options)
        during = _memory(chain)
        nursery.cancel_scope.cancel()
    return {
        "p50_ms": free.p50_ms,
        "p99_ms": free.p99_ms,
        "per_second": free.per_second,
        "p50_stalled_ms": held.p50_ms,
        "p99_stalled_ms": held.p99_ms,
        "per_second_stalled": held.per_second,
        "kib_before": before,
        "kib_during": during,
    }


async def stalled(load: wrk.Load, task_status: trio.TaskStatus[None]) -> None:
    """Ask for the large body and stop reading after its head."""
    async with client.asked(load, small_buffer=True):
        task_status.started()
        await trio.sleep_forever()


async def _neighbour(chain: Chain, options: Options) -> wrk.Counted:
    load = chain.load(nginx.SMALL_PATH)
    return await wrk.run(load, options.directory, connections=NEIGHBOUR_CONNECTIONS, seconds=options.seconds)


def _memory(chain: Chain) -> dict[str, int]:
    found = {"sockets": socket_memory_kib()}
    for part in chain.parts:
        held = memory(part.pid)
        found |= {f"{part.name} rss": held.rss_kib, f"{part.name} pss": held.pss_kib}
    return found


def _print(rounds: list[dict[str, Any]], ratio: Spread, rate: Spread) -> None:
    first, last = rounds[0]["kib_before"], rounds[-1]["kib_during"]
    print(f"neighbour's p99 with {READERS} stalled readers ÷ without: {ratio} (goal: at most {GOALS['stalled'].bound})")
    print(f"neighbour's requests a second, likewise: {rate}")
    for key in first:
        print(f"{key:<14} {first[key] / 1024:>7.1f} MiB before, {last[key] / 1024:>7.1f} MiB during the last round")
