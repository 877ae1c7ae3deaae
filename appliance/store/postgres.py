"""PostgreSQL as an engine of the store: asyncpg, on an asyncio loop that Trio runs.

What always holds: a whole unit is one asyncio function, entered through `_carry` and nowhere else, so a cancellation
from Trio finds one place to end it: a connection in an unknown state is cut, never given back, and the server rolls
it back. Configuration writes come one after another, because the first thing each does is to change the feed's row.
Client and server both hold limits, the server's for when we are gone: it ends a transaction whose client stopped.
A notification only shortens the wait of those who poll; nothing depends on it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
import trio
import trio_asyncio

from appliance.store.faults import StoreInUse, StoreRefused, StoreUnavailable
from appliance.store.schema import Preparation
from appliance.store.server import Server
from appliance.store.sqlstates import LOST, translated
from appliance.store.transaction import cut, drive, fit, nothing, whole
from appliance.store.unit import Unit

T = TypeVar("T")

# Each is longer than what it may have to wait for, so that the innermost limit speaks first.
CONNECT_SECONDS = 5.0
IDLE_IN_TRANSACTION_SECONDS = 5.0  # a client that stopped in the middle holds up the others this long
LOCK_SECONDS = 8.0  # longer than one such client
STATEMENT_SECONDS = 10.0
QUEUE_SECONDS = 10.0  # for one's turn to write, behind those that wait for a lock
COMMAND_SECONDS = 12.0  # then we no longer believe that the server still works on it
CLOSE_SECONDS = 5.0
MIGRATION_SECONDS = 600.0  # a statement of a migration may rewrite a large table
MAX_IDLE_SECONDS = 300.0  # an unused connection is closed; firewalls forget them
MAX_PREPARED = 256  # of one connection; there are about a hundred statements
MAX_WAITING_UNITS = 1_000  # as many as SQLite's thread takes; beyond, the server has stopped

RECONNECT_SECONDS = 1.0
LISTENER_PULSE_SECONDS = 30.0  # how soon a dead but silent listening connection is noticed

CHANNEL = "fairlead_feed"
MIGRATION_LOCK = 0x_6661_6972_6C65_6164  # "fairlead", as the number of an advisory lock
LISTENERS_LOCK = MIGRATION_LOCK + 1  # shared by all that listen

BEGIN_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"  # after the feed's lock each statement sees the latest
BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"  # one state for all its statements
NOTIFY = f"NOTIFY {CHANNEL}"  # told to the others by the commit
TABLED = "SELECT to_regclass('schema_migrations') IS NOT NULL"

log = logging.getLogger("fairlead.store")


@asynccontextmanager
async def asyncio_loop() -> AsyncIterator[None]:
    """The asyncio loop that asyncpg needs, for everything inside; the one around us, if there is one."""
    if trio_asyncio.current_loop.get() is not None:
        yield
        return
    failure: Exception | None = None
    async with trio_asyncio.open_loop():
        try:
            yield
        except Exception as error:  # noqa: BLE001 -- raised below, outside the loop's nurseries, which would wrap it
            failure = error
    if failure is not None:
        raise failure


class Postgres:
    """See `Engine`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = trio_asyncio.current_loop.get()
        if self._loop is None:
            raise RuntimeError("PostgreSQL is opened inside asyncio_loop()")
        self._pool: asyncpg.Pool
        self._turns: asyncio.Semaphore  # to write; readers always find a connection
        self._waiting = 0

    @classmethod
    async def open(cls, server: Server, prepare: Preparation) -> Postgres:
        """Connects, and has the schema prepared under a lock.

        Raises:
            StoreRefused: the database is not fit for us, or `prepare` refuses it.
            StoreUnavailable: it cannot be reached.

        """
        engine = cls(server)
        await engine._carry(engine._start, prepare)
        return engine

    async def write(self, unit: Unit[T]) -> T:
        return await self._carry(self._write, unit)

    async def read(self, unit: Unit[T]) -> T:
        return await self._carry(self._unit, BEGIN_READ, unit)

    async def listen(self, heard: Callable[[], None], joined: Callable[[], None]) -> None:
        await self._carry(self._listen, heard, joined)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        connection = await self._carry(self._exclude)
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):  # it only drops the connection
                await self._carry(_drop, connection)

    async def aclose(self) -> None:
        await self._carry(self._close)

    async def _carry(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """The one way from Trio into asyncio. Cancelled, it returns when `work` has ended, which it does at once."""
        token = trio_asyncio.current_loop.set(self._loop)
        try:
            with translated():
                result: T = await trio_asyncio.aio_as_trio(work)(*arguments)
                return result
        except asyncio.CancelledError:
            raise StoreUnavailable("the connection to the database was closed while in use") from None
        finally:
            trio_asyncio.current_loop.reset(token)

    # In asyncio

    async def _start(self, prepare: Preparation) -> None:
        self._turns = asyncio.Semaphore(self._server.connections - 1)
        self._pool = await asyncpg.create_pool(
            **self._whom(),
            min_size=0,
            max_size=self._server.connections,
            max_inactive_connection_lifetime=MAX_IDLE_SECONDS,
            command_timeout=COMMAND_SECONDS,
            statement_cache_size=MAX_PREPARED,
            init=fit,
            reset=nothing,
        )
        try:
            connection = await self._begun(BEGIN_WRITE)
            async with whole(self._pool, connection):
                await connection.execute(f"SET LOCAL statement_timeout = {round(MIGRATION_SECONDS * 1000)}")
                await connection.execute("SELECT pg_advisory_xact_lock($1)", MIGRATION_LOCK)
                tabled = await connection.fetchval(TABLED)
                await drive(connection, prepare(tabled), MIGRATION_SECONDS)
        except asyncpg.UndefinedColumnError:
            self._pool.terminate()
            raise StoreRefused("Another program's tables lie in this database. Give us one of our own.") from None
        except BaseException:
            self._pool.terminate()
            raise

    async def _write(self, unit: Unit[T]) -> T:
        if self._waiting >= MAX_WAITING_UNITS:
            raise StoreUnavailable("too much is waiting to be written")
        self._waiting += 1
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._unit(BEGIN_WRITE, unit)
        finally:
            self._turns.release()

    async def _unit(self, begin: str, unit: Unit[T]) -> T:
        connection = await self._begun(begin)
        async with whole(self._pool, connection) as ending:
            result, announced = await drive(connection, unit, COMMAND_SECONDS)
            if announced:
                ending.append(NOTIFY)
        return result

    async def _begun(self, begin: str) -> Any:
        """A connection in a fresh transaction. Those that turn out to have died meanwhile are replaced."""
        for left in range(self._server.connections, -1, -1):
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
            try:
                await connection.execute(begin)
                return connection
            except BaseException as error:
                cut(connection)
                if left == 0 or not isinstance(error, LOST) or isinstance(error, TimeoutError):
                    raise
        raise AssertionError

    async def _exclude(self) -> Any:
        """A connection that keeps listeners out for as long as it lives."""
        connection = await asyncpg.connect(**self._whom(), command_timeout=CONNECT_SECONDS)
        try:
            if await connection.fetchval("SELECT pg_try_advisory_lock($1)", LISTENERS_LOCK):
                return connection
            raise StoreInUse("Appliances are running on this database.")
        except BaseException:
            connection.terminate()
            raise

    async def _listen(self, heard: Callable[[], None], joined: Callable[[], None]) -> None:
        failing = False
        while True:
            try:
                connection = await asyncpg.connect(**self._whom(), command_timeout=CONNECT_SECONDS)
                failing = False
                try:
                    # Refused for as long as somebody wants to be alone; then what we know may be old.
                    if await connection.fetchval("SELECT pg_try_advisory_lock_shared($1)", LISTENERS_LOCK):
                        joined()
                        await _hear(connection, heard)
                finally:
                    connection.terminate()
            except (*LOST, asyncpg.PostgresError) as error:
                if not failing:
                    log.info("changes are looked for, not told, until PostgreSQL is back: %s", type(error).__name__)
                failing = True
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_SECONDS)
        except (*LOST, asyncpg.PostgresError):
            pass
        finally:
            self._pool.terminate()

    def _whom(self) -> dict[str, Any]:
        """To whom and as whom; each of it said, so that asyncpg looks for none of it in the environment."""
        it = self._server
        return {
            "host": [host for host, _ in it.hosts],
            "port": [port for _, port in it.hosts],
            "user": it.user,
            "password": it.current_password,
            "database": it.database,
            "ssl": it.tls or False,
            "target_session_attrs": "read-write",
            "timeout": CONNECT_SECONDS,
            "server_settings": {
                "application_name": "fairlead",
                "statement_timeout": str(round(STATEMENT_SECONDS * 1000)),
                "lock_timeout": str(round(LOCK_SECONDS * 1000)),
                "idle_in_transaction_session_timeout": str(round(IDLE_IN_TRANSACTION_SECONDS * 1000)),
            },
        }


async def _drop(connection: Any) -> None:
    connection.terminate()


async def _hear(connection: Any, heard: Callable[[], None]) -> None:
    """Until the connection is lost, which is noticed at once when it closes and within a pulse when it is dead."""
    gone = asyncio.Event()
    connection.add_termination_listener(lambda _: gone.set())
    await connection.add_listener(CHANNEL, lambda *_: heard())
    heard()  # whatever was said before we listened
    while not connection.is_closed():
        try:
            await asyncio.wait_for(gone.wait(), LISTENER_PULSE_SECONDS)
        except TimeoutError:
            await connection.execute("SELECT 1")
