"""What the benchmarks change about the program they change for themselves alone: nothing outside them knows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import fairlead, launch
from benchmarks.fairlead import Wishes
from tests.rules.sources import Source, imports, sources, tracked_texts, verdict

OWN = ("benchmarks", "tests/benchmarks")
NAMES = ("benchmarks.launch", "UnkeptLedger", "BeatingLedger")
UNRECORDED_WHY = "No audit, no access: a program that could be started without its ledger would be, one day."


def knowing(source: Source) -> bool:
    """Whether a source names what only the benchmarks may know."""
    return any(name in source.text for name in NAMES) or any(
        found.name == "benchmarks" or found.name.startswith("benchmarks.") for found in imports(source)
    )


def test_no_part_of_the_program_knows_the_benchmarks() -> None:
    verdict(
        [source.path for source in sources() if not source.within(*OWN, "tests") and knowing(source)], UNRECORDED_WHY
    )
    verdict(
        [text.path for text in tracked_texts() if not text.within(*OWN) and any(name in text.text for name in NAMES)],
        UNRECORDED_WHY,
    )


@pytest.mark.parametrize("text", ["import benchmarks.launch", "from benchmarks import launch", "x = 'UnkeptLedger'"])
def test_the_rule_sees_an_offence(text: str) -> None:
    assert knowing(Source("appliance/x.py", text))


def test_an_installation_has_no_benchmarks() -> None:
    """Only what pyproject.toml includes is installed."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    found = next(line for line in project.read_text().splitlines() if line.startswith("include = "))
    assert "wire*" in found
    assert "benchmarks" not in found


def test_an_unknown_change_is_refused() -> None:
    with pytest.raises(SystemExit, match="knows no 'quiet'"):
        launch.launch("quiet")


@pytest.mark.real_clock
async def test_an_appliance_without_records_says_so(tmp_path: Path) -> None:
    wishes = Wishes(name="unrecorded", module=("benchmarks.launch", "unrecorded"))
    async with fairlead.appliance(tmp_path / "unrecorded", wishes) as serving:
        await serving.admin.call("POST", "clusters", {"name": "one"})
    log = (tmp_path / "unrecorded" / "appliance.log").read_text()
    assert "keeps no audit records" in log


def test_the_usual_command_is_the_product() -> None:
    assert Wishes().module == Wishes().agent_module == ("ops.demo.leash",)
