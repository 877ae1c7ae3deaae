"""Tests of the express lane run twice: with requests served where they are seen, and with a task for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.appliance.front import rig


@pytest.fixture(params=["errand", "task"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """How requests are served."""
    rig.ERRANDS["on"] = request.param == "errand"
    yield request.param
    rig.ERRANDS["on"] = True
