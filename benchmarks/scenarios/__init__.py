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
"""Measures, prints a table, and returns what goes into the JSON file."""
