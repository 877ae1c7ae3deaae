"""Where one part's seam meets another part's shape. Nothing here decides anything."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import trio
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.x509 import load_pem_x509_certificate

from appliance.api.parts import Bundle
from appliance.audit.reader import Reader
from appliance.audit.shelf import AuditBroken, Place
from appliance.audit.shown import shown
from appliance.core import clusters
from appliance.core.audit_query import AuditQuery
from appliance.core.clusters import Cluster
from appliance.core.problems import ProblemError
from appliance.core.snapshot import Snapshot
from appliance.login.keys import BadKeys, parse
from appliance.store import units
from appliance.store.store import Store
from appliance.tunnel import enrolment
from appliance.tunnel.authority import AgentCertificate, fingerprint
from appliance.tunnel.ports import Redeemed, TokenFault
from appliance.tunnel.trust import Trust

T = TypeVar("T")

AUDIT_READERS: Final = 4  # searches at once; each may keep a core busy for its two seconds

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


def bundle_maker(agents_url: str, trust: Trust) -> Callable[[str, int], Bundle]:
    """How the API makes bundles."""

    def make(cluster_id: str, now: int) -> Bundle:
        minted = enrolment.mint_token(now)
        text = enrolment.bundle(cluster_id, agents_url, minted.token, trust.pem)
        return Bundle(json.loads(text), minted.sha256, minted.expires_at)

    return make


class AuditTrail:
    """How the API reads the ledger: a connection of its own, in a thread of its own, some at once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._at_once = trio.CapacityLimiter(AUDIT_READERS)

    async def search(self, query: AuditQuery) -> Mapping[str, Any]:
        page = await self._look(lambda reader: reader.search(query))
        return {"items": [shown(kept) for kept in page.items], "next": page.next}

    async def record(self, chain: int, number: int) -> Mapping[str, Any] | None:
        kept = await self._look(lambda reader: reader.one(chain, number))
        return None if kept is None else shown(kept)

    async def _look(self, ask: Callable[[Reader], T]) -> T:
        def work() -> T:
            try:
                with Reader(self._place) as reader:
                    return ask(reader)
            except (sqlite3.Error, OSError) as error:
                raise AuditBroken(f"the audit ledger cannot be read: {error}") from error

        return await trio.to_thread.run_sync(work, limiter=self._at_once)


def key_set_fault(text: str) -> str | None:
    """Why a text is no set of public keys that signatures can be checked with, as a sentence; None when it is one."""
    try:
        parse(text.encode())
    except BadKeys as error:
        return str(error)
    return None
