"""What all results together say: a table for the README and a picture. `python -m benchmarks.report [DIRECTORY]`.

Reads every DIRECTORY/*.json that the runner wrote. The table stands in the README between two marks and is written
there by this program alone, so that it never says anything else than the files (a test holds that).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.goals import GOALS, Figure, Goal
from benchmarks.picture import picture

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE / "README.md"
PICTURE = "picture.svg"
BEGIN, END = "<!-- from results/ by benchmarks.report -->", "<!-- end -->"


def results(directory: Path) -> dict[str, dict[str, Any]]:
    """Each scenario's file, by the scenario's name."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}
    return {name: content for name, content in found.items() if "figures" in content}


def figures(content: dict[str, Any]) -> list[Figure]:
    return [Figure(**one) for one in content["figures"]]


def table(known: dict[str, dict[str, Any]]) -> str:
    """One line per goal, in the design's order, then every other figure."""
    by_goal: dict[str, tuple[str, Figure]] = {}
    others: list[str] = []
    for name, content in known.items():
        for one in figures(content):
            if one.goal:
                by_goal[one.goal] = (name, one)
            else:
                others.append(f"| `{name}` | {one.what} | {one.words()} |")
    lines = ["| figure | goal | measured (lowest-highest) | | scenario |", "|---|---|---|---|---|"]
    lines += [_line(goal, *by_goal.get(key, ("", None))) for key, goal in GOALS.items()]
    return "\n".join([*lines, "", "| scenario | what else was seen | |", "|---|---|---|", *others])


def _line(goal: Goal, scenario: str, found: Figure | None) -> str:
    if found is None:
        return f"| {goal.what} | {goal.words()} | not measured | | |"
    verdict = "reached" if goal.reached(found.median) else "**not reached**"
    return f"| {goal.what} | {goal.words()} | {found.words()} | {verdict} | `{scenario}` |"


def with_table(text: str, made: str) -> str:
    """The README with this table in place of the one it has."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def write(directory: Path, readme: Path | None) -> None:
    """Write the picture beside the results, and the table into the README."""
    known = results(directory)
    (directory / PICTURE).write_text(picture(_bars(known), _costs(known)))
    if readme is not None:
        readme.write_text(with_table(readme.read_text(), table(known)))


def _bars(known: dict[str, dict[str, Any]]) -> list[tuple[Goal, Figure]]:
    found = {one.goal: one for content in known.values() for one in figures(content) if one.goal}
    return [(goal, found[key]) for key, goal in GOALS.items() if key in found]


def _costs(known: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, float]]]:
    """CPU of one request by part, for each way, at 64 connections."""
    rows: Iterable[dict[str, Any]] = known.get("small_get", {}).get("summary", [])
    return [(row["target"], row["cpu_us"]) for row in rows if row["connections"] == 64]


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS
    write(where, README if where == RESULTS else None)
