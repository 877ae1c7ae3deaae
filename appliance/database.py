"""Which database the settings name, and the store on it.

What always holds: whoever opens the store, the appliance or a command beside it, opens the same one in the same way
and closes it whatever happens. PostgreSQL's libraries are loaded, and their loop runs, only where it is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

import trio

from appliance import config as settings
from appliance.config import Config
from appliance.layout import Layout
from appliance.store import server
from appliance.store.faults import StoreRefused
from appliance.store.store import Store, utc_micros


@asynccontextmanager
async def opened(
    config: Config, *, migrate: bool = True, clock: Callable[[], int] = utc_micros
) -> AsyncIterator[Store]:
    """The store of this configuration.

    Raises:
        StoreRefused: the database, or what is said about it, cannot be used.
        StoreUnavailable: it cannot be reached.
        SealError: the master key file is unusable.

    """
    layout = Layout(config.data_dir)
    where = place(config.store, layout)
    async with nullcontext() if isinstance(where, Path) else _postgres_loop():
        key = config.store.master_key or layout.master_key
        store = await Store.open(where, master_key=key, migrate=migrate, clock=clock)
        try:
            yield store
        finally:
            with trio.CancelScope(shield=True):  # bounded by the engine itself
                await store.aclose()


def place(store: settings.Store, layout: Layout) -> Path | server.Server:
    """Our own file, or the server whose URL stands in the file that is named."""
    if store.url_file is None:
        return layout.store
    try:
        return server.read(store.url_file, store.connections)
    except server.ServerFault as fault:
        raise StoreRefused(f"store.url_file: {store.url_file} {fault}.") from None


def _postgres_loop() -> AbstractAsyncContextManager[None]:
    try:
        from appliance.store.postgres import asyncio_loop
    except ModuleNotFoundError as error:
        raise StoreRefused(
            f"PostgreSQL needs the package {error.name}: run `pip install 'fairlead[postgres]'`."
        ) from None
    return asyncio_loop()
