"""The decision's benchmark measures what it says: requests that are allowed, one that is not, and every size."""

from __future__ import annotations

from pathlib import Path

from appliance.core.decision import Permit, decide
from benchmarks.scenarios import Options, decision


async def test_every_case_is_measured_for_every_number_of_bindings(tmp_path: Path) -> None:
    result = await decision.run(Options(tmp_path, 0.001, 1))
    rows = {(row["case"], row["bindings"]): row for row in result["summary"]}
    assert len(rows) == 5 * len(decision.BINDINGS)
    assert all(row["median_us"] >= row["lowest_us"] > 0 for row in rows.values())


def test_few_of_many_bindings_allow_a_request() -> None:
    world = decision.snapshot(1000)
    ask = next(decision.asks(1000))
    found = decide(decision.CREDENTIAL, world, "cluster_1", ask, decision.NOW)
    assert isinstance(found, Permit)
    assert 1 <= len(found.binding_ids) <= 4
    assert len(world.bindings_for(decision.CALLER.id, "cluster_1")) == 1000
