"""The guard: a short small_get against one nginx worker. It exists to fail when the hot path becomes much dearer.

It judges CPU per request of appliance and agent together, in nginx's own CPU per request, because that ratio hardly
moves when something else keeps the machine busy; requests a second do, by a factor, and are printed only. CEILING is
about twice what is usual on purpose: a guard that cries wolf is switched off. What it watches are mistakes of a
factor, not of percents. Missing tools fail too: a guard that skips itself guards nothing.
"""

from __future__ import annotations

import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks import rounds
from benchmarks.scenarios import Options
from benchmarks.scenarios.small_get import BASELINE, start_targets

CEILING = 25.0
SECONDS = 3.0
ROUNDS = 1
CONNECTIONS = 64
LANE = "express"


async def measure() -> tuple[float, str]:
    """CPU per request in nginx's, and the table for whoever reads the failure."""
    with tempfile.TemporaryDirectory(prefix="fairlead-guard-") as directory:
        options = Options(Path(directory), SECONDS, ROUNDS)
        async with AsyncExitStack() as stack:
            targets = await start_targets(stack, options, lanes=(LANE,), proxy_workers=(1,))
            samples = await rounds.interleaved(
                targets, options.directory, connections=CONNECTIONS, rounds=ROUNDS, seconds=SECONDS
            )
    table = rounds.table(rounds.summary(samples, BASELINE), BASELINE)
    ours = statistics.median(s.cpu_us["appliance"] + s.cpu_us["agent"] for s in samples if s.target == LANE)
    theirs = statistics.median(s.cpu_us[BASELINE] for s in samples if s.target == BASELINE)
    return ours / theirs, table
