"""What the store asks of a database, whichever it is.

What always holds, for each engine: a unit is one transaction, carried out whole or not at all, also when its caller is
cancelled; what a write was answered for survives the death of every process involved; a read sees one state of the
database; each call ends by itself within the engine's own limits, and what the database suffers arrives as
`StoreUnavailable`. An engine knows nothing of snapshots: following the feed is the store's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from appliance.store.embedded import Embedded
from appliance.store.schema import Preparation
from appliance.store.server import Server
from appliance.store.unit import Unit

T = TypeVar("T")


class Engine(Protocol):
    """Made by its own `open`, which also brings the schema up to date; used in Trio tasks."""

    async def write(self, unit: Unit[T]) -> T:
        """Runs a unit in a transaction of its own.

        Raises:
            StoreUnavailable: the database cannot be used, or did not answer; the unit may have been carried out.
            ConstraintBroken: a unit let something pass that the schema does not.

        """
        ...

    async def read(self, unit: Unit[T]) -> T:
        """Runs a unit that only reads; a write in it fails."""
        ...

    async def listen(self, heard: Callable[[], None], joined: Callable[[], None]) -> None:
        """Calls `heard` in the Trio thread, soon after others changed something, as well as it can; never returns.

        Whoever listens uses the database: `alone` is refused to others from each call of `joined` on, for as long as
        the connection lives. SQLite never calls it: there the appliance's data directory is locked.
        """
        ...

    def alone(self) -> AbstractAsyncContextManager[None]:
        """Nobody else listens to the database meanwhile.

        Raises:
            StoreInUse: somebody does.
            StoreUnavailable: see `write`.

        """
        ...

    async def aclose(self) -> None:
        """Ends what is running within a few seconds and lets go of everything."""
        ...


async def open_engine(where: Path | Server, prepare: Preparation) -> Engine:
    """An SQLite file, or PostgreSQL inside `asyncio_loop`: its libraries are loaded only here.

    Raises:
        StoreRefused: it is not fit for us, or `prepare` refuses it.
        StoreUnavailable: it cannot be reached.

    """
    if isinstance(where, Path):
        return await Embedded.open(where, prepare)
    from appliance.store.postgres import Postgres

    return await Postgres.open(where, prepare)
