"""The guard: a short small_get against one nginx worker. It exists to fail when the hot path becomes much slower.

A ratio below FLOOR fails. FLOOR is far below the goal on purpose: on a shared machine a round of three seconds can be
off by a third, and a guard that cries wolf is switched off. What it watches are mistakes of a factor, not of percents.
Missing tools fail too, unless ALLOW_MISSING is "1" in the environment of a developer's machine: a guard that skips
itself guards nothing.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks import nginx, rounds
from benchmarks.rounds import Spread
from benchmarks.scenarios import Options
from benchmarks.scenarios.small_get import BASELINE, start_targets

FLOOR = 0.15
GOAL = 0.30
SECONDS = 3.0
ROUNDS = 1
CONNECTIONS = 64
LANE = "express"
ALLOW_MISSING = "FAIRLEAD_ALLOW_MISSING_TOOLS"


def may_skip(environment: Mapping[str, str] = os.environ) -> str | None:
    """The reason to skip the guard, or None. Raises ToolMissingError where tools are missing and must not be."""
    try:
        for name in ("nginx", "wrk"):
            nginx.tool(name)
    except nginx.ToolMissingError as error:
        if environment.get(ALLOW_MISSING) == "1":
            return f"{error}; {ALLOW_MISSING}=1 allows that"
        raise
    return None


async def measure() -> tuple[Spread, str]:
    """The ratio of requests a second, and the table for whoever reads the failure."""
    with tempfile.TemporaryDirectory(prefix="fairlead-guard-") as directory:
        options = Options(Path(directory), SECONDS, ROUNDS)
        async with AsyncExitStack() as stack:
            targets = await start_targets(stack, options, lanes=(LANE,), proxy_workers=(1,))
            samples = await rounds.interleaved(
                targets, options.directory, connections=CONNECTIONS, rounds=ROUNDS, seconds=SECONDS
            )
    table = rounds.table(rounds.summary(samples, BASELINE), BASELINE)
    return rounds.ratios(samples, LANE, BASELINE, CONNECTIONS), table
