"""What the agent hears of the appliance."""

from __future__ import annotations

import logging

import pytest
import trio

from agent.reporting import COMPLAINT_SECONDS, Reporter
from wire import calls


async def test_an_appliance_that_sends_notes_without_end_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reporter = Reporter(None, version="1", guard="", refused=lambda: 0, look_seconds=1)  # type: ignore[arg-type]  # unused
    caplog.set_level(logging.WARNING, "fairlead.agent")

    for _ in range(1000):
        reporter._hear(calls.encode({"clock": 0}))
        reporter._hear(b"\xc1")
    assert len(caplog.messages) == 1
    assert "clock" in caplog.messages[0]

    await trio.sleep(COMPLAINT_SECONDS)
    reporter._hear(b"\xc1")
    assert "cannot be read" in caplog.messages[1]
