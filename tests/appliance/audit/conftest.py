"""One ledger for each engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.appliance.audit.rig import Ledger, SQLiteLedger


@pytest.fixture(params=["sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    """A place for a ledger, empty so far."""
    return SQLiteLedger(tmp_path / "audit.db")
