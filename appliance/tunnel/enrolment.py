"""How an agent gets its certificate: bundles, single-use tokens, signing, renewal.

What always holds: a token is kept as its SHA-256 only, expires, and buys one certificate for one key; shown again
with the same key before it expires it returns that same certificate, because an answer may be lost on the way.
Whatever is issued has its serial in the store before the agent sees it. Every outcome is audited; failures are
limited per address before anything is looked up. It holds no connection and parses no certificate.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from appliance.core.buckets import FailedLogins
from appliance.core.clusters import Cluster
from appliance.core.events import AuditEvent, EventType
from appliance.core.problems import Code, Problem, problem
from appliance.core.wordings import Wording, worded
from appliance.tunnel.authority import (
    AGENT_SECONDS,
    MAX_REQUEST_BYTES,
    AgentCertificate,
    AgentName,
    BadRequestError,
    fingerprint,
    public_key_of,
)
from appliance.tunnel.ports import Clock, EnrolmentStore, Record, Redeemed, TokenFault
from appliance.tunnel.trust import Trust
from appliance.tunnel.watch import fault_of, refused
from wire.calls import Body, MalformedBodyError, encode, text

BUNDLE_VERSION: Final = 1
TOKEN_PREFIX: Final = "flb_"  # noqa: S105 # not a secret: it lets scanners and log filters know one
TOKEN_BYTES: Final = 32
TOKEN_SECONDS: Final = 24 * 60 * 60  # a day to carry a bundle to its cluster
MAX_TOKEN_CHARS: Final = 128
MAX_CERTIFICATES: Final = 256
"""Of one cluster's generation, good at the same time: every appliance holds all of them in memory. Each agent has three
(renewed after a third of their life), so sixteen agents with changes of the authority in between stay far below; more
is somebody who renews in a loop."""

_FAULTS: Final = {
    TokenFault.UNKNOWN: "unknown token",
    TokenFault.EXPIRED: "expired token",
    TokenFault.SPENT: "token spent by another key",
    TokenFault.CLUSTER_GONE: "the token's cluster was deleted",
}


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A new bootstrap token: `token` goes into the bundle, `sha256` into the store."""

    token: str
    sha256: str
    expires_at: int


def mint_token(now: int, seconds: int = TOKEN_SECONDS) -> MintedToken:
    """Make a bootstrap token."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    return MintedToken(token, token_digest(token), now + seconds * 1_000_000)


def token_digest(token: str) -> str:
    """Return how a token is known to the store. Looking it up by digest leaks nothing through timing."""
    return hashlib.sha256(token.encode()).hexdigest()


def bundle(cluster_id: str, url: str, token: str, ca_pem: str) -> str:
    """Return the file an agent starts from. It holds a secret until the agent has enrolled."""
    content = {"version": BUNDLE_VERSION, "cluster": cluster_id, "url": url, "token": token, "ca": ca_pem}
    return json.dumps(content, indent=2) + "\n"


class Enrolment:
    """Answers the calls of agents."""

    def __init__(
        self,
        trust: Trust,
        store: EnrolmentStore,
        record: Record,
        clock: Clock,
        failures: FailedLogins | None = None,
        agent_seconds: int = AGENT_SECONDS,
    ) -> None:
        self.trust = trust
        self._agent_seconds = agent_seconds
        self._store = store
        self._record = record
        self._clock = clock
        self._failures = FailedLogins() if failures is None else failures

    def note(self) -> bytes:
        """Return what an agent is told as soon as its session stands: see the protocol's NOTE."""
        return encode({"clock": self._clock() // 1_000_000, "trust": self.trust.mark})

    async def enrol(self, body: Body, address: str) -> Body | Problem:
        """Spend a bootstrap token for a certificate."""
        now = self._clock()
        refused = self._failures.refuse(address, now)
        if refused is not None:
            return refused
        try:
            token = text(body, "token", MAX_TOKEN_CHARS)
            key = public_key_of(text(body, "request", MAX_REQUEST_BYTES))
            digest = token_digest(token)
        except (MalformedBodyError, BadRequestError, UnicodeEncodeError) as error:
            self._failures.failed(address, now)
            return problem(Code.BAD_REQUEST, detail=str(error).rstrip("."))

        def issue(cluster: Cluster) -> AgentCertificate:
            return self._certificate(key, cluster.id, cluster.generation, now)

        result = await self._store.redeem(digest, fingerprint(key).hex(), issue, now)
        if isinstance(result, TokenFault):
            self._failures.failed(address, now)
            await self.audit_refusal(_FAULTS[result], address)
            return problem(Code.INVALID_BOOTSTRAP_TOKEN)
        await self._audit_issue(EventType.AGENT_ENROLLED, result, address, now)
        return self._answer(result.certificate_pem, result.cluster_id)

    async def renew(self, body: Body, peer: AgentName, address: str) -> Body | Problem:
        """Give an agent that has proved itself by its certificate a new one, for the key it shows."""
        now = self._clock()
        if body.get("cluster", peer.cluster_id) != peer.cluster_id:
            fault = "it was shown for another cluster than its own"
            await self.audit_refusal(fault, address, peer.cluster_id)
            return refused(fault)
        try:
            key = public_key_of(text(body, "request", MAX_REQUEST_BYTES))
        except (MalformedBodyError, BadRequestError) as error:
            return problem(Code.BAD_REQUEST, detail=str(error).rstrip("."))
        if self._good(peer, now) >= MAX_CERTIFICATES:
            return worded(Wording.TOO_MANY_CERTIFICATES, limit=MAX_CERTIFICATES)
        issued = self._certificate(key, peer.cluster_id, peer.generation, now)
        if not await self._store.keep_certificate(issued, peer.cluster_id, peer.generation, now):
            # Since its certificate was looked at: what it asks for would be worth nothing.
            fault = fault_of(peer, self._store.snapshot) or "its generation was revoked"
            await self.audit_refusal(fault, address, peer.cluster_id)
            return refused(fault)
        await self._audit_issue(
            EventType.AGENT_RENEWED, Redeemed(issued.pem, peer.cluster_id, again=False), address, now
        )
        return self._answer(issued.pem, peer.cluster_id)

    def _good(self, peer: AgentName, now: int) -> int:
        """How many certificates of the peer's cluster and generation open something."""
        whose = (peer.cluster_id, peer.generation)
        serials = self._store.snapshot.serials.values()
        return sum((it.cluster_id, it.generation) == whose and it.not_after > now for it in serials)

    def _certificate(self, key: EllipticCurvePublicKey, cluster_id: str, generation: int, now: int) -> AgentCertificate:
        return self.trust.for_agents.agent_certificate(key, cluster_id, generation, now, self._agent_seconds)

    async def audit_refusal(self, reason: str, address: str, cluster_id: str = "") -> None:
        """Record that someone was not let in."""
        event = AuditEvent(
            self._clock(),
            EventType.AGENT_AUTH_FAILED,
            client_address=address,
            cluster_id=cluster_id,
            details=(("reason", reason),),
        )
        await self._record(event)

    async def _audit_issue(self, kind: EventType, result: Redeemed, address: str, now: int) -> None:
        cluster = self._store.snapshot.clusters.get(result.cluster_id)
        event = AuditEvent(
            now,
            kind,
            client_address=address,
            cluster_id=result.cluster_id,
            cluster=cluster.name if cluster is not None else "",
            details=(("again", "true"),) if result.again else (),
        )
        await self._record(event)

    def _answer(self, certificate_pem: str, cluster_id: str) -> Body:
        return {
            "certificate": certificate_pem,
            "ca": self.trust.pem,
            "cluster": cluster_id,
            "clock": self._clock() // 1_000_000,
        }
