"""The scenarios: each file opens with what its number means and how it could mislead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """What every scenario is told. `directory` is private to the run and removed after it."""

    directory: Path
    seconds: float
    rounds: int


Scenario = Callable[[Options], Awaitable[dict[str, Any]]]
"""Measures, prints a table, and returns what goes into the JSON file; `figures` are benchmarks.goals.Figure."""

SECONDS = 5.0  # of one load, unless a scenario knows better
ROUNDS = 5  # unless a scenario knows better: fewer say little on a shared machine

SCENARIOS = (
    "small_get",
    "peers",
    "mixed_sizes",
    "transfer",
    "round_trip",
    "watches",
    "stalled_readers",
    "peers_stalled",
    "shell",
    "one_shot",
    "added_latency",
    "storm",
    "arrivals",
    "soak",
    "audit",
    "bindings",
    "footprint",
    "plugin",
    "flood",
    "session",
    "decision",
)
"""All of them, each a module here. What each says at its beginning is part of what it measures."""
