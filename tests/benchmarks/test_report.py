"""The README says what the results say, and the picture shows all of it."""

from __future__ import annotations

from dataclasses import asdict
from xml.etree import ElementTree

from benchmarks import report, scenarios
from benchmarks.goals import GOALS, figure
from benchmarks.picture import picture


def test_the_readme_holds_the_table_of_the_results() -> None:
    text = report.README.read_text()
    made = report.with_table(text, report.table(report.results(report.RESULTS)))
    assert made == text, "run `python -m benchmarks.report` after new results"


def test_every_result_is_of_a_scenario_that_exists() -> None:
    assert set(report.results(report.RESULTS)) <= set(scenarios.SCENARIOS)


def test_a_goal_is_reached_or_not_by_the_median() -> None:
    known = {
        "small_get": {
            "figures": [
                asdict(figure("CPU", "µs", [90, 99, 150], "cpu-appliance")),
                asdict(figure("rate", "", [0.1, 0.2, 0.9], "rate-64")),
                asdict(figure("something else", "s", [1.0])),
            ]
        }
    }
    lines = report.table(known).splitlines()
    assert "| CPU of one request: appliance | ≤ 100 µs | 99.0 (90.0-150) µs | reached | `small_get` |" in lines
    assert any("0.20 (0.10-0.90) | **not reached**" in line for line in lines)
    assert "| `small_get` | something else | 1.00 s |" in lines
    assert sum("not measured" in line for line in lines) == len(GOALS) - 2


def test_the_picture_is_one_whole_document() -> None:
    costs = [("nginx", {"nginx": 20.0, "upstream": 10.0}), ("express", {"appliance": 90.0, "agent": 60.0})]
    goal = GOALS["cpu-appliance"]
    text = picture([(goal, figure("a <b> & c", "µs", [10_000.0]))], costs)
    words = " ".join(element.text or "" for element in ElementTree.fromstring(text).iter())
    assert "express" in words
    assert goal.what in words
    assert "10,000 µs" in words
