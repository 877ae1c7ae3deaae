"""What idle watches hold in appliance and agent, in counts: blocks, bytes, objects, tasks; and what they leave behind.

RSS tells the same only for thousands of watches on a quiet machine; these counts are the same everywhere. Each watch
has read a first list of 256 KiB, TLS on both legs, as in the scenario `footprint`. benchmarks.launch takes the census:
Python's small objects in blocks of `sys.getallocatedblocks`, all else in use of the C library's heap (OpenSSL's
buffers above all, which no tool of Python sees).
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trio

from benchmarks import fairlead, streams
from benchmarks.crowd import Crowd
from benchmarks.fairlead import Chain, Wishes
from benchmarks.processes import Part, memory
from tests.support.certificates import TestCA

HELD = 200
MORE_DESCRIPTORS = 5  # what may have been opened for other reasons since the start
ANSWER_SECONDS = 5.0
SETTLE_SECONDS = 10.0
POLL_SECONDS = 0.05
CENSUS = ("benchmarks.launch", "census")
"""The module and word that start a command which can be counted."""

Count = dict[str, float]


@dataclass(frozen=True, slots=True)
class Holding:
    """Of one watch, in one process."""

    blocks: float
    malloc_kib: float
    objects: float
    tasks: float

    def words(self) -> str:
        return (
            f"{self.blocks:.1f} small blocks, {self.malloc_kib:.1f} KiB of malloc, {self.objects:.1f} objects, "
            f"{self.tasks:.2f} tasks"
        )


@dataclass(frozen=True, slots=True)
class Found:
    """While the watches are there, and when they have ended."""

    held: Holding
    left: Holding


async def measure(directory: Path) -> dict[str, Found]:
    """Open watches on a chain that is warm, count, end them, count again."""
    wishes = Wishes(name="held", module=CENSUS, agent_module=CENSUS, probe=streams.PROBE_PATH)
    async with (
        streams.streams(directory, TestCA.make("benchmark CA")) as upstream,
        fairlead.wished(directory, upstream, wishes) as chain,
    ):
        idle = {part.name: _open(part.pid) for part in chain.parts}
        crowd = Crowd(chain.load(streams.WATCH_PATH))
        readings = []
        try:
            for watches in (HELD, 0, HELD, 0):  # the first wave fills caches and pools
                if watches:
                    await trio.to_thread.run_sync(crowd.grow, watches, streams.LIST_BYTES)
                else:
                    crowd.close()
                readings.append(await _settled(chain, idle, watches))
        finally:
            crowd.close()
    _, before, there, after = readings
    return {name: Found(_each(before[name], there[name]), _each(before[name], after[name])) for name in before}


async def count(part: Part, home: Path) -> Count:
    """Ask a part for its census; beside it what the kernel counts."""
    told = home / f"{part.name}-watched"
    told.unlink(missing_ok=True)
    os.kill(part.pid, signal.SIGUSR1)
    with trio.fail_after(ANSWER_SECONDS):
        while not told.exists():  # noqa: ASYNC110 -- a file of another process has no event
            await trio.sleep(0.02)
    counted: Mapping[str, float] = json.loads(told.read_bytes())
    return {**counted, "rss": memory(part.pid).rss_kib, "descriptors": _open(part.pid)}


async def _settled(chain: Chain, idle: dict[str, int], watches: int) -> dict[str, Count]:
    """Count when no more sockets are open than so many watches need: an end is noticed within the second."""
    with trio.fail_after(SETTLE_SECONDS):
        while any(_open(it.pid) > idle[it.name] + watches + MORE_DESCRIPTORS for it in chain.parts):  # noqa: ASYNC110
            await trio.sleep(POLL_SECONDS)
    return {part.name: await count(part, chain.serving.home) for part in chain.parts}


def _open(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def _each(before: Count, there: Count) -> Holding:
    added = {key: (there[key] - before[key]) / HELD for key in ("blocks", "malloc", "objects", "tasks")}
    return Holding(added["blocks"], added["malloc"], added["objects"], added["tasks"])


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(prefix="fairlead-held-") as made:
        for name, found in trio.run(measure, Path(made)).items():
            print(f"{name}: held {found.held.words()}; left {found.left.words()}")
