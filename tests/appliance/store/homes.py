"""Where a store under test lives: an SQLite file or a PostgreSQL database of its own. The same tests run in both."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
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
    """A directory says all of it, so that a process of its own finds it: PostgreSQL where a URL lies, else SQLite."""

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
        return read(self.url_file, self.connections) if self.url_file.exists() else self.path

    async def open(self, clock: Callable[[], int] = lambda: NOW, *, migrate: bool = True) -> Store:
        """Inside `asyncio_loop()`, when it is PostgreSQL."""
        return await Store.open(self.where, master_key=self.key, clock=clock, migrate=migrate)

    @asynccontextmanager
    async def opened(self, *, running: bool = False, migrate: bool = True) -> AsyncIterator[Store]:
        async with asyncio_loop() if self.url_file.exists() else nullcontext():
            store = await self.open(migrate=migrate)
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


@contextmanager
def in_postgres(directory: Path, server: PostgresServer) -> Iterator[Home]:
    home = Home(directory, server, server.fresh())
    home.url_file.write_text(server.url(home.database) + "\n")
    home.url_file.chmod(0o600)
    home.key.write_bytes(base64.b64encode(bytes(32)) + b"\n")
    home.key.chmod(0o600)
    try:
        yield home
    finally:
        server.drop(home.database)
