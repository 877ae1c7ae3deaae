"""What the tunnel asks of the store and the ledger: the seams, as types. Nothing here does anything.

The store satisfies `EnrolmentStore`, the ledger `Record`; `assemble` brings them together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from appliance.core.clusters import Cluster
from appliance.core.events import AuditEvent
from appliance.core.snapshot import Snapshot
from appliance.tunnel.authority import AgentCertificate

Record = Callable[[AuditEvent], Awaitable[None]]
"""Keep one audit record; returns once it is committed, raises when it cannot be kept."""

Clock = Callable[[], int]
"""Microseconds UTC."""


class TokenFault(Enum):
    """Why a bootstrap token buys nothing."""

    UNKNOWN = auto()
    EXPIRED = auto()
    SPENT = auto()
    """By another key: someone else has enrolled with it."""
    CLUSTER_GONE = auto()


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A token's certificate. `again`: it had been issued before, to the same key, and the answer was lost."""

    certificate_pem: str
    cluster_id: str
    again: bool


class EnrolmentStore(Protocol):
    """The part of the store that the tunnel uses."""

    @property
    def snapshot(self) -> Snapshot:
        """The configuration in memory."""

    async def redeem(
        self, token_sha256: str, key_sha256: str, issue: Callable[[Cluster], AgentCertificate], now: int
    ) -> Redeemed | TokenFault:
        """In one unit of work: spend the token for this key, and keep the certificate `issue` makes and its serial.

        A token that the same key has spent gives the same certificate until the token expires.
        """

    async def keep_certificate(self, certificate: AgentCertificate, cluster_id: str, generation: int, now: int) -> bool:
        """Keep the serial of a renewed certificate; returns once the local snapshot knows it.

        False: the cluster is gone or its generation was raised meanwhile, and nothing was kept.
        """
