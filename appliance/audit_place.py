"""Where the settings say that the audit ledger is."""

from __future__ import annotations

from appliance.audit.shelf import Place
from appliance.audit.sqlite import SQLitePlace
from appliance.config import Config
from appliance.layout import Layout


def audit_place(config: Config) -> Place:
    """The ledger of this appliance."""
    return SQLitePlace(Layout(config.data_dir).audit)
