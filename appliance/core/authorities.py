"""Which certificate authorities there are, and how one takes over from another. Pure; the keys are elsewhere.

What always holds: there is one, or for as long as a change lasts there are two, both trusted. The older one vouches for
our listeners, because that is the one every agent knows; the newer one for agents, so that whoever has renewed since
needs the older one no more. The change is over when the older one is gone: then the newer one does both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from appliance.core.clusters import AgentCertificate

FIRST: Final = "authority"  # those after it have a number
SECOND: Final = 1_000_000
MARGIN: Final = 2 * SECOND  # in which another appliance may not have seen yet that there is a newer authority


@dataclass(frozen=True, slots=True)
class KnownAuthority:
    """An authority by the name under which its key is sealed."""

    name: str
    created_at: int


def number(name: str) -> int:
    """Where an authority stands in the order of their making."""
    return int(name.partition("/")[2] or 1)


def successor(name: str) -> str:
    """The name of the next one."""
    return f"{FIRST}/{number(name) + 1}"


def in_order(known: Mapping[str, KnownAuthority]) -> tuple[KnownAuthority, ...]:
    """The oldest first."""
    return tuple(sorted(known.values(), key=lambda it: number(it.name)))


def issued_before(certificate: AgentCertificate, authority: KnownAuthority) -> bool:
    """Whether a certificate may be of an authority before this one."""
    return certificate.issued_at < authority.created_at + MARGIN


def clusters_behind(certificates: Iterable[AgentCertificate], newest: KnownAuthority, now: int) -> frozenset[str]:
    """The ids of clusters whose agents hold certificates of an older authority, and none of this one."""
    live = [it for it in certificates if it.not_after > now]
    renewed = {it.cluster_id for it in live if not issued_before(it, newest)}
    return frozenset(it.cluster_id for it in live) - renewed
