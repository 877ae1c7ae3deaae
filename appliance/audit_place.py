"""Where the settings say that the audit ledger is: beside the configuration, in an SQLite file or in PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from appliance import database
from appliance.audit.shelf import Place
from appliance.audit.sqlite import SQLitePlace
from appliance.config import Config
from appliance.layout import Layout
from appliance.store.faults import StoreRefused


def audit_place(config: Config) -> Place:
    """The ledger of this appliance.

    Raises:
        StoreRefused: what the settings say of the database cannot be used.

    """
    layout = Layout(config.data_dir)
    server = database.place(config.store, layout)
    if isinstance(server, Path):
        return SQLitePlace(layout.audit)
    try:
        from appliance.audit.postgres import PostgresPlace
    except ModuleNotFoundError as error:
        raise StoreRefused(
            f"PostgreSQL needs the package {error.name}: run `pip install 'fairlead[postgres]'`."
        ) from None
    return PostgresPlace(server)
