"""The seam between the ledger's logic and the database it stands in: what SQLite and PostgreSQL both offer.

A `Place` is where a ledger is; opening it gives a `Shelf`, one connection used from one thread at a time. What always
holds: a failed call raises and leaves nothing half written; `reopen` makes a shelf usable again after any failure.
Chains, hashes and signatures are not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from appliance.audit.sheaf import Sheaf
from appliance.store.faults import StoreRefused


class AuditRefused(StoreRefused):
    """The audit ledger cannot be used as it is; the text is one sentence for the operator."""


class AuditBroken(Exception):
    """The database could not do it now: full, locked, gone or too slow. Reopen and try again."""


class Shelf(Protocol):
    """One connection. `shared`: other appliances may write beside us. `damage`: raised for what cannot be read."""

    shared: bool
    damage: type[Exception]

    def claim(self) -> None:
        """Be the only writer, where there may be only one; raises AuditRefused."""

    def check(self) -> None:
        """Raise if what we write to is no longer what we opened."""

    def signing(self) -> AbstractContextManager[None]:
        """One transaction that writes, alone among those that sign: whole or not at all."""

    def reading(self) -> AbstractContextManager[None]:
        """One transaction that only reads, all of it from one moment."""

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]: ...

    def add(self, sheaves: Sequence[Sheaf]) -> None:
        """Keep records, in one commit of their own."""

    def hold(self, chain: int) -> bool:
        """Take a chain for as long as the connection lives; False: somebody alive has it."""

    def release(self, chain: int) -> None: ...

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class Place(Protocol):
    """Where a ledger is. Its text is shown to operators and holds no secret. `shared`: several may write at once."""

    @property
    def shared(self) -> bool: ...

    def open(self) -> Shelf:
        """For writing; makes what is missing."""

    def open_to_read(self) -> Shelf: ...
