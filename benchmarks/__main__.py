"""`python -m benchmarks [scenario ...]`: runs scenarios one after the other, prints tables, writes JSON.

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
from pathlib import Path
from typing import Any

import trio

from benchmarks import machine
from benchmarks.nginx import ToolMissingError
from benchmarks.processes import PartFailedError
from benchmarks.scenarios import Options
from benchmarks.wrk import LoadFailedError

SCENARIOS = ("small_get", "download", "stalled_readers", "session", "decision")
MOST_SECONDS = 1800.0  # of one scenario with generous rounds; more is a hang


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare with nginx on this machine.")
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help=f"of {', '.join(SCENARIOS)}; default: all")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one load (default 5)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is repeated (default 5)")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    given = parser.parse_args()
    wanted = given.scenarios or list(SCENARIOS)
    unknown = [name for name in wanted if name not in SCENARIOS]
    if unknown or given.rounds < 1 or given.seconds < 1:
        parser.error(f"unknown scenario {unknown[0]}" if unknown else "rounds and seconds are at least 1")
    results: dict[str, Any] = {"machine": machine.facts(), "at": int(time.time()), "scenarios": {}}
    failed = False
    for name in wanted:
        print(f"\n== {name} ==", flush=True)
        try:
            results["scenarios"][name] = trio.run(_run, name, given.seconds, given.rounds)
        except* (PartFailedError, LoadFailedError, ToolMissingError, trio.TooSlowError) as group:
            failed = True
            for error in _leaves(group):
                print(f"{name} failed: {error}", file=sys.stderr)
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1) + "\n")
    if failed:
        sys.exit(1)


async def _run(name: str, seconds: float, rounds: int) -> dict[str, Any]:
    """One scenario in its own directory, until it is done or someone asks us to stop."""
    scenario = importlib.import_module(f"benchmarks.scenarios.{name}")
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as directory:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_signal, nursery.cancel_scope)
            with trio.fail_after(MOST_SECONDS):
                result: dict[str, Any] = await scenario.run(Options(Path(directory), seconds, rounds))
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
