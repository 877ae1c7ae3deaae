"""Rounds of load, interleaved, and what may be said of them.

Every round visits every target once, in turning order, so that a machine that slows down slows all of them. A ratio is
taken within a round and the median of the rounds is reported with its spread (lowest to highest): on a shared machine
one round says little.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import trio

from benchmarks import wrk
from benchmarks.nginx import SMALL_PATH
from benchmarks.processes import Part, cpu_seconds

T = TypeVar("T")

WARM_SECONDS = 1.0  # connections, caches and windows settle; not counted
SETTLE_SECONDS = 0.2  # closing connections are worked off before the next target is measured


@dataclass(frozen=True, slots=True)
class Target:
    """One way to the same answer, and the processes on that way."""

    name: str
    load: wrk.Load
    parts: tuple[Part, ...]

    def asking(self, path: str) -> wrk.Load:
        """For another path in place of the small answer's."""
        return replace(self.load, path=self.load.path.removesuffix(SMALL_PATH) + path)


@dataclass(frozen=True, slots=True)
class Sample:
    """One target in one round."""

    target: str
    connections: int
    round: int
    counted: wrk.Counted
    cpu_us: dict[str, float]  # per request, of each part


@dataclass(frozen=True, slots=True)
class Spread:
    """Several rounds as one figure."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f}-{self.highest:.2f})"


def cost(samples: Sequence[Sample], target: str, part: str, connections: int) -> list[float]:
    """CPU in µs of one request, of one part, in each round."""
    return [s.cpu_us[part] for s in samples if s.target == target and s.connections == connections]


def paired(samples: Sequence[Sample], name: str, baseline: str, connections: int) -> list[float]:
    """Requests per second of `name` over those of `baseline`, round by round."""

    def rates(target: str) -> dict[int, float]:
        return {s.round: s.counted.per_second for s in samples if s.target == target and s.connections == connections}

    ours, theirs = rates(name), rates(baseline)
    return [ours[number] / theirs[number] for number in ours if number in theirs]


def spread(values: Iterable[float]) -> Spread:
    known = list(values)
    return Spread(statistics.median(known), min(known), max(known))


class Loading(Protocol):
    """Whatever loads a target for a while: wrk, unless a scenario has its own client."""

    async def __call__(
        self, load: wrk.Load, directory: Path, /, *, connections: int, seconds: float
    ) -> wrk.Counted: ...


def turned(ways: Sequence[T], number: int) -> list[T]:
    """The order in which a round visits them: each round begins with another."""
    first = number % len(ways)
    return [*ways[first:], *ways[:first]]


async def interleaved(
    targets: Sequence[Target],
    directory: Path,
    *,
    connections: int,
    rounds: int,
    seconds: float,
    loading: Loading = wrk.run,
) -> list[Sample]:
    """Load each target once a round."""
    for target in targets:
        await loading(target.load, directory, connections=connections, seconds=WARM_SECONDS)
    samples = []
    for number in range(rounds):
        for target in turned(targets, number):
            await trio.sleep(SETTLE_SECONDS)
            samples.append(await _sample(target, loading, directory, connections, number, seconds))
    return samples


async def _sample(
    target: Target, loading: Loading, directory: Path, connections: int, number: int, seconds: float
) -> Sample:
    before = {part.name: cpu_seconds(part.pid) for part in target.parts}
    counted = await loading(target.load, directory, connections=connections, seconds=seconds)
    used = {part.name: cpu_seconds(part.pid) - before[part.name] for part in target.parts}
    used["client"] = counted.own_cpu_seconds
    return Sample(
        target.name, connections, number, counted, {name: 1e6 * cpu / counted.requests for name, cpu in used.items()}
    )


def ratios(samples: Sequence[Sample], name: str, baseline: str, connections: int) -> Spread:
    """The same as one figure."""
    return spread(paired(samples, name, baseline, connections))


def summary(samples: Sequence[Sample], baseline: str) -> list[dict[str, Any]]:
    """One row per target and number of connections."""
    rows = []
    for connections in sorted({s.connections for s in samples}, reverse=True):
        for name in dict.fromkeys(s.target for s in samples):
            mine = [s for s in samples if s.target == name and s.connections == connections]
            if not mine:
                continue

            def of(figure: Callable[[Sample], float], mine: list[Sample] = mine) -> float:
                return statistics.median(figure(sample) for sample in mine)

            rows.append(
                {
                    "connections": connections,
                    "target": name,
                    "rounds": len(mine),
                    "per_second": of(lambda s: s.counted.per_second),
                    "ratio": asdict(ratios(samples, name, baseline, connections)),
                    "p50_ms": of(lambda s: s.counted.p50_ms),
                    "p99_ms": of(lambda s: s.counted.p99_ms),
                    "cpu_us": {part: of(lambda s, part=part: s.cpu_us[part]) for part in mine[0].cpu_us},  # type: ignore[misc]
                }
            )
    return rows


def table(rows: Sequence[dict[str, Any]], baseline: str) -> str:
    """The rows for people."""
    lines = [
        f"{'conns':>5} {'target':<12} {'req/s':>8} {'÷ ' + baseline:>20} {'p50 ms':>8} {'p99 ms':>8}  CPU µs a request"
    ]
    for row in rows:
        cpu = "  ".join(f"{part} {value:.0f}" for part, value in row["cpu_us"].items())
        ratio = str(Spread(**row["ratio"]))
        lines.append(
            f"{row['connections']:>5} {row['target']:<12} {row['per_second']:>8.0f} {ratio:>20} "
            f"{row['p50_ms']:>8.2f} {row['p99_ms']:>8.2f}  {cpu}"
        )
    return "\n".join(lines)


def as_json(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Every round, for whoever wants to judge the spread themselves."""
    return [asdict(sample) for sample in samples]
