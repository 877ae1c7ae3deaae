"""When agents are back is read from a file of moments and numbers."""

from __future__ import annotations

import pytest

from benchmarks.agents import first_again

STORY = "1.0 0\n2.0 600\n3.0 1000\n10.0 700\n10.5 0\n12.0 500\n20.0 1000\n"


@pytest.mark.parametrize(
    ("since", "number", "moment"),
    [
        (0.0, 1000, 3.0),
        (0.0, 500, 2.0),
        (9.0, 1000, 20.0),
        (9.0, 500, 12.0),  # 700 still lived when the last appliance had just died
        (10.4, 1000, 20.0),
        (20.5, 1000, 0.0),
    ],
)
def test_back_is_whoever_was_gone(since: float, number: int, moment: float) -> None:
    assert first_again(STORY, since, number) == moment


def test_a_line_that_is_being_written_is_not_read() -> None:
    assert first_again("1.0 0\n2.0", 0.0, 1) == 0.0
