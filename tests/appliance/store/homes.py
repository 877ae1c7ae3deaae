"""Where a store under test lives: an SQLite file or a PostgreSQL database of its own. The same tests run in both."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import trio

from appliance.store.postgres import asyncio_loop
from appliance.store.server import Server, read
from appliance.store.store import Store
from tests.support.postgres import PostgresServer

NOW = 1_800_000_000_000_000


@dataclass
class Home:
    """`url_file` is where the URL stands, for a process of its own; None: an SQLite file in `directory`."""

    directory: Path
    server: PostgresServer | None = None
    database: str = ""
    connections: int = 8

    @property
    def path(self) -> Path:
        return self.directory / "fairlead.db"

    @property
    def url_file(self) -> Path:
        return self.directory / "url"

    @property
    def key(self) -> Path:
        return self.directory / "master.key"

    @property
    def where(self) -> Path | Server:
        return self.path if self.server is None else read(self.url_file, self.connections)

    async def open(self, clock: Callable[[], int] = lambda: NOW, *, migrate: bool = True) -> Store:
        """Inside `loop()`."""
        return await Store.open(self.where, master_key=self.key, clock=clock, migrate=migrate)

    def loop(self) -> object:
        return nullcontext() if self.server is None else asyncio_loop()

    @asynccontextmanager
    async def opened(self, *, running: bool = False) -> AsyncIterator[Store]:
        async with nullcontext() if self.server is None else asyncio_loop():
            store = await self.open()
            try:
                async with trio.open_nursery() as nursery:
                    if running:
                        nursery.start_soon(store.run)
                    yield store
                    nursery.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True):
                    await store.aclose()

    def query(self, statement: str) -> list[tuple[str, ...]]:
        """What a program that is not ours finds in the database; each value as text."""
        if self.server is not None:
            return self.server.query(self.database, statement)
        with closing(sqlite3.connect(self.path)) as connection:
            found = [tuple(str(value) for value in row) for row in connection.execute(statement)]
            connection.commit()
            return found


def in_file(directory: Path) -> Home:
    return Home(directory)


def in_postgres(directory: Path, server: PostgresServer) -> Home:
    home = Home(directory, server, server.fresh())
    home.url_file.write_text(server.url(home.database) + "\n")
    home.url_file.chmod(0o600)
    home.key.write_bytes(base64.b64encode(bytes(32)) + b"\n")
    home.key.chmod(0o600)
    return home
