"""Where one part's seam meets another part's shape. Nothing here decides anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import trio
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509 import load_pem_x509_certificate

from appliance.api import render
from appliance.api.parts import Bundle
from appliance.audit.book import Reader
from appliance.core import clusters
from appliance.core.clusters import Cluster
from appliance.core.events import NAMES, AuditEvent
from appliance.core.problems import ProblemError
from appliance.core.snapshot import Snapshot
from appliance.store import units
from appliance.store.store import Store
from appliance.tunnel import enrolment
from appliance.tunnel.authority import AgentCertificate, fingerprint
from appliance.tunnel.ports import Redeemed, TokenFault

_FAULTS = {
    units.TokenFault.UNKNOWN: TokenFault.UNKNOWN,
    units.TokenFault.EXPIRED: TokenFault.EXPIRED,
    units.TokenFault.SPENT: TokenFault.SPENT,
    units.TokenFault.REVOKED: TokenFault.EXPIRED,  # it was made for a generation that is over
    units.TokenFault.CLUSTER_GONE: TokenFault.CLUSTER_GONE,
}


class Enrolments:
    """The store as the tunnel wants it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def snapshot(self) -> Snapshot:
        return self._store.snapshot

    async def redeem(
        self, token_sha256: str, key_sha256: str, issue: Callable[[Cluster], AgentCertificate], now: int
    ) -> Redeemed | TokenFault:
        def sign(cluster: Cluster) -> tuple[clusters.AgentCertificate, str]:
            issued = issue(cluster)
            return _kept(issued, cluster.id, cluster.generation), issued.pem

        try:
            enrolled = await self._store.write(units.enrol(token_sha256, key_sha256, sign, now))
        except units.TokenRefused as refused:
            return _FAULTS[refused.fault]
        return Redeemed(enrolled.pem, enrolled.cluster_id, again=enrolled.again)

    async def keep_certificate(self, certificate: AgentCertificate, cluster_id: str, generation: int, now: int) -> bool:
        kept = _kept(certificate, cluster_id, generation)
        key_sha256 = certified_key_sha256(certificate.pem)
        try:
            await self._store.write(units.add_certificate(kept, key_sha256, certificate.pem, now))
        except ProblemError:  # the one that this unit raises: its cluster is not there in this generation
            return False
        return True


def certified_key_sha256(certificate_pem: str) -> str:
    """By which key a certificate is known to the store."""
    key = load_pem_x509_certificate(certificate_pem.encode()).public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    return fingerprint(key).hex()


def _kept(certificate: AgentCertificate, cluster_id: str, generation: int) -> clusters.AgentCertificate:
    return clusters.AgentCertificate(certificate.serial, cluster_id, generation, certificate.not_after)


def bundle_maker(agents_url: str, ca_pem: str) -> Callable[[str, int], Bundle]:
    """How the API makes bundles."""

    def make(cluster_id: str, now: int) -> Bundle:
        minted = enrolment.mint_token(now)
        text = enrolment.bundle(cluster_id, agents_url, minted.token, ca_pem)
        return Bundle(json.loads(text), minted.sha256, minted.expires_at)

    return make


def recent_records(path: Path) -> Callable[[int], Any]:
    """How the API reads the audit trail: a connection of its own, in a thread of its own."""

    def read(limit: int) -> list[AuditEvent]:
        reader = Reader(path)
        try:
            return reader.recent({}, limit=limit)
        finally:
            reader.close()

    async def recent(limit: int) -> Sequence[Mapping[str, Any]]:
        return [_shown(event) for event in await trio.to_thread.run_sync(read, limit)]

    return recent


def _shown(event: AuditEvent) -> dict[str, Any]:
    """A record as the API shows it: its fields under their names, the empty ones left out."""
    shown: dict[str, Any] = {name: value for name, value in event._asdict().items() if value}
    shown["time"] = render.moment(event.time)
    shown["event"] = NAMES[event.type]
    if event.details:
        shown["details"] = dict(event.details)
    if event.duration:
        shown["duration_us"] = shown.pop("duration")
    return shown
