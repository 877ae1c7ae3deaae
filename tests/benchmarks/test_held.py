"""An idle watch may not hold more without someone noticing, nor leave anything behind: counts, not RSS."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from benchmarks import held
from benchmarks.held import Holding

RUN_SECONDS = 60.0

CEILINGS = {
    "appliance": Holding(blocks=125, malloc_kib=18, objects=88, tasks=1),
    "agent": Holding(blocks=90, malloc_kib=22, objects=55, tasks=1),
}
"""Usual: 105 blocks, 15 KiB, 70 objects and 72 blocks, 19 KiB, 43 objects. Trio forgets the deadlines of ended scopes
by the thousand, so what a process has beside its watches varies by one or two thousand blocks between two counts."""

LEFT = Holding(blocks=20, malloc_kib=2, objects=14, tasks=0)
"""The appliance's ledger fills SQLite's page cache by some 200 KiB a wave until that has its 2 MiB."""


@pytest.mark.real_clock
@pytest.mark.slow
async def test_an_idle_watch_holds_no_more_than_it_may_and_leaves_nothing(tmp_path: Path) -> None:
    with trio.fail_after(RUN_SECONDS):
        found = await held.measure(tmp_path)
    for name, most in CEILINGS.items():
        print(f"{name}: {found[name].held.words()}; left {found[name].left.words()}")
        for what in Holding.__dataclass_fields__:
            assert getattr(found[name].held, what) <= getattr(most, what), (
                f"{name}: an idle watch holds {found[name].held.words()}; the ceilings are {most.words()}"
            )
            assert getattr(found[name].left, what) <= getattr(LEFT, what), (
                f"{name}: a watch that has ended leaves {found[name].left.words()}; the ceilings are {LEFT.words()}"
            )
