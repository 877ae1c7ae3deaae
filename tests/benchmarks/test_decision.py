"""The decision's benchmark measures what it says: requests that are allowed, one that is not, and every size."""

from __future__ import annotations

from pathlib import Path

from appliance.core.decision import Permit, decide
from appliance.core.standing import MAX_REMEMBERED_KINDS
from benchmarks.scenarios import Options, decision


async def test_every_case_is_measured_in_every_world(tmp_path: Path) -> None:
    result = await decision.run(Options(tmp_path, 0.001, 1))
    rows = {(row["case"], row["bindings"], row["roles"]): row for row in result["summary"]}
    assert len(rows) == 6 * len(decision.WORLDS)
    assert all(row["median_us"] >= row["lowest_us"] > 0 for row in rows.values())


def test_few_of_many_bindings_allow_a_request_and_more_kinds_are_asked_than_are_remembered() -> None:
    world = decision.snapshot(1000)
    asked = decision.asks(1000)
    found = decide(decision.CREDENTIAL, world, "cluster_1", asked[0], decision.NOW)
    assert isinstance(found, Permit)
    assert 1 <= len(found.binding_ids) <= 4
    assert len(world.bindings_for(decision.CALLER.id, "cluster_1")) == 1000
    for wanted in (asked, decision.refusals()):
        assert len(set(wanted)) > MAX_REMEMBERED_KINDS
