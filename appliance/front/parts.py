"""What the front is given: the seams to core, store, audit and tunnel, as types. Nothing here does anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from appliance.core.buckets import Admission, FailedLogins
from appliance.core.credentials import TokenVerifier
from appliance.core.events import AuditEvent
from appliance.core.networks import NOBODY, Networks
from appliance.core.outages import Outages
from appliance.core.problems import Code
from appliance.core.snapshot import Snapshot
from appliance.tunnel.registry import Registry
from wire.readiness import Readiness
from wire.session import Session

Lane = Literal["express", "hypercorn"]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


class Ledger(Protocol):
    """The part of the audit ledger that the front uses. Whatever it raises means that the record cannot be kept."""

    def try_reserve(self) -> bool:
        """Take a slot for a later `close` if that needs no waiting."""

    async def reserve(self) -> None:
        """Take a slot for a later `close`; raises when there is none within 2 s."""

    async def record(self, event: AuditEvent) -> None:
        """Keep a record; returns after its commit, or raises."""

    def close(self, event: AuditEvent) -> None:
        """Keep a record in a slot taken before; never waits."""

    def deny(self, event: AuditEvent) -> None:
        """Keep the record of a denial; never waits."""

    def count(self, person_id: str, person: str, cluster_id: str, cluster: str) -> None:
        """Count an allowed discovery request; never waits."""


class StoreView(Protocol):
    """The part of the store that the front reads: memory."""

    @property
    def snapshot(self) -> Snapshot:
        """The configuration; one object for life."""

    def fresh(self) -> bool:
        """Whether the snapshot may decide new requests."""

    def lost(self) -> bool:
        """Whether even running streams must end."""


@dataclass(frozen=True, slots=True)
class FrontParts:
    """Everything the front needs. `clock` gives microseconds UTC."""

    public_url: str
    verifier: TokenVerifier
    store: StoreView
    admission: Admission
    failed_logins: FailedLogins
    ledger: Ledger
    registry: Registry[Session]
    clock: Callable[[], int]
    app: AsgiApp
    lane: Lane = "express"
    max_connections: int = 10_000
    proxy_protocol_from: Networks = NOBODY
    """Whose connections begin with a PROXY header."""
    trusted_proxies: Networks = NOBODY
    """Whose word about the client is believed."""
    readiness: Readiness = field(default_factory=Readiness)
    """Where requests are begun without a task. Whoever made the parts has it run for as long as the front serves."""
    refusals: Counter[Code] = field(default_factory=Counter)
    """What the front answered itself, for whoever counts."""
    outages: Outages = field(default_factory=Outages)
