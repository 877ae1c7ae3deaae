"""The figures that are to be reached, and what a scenario says it measured: values, and nothing that measures.

A `Figure` is the median of several rounds with its spread. One that answers a `Goal` names it; the report puts both
side by side. What always holds: a goal is judged by the median, and the spread is shown beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on a figure. `at_least`: more is better."""

    what: str
    bound: float
    unit: str
    at_least: bool = False

    def reached(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def words(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} {self.unit}".rstrip()


GOALS = {
    "cpu-appliance": Goal("CPU of one request: appliance", 100, "µs"),
    "cpu-agent": Goal("CPU of one request: agent", 70, "µs"),
    "rate-64": Goal("requests/s ÷ nginx, 64 connections", 0.40, "", at_least=True),
    "rate-1": Goal("requests/s ÷ nginx, 1 connection", 0.25, "", at_least=True),
    "added-p50": Goal("added latency at 100 requests/s, p50", 1.0, "ms"),
    "added-p99": Goal("added latency at 100 requests/s, p99", 4.0, "ms"),
    "download": Goal("one 64 MiB download ÷ nginx", 0.40, "", at_least=True),
    "far": Goal("one exchange at 100 ms round trip, after 16 MiB, tuned kernel", 50, "MB/s", at_least=True),
    "stalled": Goal("neighbours' p99 beside 64 stalled readers", 1.5, "× unstalled"),
    "watch-appliance": Goal("idle watch after a 256 KiB list, RSS: appliance", 45, "KiB"),
    "watch-agent": Goal("idle watch after a 256 KiB list, RSS: agent", 30, "KiB"),
    "storm": Goal("1,000 agents reconnecting at once: all back", 30, "s"),
    "arrivals": Goal("1,000 agents let go at once, the appliance up: all connected", 30, "s"),
    "arrivals-p99": Goal("meanwhile, p99 of kubectl on another cluster", 3, "× calm"),
    "audit": Goal("audit: share of the rate it costs", 10, "%"),
    "bindings": Goal("requests/s with 1,000 bindings ÷ with one", 0.90, "", at_least=True),
    "plugin": Goal("credential plugin, warm, beyond bare Python", 40, "ms"),
    "flood": Goal("a flooding peer on any listener: delay of a 10 ms heartbeat", 50, "ms"),
}
"""Every row of the design's table of numbers that the program has a part for."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a scenario found out, in one number. `goal` is a key of GOALS, or empty."""

    what: str
    unit: str
    median: float
    lowest: float
    highest: float
    goal: str = ""

    def words(self) -> str:
        """The median and the spread, with its unit."""
        spread = f" ({plain(self.lowest)}-{plain(self.highest)})" if self.lowest != self.highest else ""
        return f"{plain(self.median)}{spread} {self.unit}".rstrip()


def figure(what: str, unit: str, values: Iterable[float], goal: str = "") -> Figure:
    """Take the median of the rounds, and their lowest and highest."""
    known = list(values)
    return Figure(what, unit, statistics.median(known), min(known), max(known), goal)


def plain(value: float) -> str:
    """Three digits that count, no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
