"""Which database the settings name, and the store on it.

What always holds: whoever opens the store, the appliance or a command beside it, opens the same one in the same way
and closes it whatever happens. PostgreSQL's libraries are loaded, and their loop runs, only where it is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import trio

from appliance import config as settings
from appliance.config import Config
from appliance.layout import Layout
from appliance.store import server
from appliance.store.clock import utc_micros
from appliance.store.engine import Engine, open_engine
from appliance.store.faults import StoreRefused
from appliance.store.schema import Preparation
from appliance.store.store import Store
from appliance.store.unit import Unit


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
    key = config.store.master_key or layout.master_key
    async with opened_at(place(config.store, layout), key, migrate=migrate, clock=clock) as store:
        yield store


@asynccontextmanager
async def opened_at(
    where: Path | server.Server, master_key: Path, *, migrate: bool, clock: Callable[[], int] = utc_micros
) -> AsyncIterator[Store]:
    """The store in this database, with the master key in this file; see `opened`."""
    async with nullcontext() if isinstance(where, Path) else _postgres_loop():
        store = await Store.open(where, master_key=master_key, migrate=migrate, clock=clock)
        try:
            yield store
        finally:
            with trio.CancelScope(shield=True):  # bounded by the engine itself
                await store.aclose()


@asynccontextmanager
async def opened_engine(where: Path | server.Server, prepare: Preparation) -> AsyncIterator[Engine]:
    """The database without a store on it: to look at it, to migrate it, to fill it.

    Raises:
        StoreRefused: it cannot be used, or `prepare` refuses it.
        StoreUnavailable: it cannot be reached.

    """
    async with nullcontext() if isinstance(where, Path) else _postgres_loop():
        engine = await open_engine(where, prepare)
        try:
            yield engine
        finally:
            with trio.CancelScope(shield=True):  # bounded by the engine itself
                await engine.aclose()


@dataclass(slots=True)
class Look:
    """The preparation of who only looks: nothing is done. `tabled`: there is a schema; without one it is empty."""

    tabled: bool = False

    def __call__(self, tabled: bool) -> Unit[None]:
        self.tabled = tabled
        yield from ()


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
