"""The audit ledger in PostgreSQL: any number of appliances, each with chains of its own and one list of checkpoints.

asyncpg needs asyncio; a shelf is used in threads that are not Trio's, and drives a loop of its own there, which runs
only while a statement does. What always holds: a batch of records is one commit; whoever signs is alone while signing;
a chain belongs to one living connection, which PostgreSQL itself knows to be alive (an advisory lock), so nobody ends
the chain of an appliance that is only slow. A statement that does not answer in time breaks the connection. Behind a
pooler that hands transactions out one by one these locks mean nothing: connect to the server itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar

import asyncpg

from appliance.audit import statements
from appliance.audit.sheaf import Sheaf
from appliance.audit.shelf import AuditBroken

T = TypeVar("T")

SCHEMA = "fairlead_audit"
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 5.0  # of the longest, a batch or a look at some thousand records; one that waits longer is stuck
CLOSE_SECONDS = 2.0
SIGNING_LOCK = 0x0FA1_0001  # advisory locks of one database: who signs,
CHAIN_LOCK = 0x0FA1_0002  # and who has a chain

# For each session, because a database's own defaults may be anything.
SESSION = {
    "application_name": "fairlead audit",
    "search_path": SCHEMA,
    "synchronous_commit": "on",  # an acknowledged record survives a power cut
    "statement_timeout": "5000",
    "lock_timeout": "3000",  # whoever signs takes milliseconds
    "idle_in_transaction_session_timeout": "60000",  # verification computes between two pages
    "tcp_keepalives_idle": "15",  # so that the server forgets us, and our chain's lock, when our host died
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class Server(Protocol):
    """Which server, as whom. `tls` is None only for one on this machine."""

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]: ...
    @property
    def database(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def tls(self) -> ssl.SSLContext | None: ...

    def current_password(self) -> str:
        """As it is now: it may be changed while we run."""


@dataclass(frozen=True, slots=True)
class PostgresPlace:
    """A ledger in a database."""

    server: Server = field(repr=False)
    shared: ClassVar[bool] = True

    def __str__(self) -> str:
        hosts = ", ".join(host for host, _ in self.server.hosts)
        return f"in database {self.server.database} of PostgreSQL on {hosts}"

    def open(self) -> PostgresShelf:
        return PostgresShelf(self)

    def open_to_read(self) -> PostgresShelf:
        return PostgresShelf(self, read_only=True)

    async def connect(self, *, read_only: bool) -> asyncpg.Connection:
        server = self.server
        return await asyncpg.connect(
            host=[host for host, _ in server.hosts],
            port=[port for _, port in server.hosts],
            database=server.database,
            user=server.user,
            password=server.current_password,
            ssl=server.tls or False,
            target_session_attrs="any" if read_only else "read-write",  # of several hosts the one that takes writes
            timeout=CONNECT_SECONDS,
            server_settings=SESSION | {"default_transaction_read_only": "on" if read_only else "off"},
        )


class PostgresShelf:
    """One connection and the loop it lives in."""

    shared = True
    damage: type[Exception] = AuditBroken

    def __init__(self, place: PostgresPlace, *, read_only: bool = False) -> None:
        self._place = place
        self._read_only = read_only
        # The store's engine has asyncio ask a context, and a policy, which loop is running: ours is a plain one, in a
        # context of its own, whatever thread we are called from.
        self._context = contextvars.Context()
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self._connection: asyncpg.Connection | None = None
        self._session: tuple[int, datetime] | None = None
        try:
            self.reopen()
        except BaseException:
            self.close()
            raise

    def claim(self) -> None:
        """Any number may write."""

    def check(self) -> None:
        """What we write to is behind our connection, and goes with it."""

    @contextlib.contextmanager
    def signing(self) -> Iterator[None]:
        with self._transaction("BEGIN"):
            self.rows("SELECT pg_advisory_xact_lock($1)", SIGNING_LOCK)
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            yield

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._do(lambda connection: connection.fetch(sql, *values))]

    def add(self, sheaves: Sequence[Sheaf]) -> None:
        # Outside a transaction all of it is one: pipelined, and committed together.
        self._do(lambda connection: connection.executemany(statements.SHEAF_ADD, sheaves))

    def hold(self, chain: int) -> bool:
        return bool(self.rows("SELECT pg_try_advisory_lock($1, $2)", CHAIN_LOCK, chain)[0][0])

    def release(self, chain: int) -> None:
        self.rows("SELECT pg_advisory_unlock($1, $2)", CHAIN_LOCK, chain)

    def reopen(self) -> None:
        self._drop()
        self._connection = self._within(CONNECT_SECONDS, self._place.connect(read_only=self._read_only))
        if self._session is not None:
            # The server may not have noticed that our last connection broke, and keep our chain's lock with it.
            self.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2",
                *self._session,
            )
        ((pid, started),) = self.rows("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        self._session = pid, started
        if not self._read_only:
            self._make_tables()

    def close(self) -> None:
        connection = self._connection
        if connection is not None and not connection.is_closed():
            with contextlib.suppress(AuditBroken):
                self._within(CLOSE_SECONDS, connection.close())
        self._drop()
        self._context.run(self._runner.close)

    def _make_tables(self) -> None:
        """Once; whoever may not make tables can be given them ready made."""
        if self.rows("SELECT to_regclass($1) IS NOT NULL", f"{SCHEMA}.checkpoints")[0][0]:
            return
        with self.signing():
            self.rows(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
            for statement in statements.SCHEMA:
                self.rows(statement)

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.rows(begin)
        try:
            yield
            self.rows("COMMIT")
        except BaseException:
            with contextlib.suppress(AuditBroken):  # a broken connection takes its transaction along
                self.rows("ROLLBACK")
            raise

    def _do(self, work: Callable[[asyncpg.Connection], Coroutine[Any, Any, T]]) -> T:
        connection = self._connection
        if connection is None or connection.is_closed():
            raise AuditBroken("the connection to PostgreSQL is lost")
        return self._within(STATEMENT_SECONDS, work(connection))

    def _within(self, seconds: float, work: Awaitable[T]) -> T:
        async def timed() -> T:
            async with asyncio.timeout(seconds):
                return await work

        try:
            return self._context.run(self._runner.run, timed())
        except TimeoutError:
            self._drop()  # what was asked may still come; nothing more is sent on this connection
            raise AuditBroken(f"PostgreSQL did not answer within {seconds:.0f} s") from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
            raise AuditBroken(str(error) or type(error).__name__) from error

    def _drop(self) -> None:
        """Ends the connection without a word."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()
