"""Ratios are taken within a round, and reported with their spread."""

from __future__ import annotations

import pytest

from benchmarks.rounds import Sample, ratios, summary, table
from benchmarks.wrk import Counted


def sample(target: str, number: int, per_second: int) -> Sample:
    counted = Counted(per_second * 2, 2.0, 0, 1.0, 2.0, 3.0, own_cpu_seconds=0.1)
    return Sample(target, 64, number, counted, {"nginx": 20.0})


SAMPLES = [
    sample("nginx", 0, 1000),
    sample("express", 0, 300),
    sample("nginx", 1, 500),  # the machine was busy with something else: both are slow
    sample("express", 1, 150),
    sample("nginx", 2, 1000),
    sample("express", 2, 400),
]


def test_a_slow_round_slows_both_and_leaves_the_ratio_alone() -> None:
    ratio = ratios(SAMPLES, "express", "nginx", 64)

    assert ratio.median == pytest.approx(0.3)
    assert (ratio.lowest, ratio.highest) == pytest.approx((0.3, 0.4))


def test_the_table_shows_median_and_spread() -> None:
    rows = summary(SAMPLES, "nginx")

    assert [row["target"] for row in rows] == ["nginx", "express"]
    assert "0.30 (0.30-0.40)" in table(rows, "nginx")
