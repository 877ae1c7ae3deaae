"""soak: the same work over and over, and what is left of it in memory, tasks and descriptors.

Means: appliance and agent are given waves of clients for minutes: each wave opens watches (a first list of 64 KiB, TLS
on both legs) and connections that ask once, and leaves them without a word, as killed clients do. Now and then the
agent is revoked and comes back with a new bundle, so that sessions, certificates and enrolments come and go, too. After
each tenth of the time everything is let go and counted. The figures are what the second half of the time added: to
RSS for each thousand exchanges, to living tasks, to open descriptors, to objects that Python's collector knows. Work
that leaves nothing behind adds nothing; a steady rise is a leak, whatever its size.

Could mislead: RSS is the allocator's high-water mark, and rises in steps long after caches are full; a few KiB for a
thousand exchanges within minutes are noise. The audit ledger keeps its records on disk, and its page cache is not RSS.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import trio

from benchmarks import fairlead, streams
from benchmarks.crowd import Crowd
from benchmarks.fairlead import Chain, Wishes
from benchmarks.goals import figure
from benchmarks.processes import Part, memory
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
ANSWER_SECONDS = 5.0
CENSUS = ("benchmarks.launch", "census")

Count = dict[str, float]


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
            rows.append({part.name: await _count(part, chain.serving.home) for part in chain.parts})
            rows[-1]["appliance"]["exchanges"] = exchanges
            print("  ".join(_line(name, count) for name, count in rows[-1].items()), flush=True)
    half, end = rows[READINGS // 2 - 1], rows[-1]
    thousands = max(1.0, (end["appliance"]["exchanges"] - half["appliance"]["exchanges"]) / 1000)
    found = [figure("exchanges in the second half", "", [thousands * 1000])]
    for name in ("appliance", "agent"):
        added = {key: end[name][key] - half[name][key] for key in ("rss", "tasks", "descriptors", "objects")}
        found += [
            figure(f"RSS added by 1,000 exchanges: {name}", "KiB", [added["rss"] / thousands]),
            figure(f"objects added by 1,000 exchanges: {name}", "", [added["objects"] / thousands]),
            figure(f"tasks added: {name}", "", [added["tasks"]]),
            figure(f"descriptors added: {name}", "", [added["descriptors"]]),
        ]
    return {"figures": found, "readings": rows}


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


async def _count(part: Part, home: Path) -> Count:
    told = home / f"{part.name}-watched"
    told.unlink(missing_ok=True)
    os.kill(part.pid, signal.SIGUSR1)
    with trio.fail_after(ANSWER_SECONDS):
        while not told.exists():  # noqa: ASYNC110 -- a file of another process has no event
            await trio.sleep(0.02)
    counted: Mapping[str, float] = json.loads(told.read_bytes())
    return {**counted, "rss": memory(part.pid).rss_kib, "descriptors": _open(part.pid)}


def _open(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _line(name: str, count: Count) -> str:
    return f"{name}: " + " ".join(f"{key} {value:,.0f}" for key, value in count.items())
