"""What the log says of a use that could not be noted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from appliance.api.token_uses import say_unnoted
from appliance.core.outages import Outages
from appliance.logs import without_secrets
from tests.appliance.api.rig import rig

pytestmark = pytest.mark.real_clock


async def test_the_log_names_the_token_and_shows_no_secret(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        parts = replace(api.parts, outages=Outages())
        with structlog.testing.capture_logs() as said:
            say_unnoted(parts, OSError("the disk is full"), "mt_1")
            say_unnoted(parts, OSError("the disk is full"), "mt_2")
    (line,) = said
    shown = without_secrets(None, "warning", line)
    assert (shown["token_id"], shown["why"], shown["times"]) == ("mt_1", "the disk is full", 1)
