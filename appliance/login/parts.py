"""What sign-in is given: the seams to store, ledger and the way out, as types. Nothing here does anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from appliance.core.buckets import Admission, FailedLogins
from appliance.core.events import AuditEvent
from appliance.core.problems import Code
from appliance.core.snapshot import Snapshot
from appliance.login.dialling import Dialler
from appliance.store.unit import Unit

T = TypeVar("T")

BEGUN_PER_SECOND: Final = 2  # sign-ins of one address in the long run: a whole company may be behind it
BEGUN_AT_ONCE: Final = 100


class Work(Protocol):
    """Do a unit of work in one transaction; a write returns once the local snapshot shows it."""

    async def __call__(self, unit: Unit[T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class LoginParts:
    """`seal` and `unseal` are the store's, for one row each. `clock` gives microseconds UTC."""

    snapshot: Callable[[], Snapshot]
    write: Work
    read: Work
    catch_up: Callable[[], Awaitable[None]]  # with what other appliances have written
    record: Callable[[AuditEvent], Awaitable[None]]
    seal: Callable[[str, bytes], tuple[str, str]]
    unseal: Callable[[str, str, str], bytes]
    dialler: Dialler
    failures: FailedLogins
    beginnings: Admission  # of sign-ins, by address
    clock: Callable[[], int]
    public_url: str
    help_url: str
    faults: Mapping[type[Exception], Code]  # of store and ledger, with what a caller is told
    reread_seconds: int  # how often a provider is asked again about someone who does nothing
