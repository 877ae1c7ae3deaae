"""What takes its time says so on a terminal, and leaves nothing behind."""

from __future__ import annotations

import io
import os
import pty
import sys

import pytest

from ops.cli import patience as module
from ops.cli.patience import patience


def test_a_terminal_is_told_and_cleaned(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with patience("Waiting\x1b[2J for it"), patience("Reading"):
            told = os.read(ours, 100)
        cleaned = os.read(ours, 100)
    os.close(ours)

    assert told == b"\rWaiting\\x1b[2J for it, 0s"
    assert cleaned == b"\r" + b" " * (len(told) - 1) + b"\r"


def test_a_log_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with patience("Waiting"):
        pass
    assert log.getvalue() == ""
