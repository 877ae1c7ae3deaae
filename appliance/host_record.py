"""A record written on the appliance's own host while no appliance runs, or in a ledger that several share."""

from __future__ import annotations

import trio

from appliance.audit.book import Book
from appliance.audit.shelf import Place
from appliance.core.events import AuditEvent
from appliance.keys import open_keys
from appliance.store.store import Store


async def record(place: Place, store: Store, event: AuditEvent) -> None:
    """Keep one record, on the disk when this returns. The data directory is claimed, or the place is shared."""
    key = (await open_keys(store, lambda: event.time)).audit

    def write() -> None:
        book = Book(place, key, event.time)
        try:
            book.append([event])
        finally:
            book.close()

    await trio.to_thread.run_sync(write)
