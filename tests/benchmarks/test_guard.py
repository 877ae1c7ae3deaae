"""The hot path may not become slower by a factor without someone noticing."""

from __future__ import annotations

import pytest
import trio

from benchmarks import guard
from tests.support.missing import need

RUN_SECONDS = 90.0  # four loads of three seconds, their warm-ups, and the start of everything


@pytest.mark.real_clock
@pytest.mark.slow
@pytest.mark.alone
async def test_a_small_get_through_the_chain_costs_no_more_than_it_may() -> None:
    need("nginx", "wrk")

    with trio.fail_after(RUN_SECONDS):
        cost, table = await guard.measure()

    print(table)
    assert cost <= guard.CEILING, (
        f"a request costs {cost:.1f} times nginx's CPU; the ceiling is {guard.CEILING}\n{table}"
    )
