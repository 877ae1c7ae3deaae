"""The hot path may not take more steps without someone noticing: counts, which a busy machine does not change."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from benchmarks import counts
from benchmarks.counts import Counts
from tests.support.missing import need

RUN_SECONDS = 60.0

CEILINGS = {
    "appliance": Counts(calls=420, reads_and_writes=15, kilobytes=24, waits=8),
    "agent": Counts(calls=350, reads_and_writes=8, kilobytes=7, waits=4),
}


@pytest.mark.real_clock
@pytest.mark.slow
async def test_a_small_get_takes_no_more_steps_than_it_may(tmp_path: Path) -> None:
    need("nginx", "wrk")
    with trio.fail_after(RUN_SECONDS):
        found = await counts.measure(tmp_path)
    for name, most in CEILINGS.items():
        print(f"{name}: {found[name].words()}")
        for what in Counts.__dataclass_fields__:
            assert getattr(found[name], what) <= getattr(most, what), (
                f"{name}: one small GET takes {found[name].words()}; the ceilings are {most.words()}"
            )
