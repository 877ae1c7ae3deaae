"""What a machine cannot do fails its tests; only a developer may say, on a machine of their own, that it is skipped.

CI never says so, and refuses every skip besides (`FAIRLEAD_TEST_REFUSE_SKIPS`).
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

ALLOW_MISSING = "FAIRLEAD_TEST_ALLOW_MISSING_TOOLS"


def cannot(reason: str) -> NoReturn:
    """End the test: failed, or skipped where that was allowed."""
    if os.environ.get(ALLOW_MISSING) == "1":
        pytest.skip(f"{reason}; {ALLOW_MISSING}=1 allows that")
    pytest.fail(f"{reason}. {ALLOW_MISSING}=1 turns this into a skip on a machine of your own.")


def need(*tools: str) -> None:
    """End the test if one of these commands is not installed. Debian keeps nginx where only root's PATH looks."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin"
    for tool in tools:
        if shutil.which(tool, path=path) is None:
            cannot(f"{tool} is not installed")
