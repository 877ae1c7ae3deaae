"""Tests of the relay run twice: with exchanges begun where they are seen, and with a task for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agent import rig


@pytest.fixture(params=["errand", "task"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """How exchanges are begun."""
    rig.ERRANDS["on"] = request.param == "errand"
    yield request.param
    rig.ERRANDS["on"] = True
