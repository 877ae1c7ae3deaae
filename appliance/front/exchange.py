"""One request to a cluster. Read this first.

    authenticate → admit → understand → decide → record → relay

Nothing reaches a cluster without passing these in this order, whichever lane the request came by. Each step before the
last gives its value or a `Refused`; `relay` takes a `Permit`, which only `core.decision.decide` makes. All of it but
the audit commit reads memory. Every exchange that was allowed leaves a `closed` record, however it ends.

The caller (express lane or ASGI) only carries bytes; it decides nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

import trio

from appliance.core.credentials import Credential
from appliance.core.decision import Denial, Permit, decide
from appliance.core.problems import Code, Problem, problem
from appliance.core.reviews import looks_into
from appliance.front import records
from appliance.front.caller import Caller
from appliance.front.intake import Asked
from appliance.front.parts import FrontParts
from appliance.front.relay import Opened, relay
from appliance.front.replies import correlation, proxy_reply
from appliance.front.reviews import look_into, tell
from appliance.front.running import Held, Running
from wire.kube import Ask, BadTarget, understand

PREFIX: Final = b"/api/proxy/"

_log: Final = logging.getLogger("fairlead.front")


class Refused(Exception):
    """A step said no. `denial` tells who asked, when that is known."""

    def __init__(self, refusal: Problem, denial: Denial | None = None, *, recorded: bool = True) -> None:
        super().__init__(refusal.code)
        self.problem = refusal
        self.denial = denial
        self.recorded = recorded


@dataclass(init=False)
class Route:
    """Which cluster a proxy URL names, and the target meant for it: the very bytes that follow the cluster."""

    cluster: str
    target: bytes

    def __init__(self, cluster: str, target: bytes) -> None:
        self.cluster = cluster
        self.target = target

    @classmethod
    def of(cls, target: bytes) -> Route:
        end = target.find(b"/", len(PREFIX))
        if end < 0:
            end = len(target)
        query = target.find(b"?", len(PREFIX), end)
        if query >= 0:
            end = query
        tail = target[end:]
        return cls(target[len(PREFIX) : end].decode("ascii"), tail if tail.startswith(b"/") else b"/" + tail)


class Case:
    """One request on its way through the steps, and what must be given back at its end, however that comes."""

    __slots__ = ("admitted", "asked", "caller", "held", "opened", "permit", "refused", "route", "story")

    def __init__(self, caller: Caller, asked: Asked, parts: FrontParts) -> None:
        self.caller = caller
        self.asked = asked
        self.route = Route.of(asked.target)
        self.story = records.Story(asked, caller, self.route.target, correlation(asked.block.trace_id), parts.clock())
        self.admitted: Credential | None = None
        self.permit: Permit | None = None
        self.refused: Refused | None = None
        self.held: Held | None = None
        self.opened: Opened | None = None

    def hold(self, permit: Permit, caller: Caller, running: Running) -> None:
        """Have the exchange watched, from before its record is awaited: what is withdrawn meanwhile is noticed, too."""
        if self.held is not None:
            self.held.release()
        self.held = running.hold(permit, caller)

    def close(self, parts: FrontParts) -> None:
        """Leave the record, and give everything back. May be called twice."""
        held, self.held = self.held, None
        if held is not None:
            held.release()
        records.close(parts, self.story)
        admitted, self.admitted = self.admitted, None
        if admitted is not None:
            parts.admission.release(admitted.person_id, admitted.cluster_id)


async def exchange(caller: Caller, asked: Asked, parts: FrontParts, running: Running, case: Case | None = None) -> None:
    """Serve one request whose target begins with PREFIX, from its head to the end of its answer.

    `case`: how far `errand` has brought it without waiting.
    """
    case = case or Case(caller, asked, parts)
    try:
        try:
            if case.refused is not None:
                raise case.refused
            permit = case.permit or consider(case, parts, running)
            answer: bytes | None = None
            if permit.discovery and permit.ask.is_resource and looks_into(permit.ask):
                caller, permit, answer = await look_into(caller, asked, permit, parts, case.story)
                case.hold(permit, caller, running)
            await record(permit, parts, case.story)
            if answer is None:
                await relay(caller, asked, permit, case.route.target, parts, case.story, case.opened)
            else:
                await tell(caller, answer, case.story)
        finally:
            case.close(parts)
    except Refused as refused:
        await refuse(refused, caller, parts, case.story)


def consider(case: Case, parts: FrontParts, running: Running) -> Permit:
    """Every step that reads memory only: authenticate, admit, understand, decide."""
    story = case.story
    credential = authenticate(case.asked, case.caller, parts, story)
    admit(credential, parts, story)
    case.admitted = credential
    ask = understand_target(case.asked, case.route)
    permit = case.permit = decide_now(credential, case.route, ask, parts, story)
    case.hold(permit, case.caller, running)
    return permit


def authenticate(asked: Asked, caller: Caller, parts: FrontParts, story: records.Story) -> Credential:
    """Who is asking: exactly one bearer token, ours. Cookies are not looked at."""
    token = asked.block.token
    if token is None:
        if asked.block.other_credentials:
            detail = "send exactly one `Authorization: Bearer` header"
            raise Refused(problem(Code.INVALID_TOKEN, detail=detail), recorded=False)
        raise Refused(problem(Code.AUTHENTICATION_REQUIRED), recorded=False)
    client = caller.client
    # The very bytes that this connection showed before need not even be looked up.
    credential = client.proven if client.proven_token is token else parts.verifier.known(token)
    if credential is None:
        # Before any signature is checked: guessing must not cost us more than it costs the guesser.
        limited = parts.failed_logins.refuse(caller.address, story.began)
        if limited is not None:
            raise Refused(limited, recorded=False)
        verified = parts.verifier.verify(token, story.began)
        if isinstance(verified, Problem):
            parts.failed_logins.failed(caller.address, story.began)
            raise Refused(verified)
        credential = verified
    client.proven_token, client.proven = token, credential
    story.credential = credential
    return credential


def admit(credential: Credential, parts: FrontParts, story: records.Story) -> None:
    """How much at once. After this a slot is held until `release`."""
    refusal = parts.admission.admit(credential.person_id, credential.cluster_id, story.began)
    if refusal is not None:
        raise Refused(refusal)


def understand_target(asked: Asked, route: Route) -> Ask:
    """What is asked, as the API server will read it."""
    block = asked.block
    if block.reserved is not None:
        name = block.reserved.decode("latin-1")
        raise Refused(problem(Code.RESERVED_HEADER, header=name, meta=(("header", name),)))
    if block.expect_other:
        raise Refused(problem(Code.EXPECTATION_FAILED), recorded=False)
    try:
        return understand(asked.method, route.target)
    except BadTarget as error:
        raise Refused(problem(Code.BAD_REQUEST, detail=error.sentence.rstrip("."))) from None


def decide_now(credential: Credential, route: Route, ask: Ask, parts: FrontParts, story: records.Story) -> Permit:
    """May they. A store that could not be read for long decides nothing."""
    story.ask = ask
    if not parts.store.fresh():
        raise Refused(problem(Code.STORE_STALE))
    snapshot = parts.store.snapshot
    # A cluster's name works too. What names no cluster is compared as it stands, and fits no credential.
    cluster = snapshot.cluster(route.cluster)
    decision = decide(credential, snapshot, cluster.id if cluster else route.cluster, ask, story.began)
    if isinstance(decision, Denial):
        raise Refused(decision.problem, decision)
    return decision


def record_nowait(permit: Permit, parts: FrontParts, story: records.Story) -> bool:
    """`record` for what only reads, where that needs no wait; False: nothing was done."""
    if not permit.ask.read_only or story.asked.block.upgrade is not None:
        return False
    if permit.discovery:
        story.counted = True
    elif parts.ledger.try_reserve():
        story.reserved = True
    else:
        return False
    story.permit = permit
    return True


async def record(permit: Permit, parts: FrontParts, story: records.Story) -> None:
    """No audit, no access. What changes something or upgrades is on disk before its first byte enters the tunnel."""
    if story.permit is not None or record_nowait(permit, parts, story):
        return
    story.permit = permit
    reads = permit.ask.read_only and story.asked.block.upgrade is None
    ledger = parts.ledger
    try:
        if not ledger.try_reserve():
            await ledger.reserve()
        story.reserved = True
        if not reads:
            await ledger.record(story.opened())
    except Exception as error:
        # Whatever stands between us and the record, the request does not go on.
        _say_unkept(parts, error, story.correlation_id)
        story.code = Code.AUDIT_UNAVAILABLE.value
        raise Refused(problem(Code.AUDIT_UNAVAILABLE), recorded=False) from error


def _say_unkept(parts: FrontParts, error: Exception, correlation_id: bytes) -> None:
    if times := parts.outages.met("audit", trio.current_time()):
        _log.error(
            "audit records cannot be kept, and until they can requests are refused: %s",
            str(error) or type(error).__name__,
            extra={"correlation_id": correlation_id.decode(), "times": times},
        )


async def refuse(refused: Refused, caller: Caller, parts: FrontParts, story: records.Story) -> None:
    """Answer a refusal and record it."""
    refusal = refused.problem
    parts.refusals[refusal.code] += 1
    if refused.recorded:
        parts.ledger.deny(story.denied(refusal, refused.denial))
    reply = proxy_reply(refusal, story.target, story.correlation_id, parts.public_url)
    try:
        await caller.answer(reply.status, reply.headers, reply.body)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        caller.abort()
