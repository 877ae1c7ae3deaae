"""A record written on the appliance's own host while no appliance runs, or in a ledger that several share."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import trio

from appliance.audit.book import Book
from appliance.audit.shelf import AuditBroken, Place
from appliance.audit_place import audit_place
from appliance.config import Config
from appliance.core.events import AuditEvent
from appliance.keys import open_keys
from appliance.layout import InUseError, Layout
from appliance.store.faults import StoreRefused, StoreUnavailable
from appliance.store.sealing import SealError
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


async def record_unless_running(config: Config, store: Store, event: AuditEvent) -> None:
    """Keep one record, unless an appliance runs here and the ledger is its own."""
    place = audit_place(config)
    with contextlib.suppress(InUseError), nullcontext() if place.shared else Layout(config.data_dir).claimed():
        await record(place, store, event)


@contextmanager
def told_as(kind: type[Exception]) -> Iterator[None]:
    """What store and ledger suffer inside, as one sentence of this kind."""
    try:
        yield
    except (StoreRefused, StoreUnavailable, SealError) as error:
        raise kind(str(error)) from None
    except (OSError, sqlite3.Error, AuditBroken) as error:
        raise kind(f"The audit record cannot be kept: {error}.") from None
