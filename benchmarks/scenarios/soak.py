"""soak: the same work over and over, and what is left of it in memory, tasks and descriptors.

Means: appliance and agent are given waves of clients for minutes: each wave opens watches (a first list of 64 KiB, TLS
on both legs) and connections that ask once, and leaves them without a word, as killed clients do. Now and then the
agent is revoked and comes back with a new bundle, so that sessions, certificates and enrolments come and go, too. After
each tenth of the time everything is let go and counted. The figures are what the second half of the time added: to
RSS for each thousand exchanges, to what allocators have in use, to living tasks, to open descriptors, to objects that
Python's collector knows; what the first half adds while caches fill is a figure of its own. Work that leaves nothing
behind adds nothing; a steady rise is a leak, whatever its size.

Could mislead: RSS is the allocators' high-water mark, and rises in steps long after caches are full; a few KiB for a
thousand exchanges within minutes are noise. What is in use (malloc's bytes, Python's blocks) falls again, and tells.
The audit ledger keeps its records on disk, and its page cache is not RSS.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import trio

from benchmarks import fairlead, held, streams
from benchmarks.crowd import Crowd
from benchmarks.fairlead import Chain, Wishes
from benchmarks.goals import Figure, figure
from benchmarks.held import CENSUS, Count
from benchmarks.scenarios import Options
from ops.demo.files import write_private
from tests.support.certificates import TestCA

SECONDS = 150.0
ROUNDS = 1  # its length is the repetition
READINGS = 10
WATCHES = 100  # of a wave
CONNECTIONS = 100
FIRST_BYTES = 64 * 1024
SETTLE_SECONDS = 2.5


async def run(options: Options) -> dict[str, Any]:
    """Waves, and a count after each tenth of the time."""
    wishes = Wishes(name="soak", module=CENSUS, agent_module=CENSUS, probe=streams.PROBE_PATH)
    rows: list[dict[str, Count]] = []
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(streams.streams(options.directory, TestCA.make("benchmark CA")))
        chain = await stack.enter_async_context(fairlead.wished(options.directory, upstream, wishes))
        exchanges = 0
        for _ in range(READINGS):
            until = trio.current_time() + options.seconds / READINGS - SETTLE_SECONDS
            while trio.current_time() < until:
                exchanges += await trio.to_thread.run_sync(_wave, chain)
            await _come_back(chain)
            await trio.sleep(SETTLE_SECONDS)
            rows.append({part.name: await held.count(part, chain.serving.home) for part in chain.parts})
            rows[-1]["appliance"]["exchanges"] = exchanges
            print("  ".join(_line(name, count) for name, count in rows[-1].items()), flush=True)
    return {"figures": _figures(rows), "readings": rows}


def _figures(rows: Sequence[dict[str, Count]]) -> list[Figure]:
    """What the first half added while caches filled, and what the second half did."""
    first, half, end = rows[0], rows[READINGS // 2 - 1], rows[-1]
    warming, thousands = _thousands(first, half), _thousands(half, end)
    found = [figure("exchanges in the second half", "", [thousands * 1000])]
    for name in ("appliance", "agent"):
        before, then, now = first[name], half[name], end[name]
        found.append(
            figure(
                f"RSS added by 1,000 exchanges while warming up: {name}",
                "KiB",
                [(then["rss"] - before["rss"]) / warming],
            )
        )
        found += [
            figure(f"{what} added by 1,000 exchanges: {name}", unit, [(now[key] - then[key]) / thousands])
            for what, key, unit in (
                ("RSS", "rss", "KiB"),
                ("malloc's bytes in use", "malloc", "KiB"),
                ("Python's small blocks", "blocks", ""),
                ("objects", "objects", ""),
            )
        ]
        found += [figure(f"{key} added: {name}", "", [now[key] - then[key]]) for key in ("tasks", "descriptors")]
    return found


def _thousands(earlier: dict[str, Count], later: dict[str, Count]) -> float:
    return max(1.0, (later["appliance"]["exchanges"] - earlier["appliance"]["exchanges"]) / 1000)


def _wave(chain: Chain) -> int:
    """Open many, leave all; returns how many."""
    for path, number, first in (
        (streams.WATCH_PATH, WATCHES, FIRST_BYTES),
        (streams.PROBE_PATH, CONNECTIONS, 1),
    ):
        crowd = Crowd(chain.load(path))
        try:
            crowd.grow(number, first)
        finally:
            crowd.close()
    return WATCHES + CONNECTIONS


async def _come_back(chain: Chain) -> None:
    """Revoke the agent and give it the bundle that brings it back."""
    admin = chain.serving.admin
    (before, *_) = await _sessions(chain)
    made = await admin.call("POST", f"clusters/{chain.registered.cluster_id}/revoke-agent", {})
    write_private(chain.serving.home / "bundle.json", json.dumps(made["bundle"]).encode())
    with trio.fail_after(60):
        while (await _sessions(chain) or [before])[0] == before:  # noqa: ASYNC110 -- the appliance must be asked
            await trio.sleep(0.1)


async def _sessions(chain: Chain) -> list[str]:
    (cluster,) = (await chain.serving.admin.call("GET", "clusters"))["items"]
    return [it["session"] for it in cluster["agents"]]


def _line(name: str, count: Count) -> str:
    return f"{name}: " + " ".join(f"{key} {value:,.0f}" for key, value in count.items())
