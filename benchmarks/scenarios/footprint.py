"""footprint: what an idle connection, an idle watch and a tunnel hold in memory, and how that grows in number.

Means: RSS of appliance and agent before and after so many more of a kind were opened, divided by how many: a kept
connection after one small GET; a watch after a first list of 256 KiB, TLS on both legs, all on one tunnel; a tunnel of
an idle agent. From 10 to as many as limits allow: a session carries 2,048 exchanges, an appliance takes 4,096
agents, and a process has only so many descriptors. A figure that grows from one step to the next is a leak, or a table
that does not scale.

Could mislead: RSS counts what Python's allocator keeps for later, so the first steps carry caches and pools (the step
from 10 to 100 says little), and a closed connection gives nothing back. The kernel's memory is beside it, for all
sockets of this network namespace: those of clients and upstream, too. A pause before each reading lets windows settle.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import trio

from benchmarks import fairlead, streams
from benchmarks.agents import colony
from benchmarks.crowd import Crowd
from benchmarks.fairlead import Wishes
from benchmarks.goals import Figure, figure
from benchmarks.processes import Part, memory, socket_memory_kib
from benchmarks.scenarios import Options
from benchmarks.streams import Streams
from tests.support.certificates import TestCA

ROUNDS = 1  # growth is the repetition
CONNECTIONS = (10, 100, 1_000, 9_000)
WATCHES = (10, 100, 1_000, 2_000)
TUNNELS = (10, 100, 1_000, 2_000)
AGENTS_PER_CLUSTER = 10
SETTLE_SECONDS = 1.5
JUDGED = 1_000  # the step up to here is the figure

Row = dict[str, float]


async def run(options: Options) -> dict[str, Any]:
    """Grow each kind in processes of its own."""
    grown: dict[str, list[Row]] = {}
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(streams.streams(options.directory, TestCA.make("benchmark CA")))
        grown["connection"] = await _crowd(options, upstream, "connection", CONNECTIONS, 1, streams.PROBE_PATH)
        grown["watch"] = await _crowd(options, upstream, "watch", WATCHES, streams.LIST_BYTES, streams.WATCH_PATH)
        grown["tunnel"] = await _tunnels(options.directory)
    return {"figures": _figures(grown), "growth": grown}


def _figures(grown: dict[str, list[Row]]) -> list[Figure]:
    found = []
    for kind, rows in grown.items():
        for part in ("appliance", "agent"):
            if part not in rows[0]:
                continue
            judged, last = next(row for row in rows if row["number"] == JUDGED), rows[-1]
            goal = f"watch-{part}" if kind == "watch" else ""
            found.append(figure(f"RSS of an idle {kind}, 100 to 1,000: {part}", "KiB", [judged[part]], goal))
            found.append(figure(f"RSS of an idle {kind}, 1,000 to {last['number']:,.0f}: {part}", "KiB", [last[part]]))
    return found


async def _crowd(
    options: Options, upstream: Streams, kind: str, steps: Sequence[int], first_bytes: int, path: str
) -> list[Row]:
    """Connections of clients, each of which asks once and then keeps what it has."""
    async with fairlead.wished(options.directory, upstream, Wishes(name=kind, probe=streams.PROBE_PATH)) as chain:
        crowd = Crowd(chain.load(path))

        async def numbers() -> AsyncIterator[int]:
            for number in steps:
                await trio.to_thread.run_sync(crowd.grow, number, first_bytes)
                yield number

        try:
            return await _grown(chain.parts, numbers())
        finally:
            crowd.close()


async def _tunnels(directory: Path) -> list[Row]:
    """Sessions of agents that have nothing to do. Only the appliance is looked at: many agents share a process here."""
    async with AsyncExitStack() as stack:
        serving = await stack.enter_async_context(
            fairlead.appliance(directory / "fairlead-tunnels", Wishes(name="tunnels"))
        )

        async def numbers() -> AsyncIterator[int]:
            there = 0
            for number in TUNNELS:
                more = number - there
                clusters = max(1, more // AGENTS_PER_CLUSTER)
                home = directory / f"agents-{number}"
                known = await stack.enter_async_context(colony(home, serving, clusters=clusters, agents=more))
                await known.all_there(0.0)
                there = number
                yield number

        return await _grown((serving.part,), numbers())


async def _grown(parts: Sequence[Part], numbers: AsyncIterator[int]) -> list[Row]:
    """KiB for each that was added, step by step."""
    rows: list[Row] = []
    there, before = 0, await _held(parts)
    async for number in numbers:
        held = await _held(parts)
        rows.append({"number": number} | {name: (held[name] - before[name]) / (number - there) for name in held})
        print("  ".join(f"{key} {value:.1f}" for key, value in rows[-1].items()), flush=True)
        there, before = number, held
    return rows


async def _held(parts: Sequence[Part]) -> dict[str, float]:
    await trio.sleep(SETTLE_SECONDS)
    held: dict[str, float] = {part.name: memory(part.pid).rss_kib for part in parts}
    return held | {"kernel": socket_memory_kib()}
