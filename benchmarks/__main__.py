"""`python -m benchmarks [scenario ...]`: runs scenarios one after the other, prints tables, writes JSON and a picture.

What always holds: everything runs on loopback inside one private directory, which is removed at the end; every process
started is ended, also after an error or Ctrl-C; a scenario has a bounded time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trio

from benchmarks import machine, report
from benchmarks.client import BadAnswerError
from benchmarks.goals import GOALS, Figure
from benchmarks.nginx import ToolMissingError
from benchmarks.processes import PartFailedError
from benchmarks.scenarios import ROUNDS, SCENARIOS, SECONDS, Options, Scenario
from benchmarks.wrk import LoadFailedError

MOST_SECONDS = 1800.0  # of one scenario with generous rounds; more is a hang


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare with nginx on this machine.")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--seconds", type=float, help="length of one load (default: the scenario's own)")
    parser.add_argument("--rounds", type=int, help="how often each is repeated (default: the scenario's own)")
    parser.add_argument(
        "--results", type=Path, help="write one JSON file a scenario, and a picture, into this directory"
    )
    given = parser.parse_args()
    wanted = given.scenarios or list(SCENARIOS)
    unknown = [name for name in wanted if name not in SCENARIOS]
    if unknown:
        parser.error(f"unknown scenario {unknown[0]}")
    if (given.rounds or 1) < 1 or (given.seconds or 1) < 1:
        parser.error("rounds and seconds are at least 1")
    failed = [name for name in wanted if not _measured(name, given.seconds, given.rounds, given.results)]
    if failed:
        sys.exit(1)


def _measured(name: str, seconds: float | None, rounds: int | None, into: Path | None) -> bool:
    """Run one scenario and keep what it found. False: it failed, and that is said."""
    print(f"\n== {name} ==", flush=True)
    content: dict[str, Any] = {"machine": machine.facts(), "at": int(time.time())}
    scenario = importlib.import_module(f"benchmarks.scenarios.{name}")
    its: dict[str, Any] = vars(scenario)
    lasting = seconds or float(its.get("SECONDS", SECONDS))
    often = rounds or int(its.get("ROUNDS", ROUNDS))
    found: dict[str, Any] = {}
    try:
        found = trio.run(_run, scenario.run, lasting, often)
    except* (PartFailedError, LoadFailedError, ToolMissingError, BadAnswerError, trio.TooSlowError) as group:
        for error in _leaves(group):
            print(f"{name} failed: {error}", file=sys.stderr)
    if not found:
        return False
    figures: list[Figure] = found.pop("figures", [])
    for one in figures:
        goal = f", goal {GOALS[one.goal].words()}" if one.goal else ""
        print(f"* {one.what}: {one.words()}{goal}")
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
        content |= {"ran": {"seconds": lasting, "rounds": often}, "figures": [asdict(one) for one in figures]}
        (into / f"{name}.json").write_text(json.dumps(content | found, indent=1) + "\n")
        report.write(into, None)
    return True


async def _run(scenario: Scenario, seconds: float, rounds: int) -> dict[str, Any]:
    """One scenario in its own directory, until it is done or someone asks us to stop."""
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as directory:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
            with trio.fail_after(MOST_SECONDS):
                result: dict[str, Any] = await scenario(Options(Path(directory), seconds, rounds))
            nursery.cancel_scope.cancel()
            return result
    raise SystemExit("stopped")  # a signal cancelled the scenario; everything it started has ended


async def _stop_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    main()
