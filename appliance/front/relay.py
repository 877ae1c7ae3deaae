"""Between a client and a tunnel: one allowed request there, one answer back.

Bodies flow both ways in bounded pieces, and each side waits for the other: nothing is gathered but what one read gives.
A small answer that is whole on arrival leaves in one write; of anything longer each piece leaves at once, so a watch
event never waits for the next. Only a `Permit` opens a tunnel exchange.

A GET or HEAD without a body that has no answer yet is tried once more on another session when its session is lost;
anything that was not started is, too. All else ends in an answer that says what is not known.
"""

from __future__ import annotations

import logging
from typing import Final

import trio

from appliance.core.decision import Permit
from appliance.core.problems import Code, Problem, problem
from appliance.front.caller import Caller
from appliance.front.client import Client
from appliance.front.intake import Asked
from appliance.front.parts import FrontParts
from appliance.front.records import Story
from appliance.front.replies import proxy_reply
from appliance.front.upload import INLINE_BODY_BYTES, Given, Upload
from appliance.front.watch_events import ends_whole, in_json, pass_events
from wire.fields import UnsafeField
from wire.frames import FrameError, ResetCode
from wire.headers import find, find_all, response_end_to_end, trailers_end_to_end
from wire.heads import Headers, RequestHead, ResponseHead
from wire.session import Exchange, ExchangeReset, Session, SessionDraining, SessionFull, SessionLost

_FAILED: Final = (ExchangeReset, SessionLost)  # the tunnel's side broke, not the client's
_GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
_log = logging.getLogger("fairlead.front")


class Unanswered(Exception):
    """The tunnel gave no answer. `again`: the request may be tried once more elsewhere."""

    def __init__(self, refusal: Problem, *, again: bool) -> None:
        super().__init__(refusal.code)
        self.problem = refusal
        self.again = again


class Opened:
    """An exchange that was opened without waiting, and its session."""

    __slots__ = ("session", "tunnel")

    def __init__(self, session: Session, tunnel: Exchange) -> None:
        self.session = session
        self.tunnel = tunnel


def open_nowait(asked: Asked, permit: Permit, target: bytes, parts: FrontParts) -> Opened | None:
    """Open the exchange of a request without a body; None: `relay` must say why that cannot be."""
    session = parts.registry.session_for(permit.cluster_id)
    if session is None:
        return None
    head = RequestHead(asked.method, target, asked.block.end_to_end)
    try:
        return Opened(session, session.open(head, permit.identity, has_body=False))
    except (SessionDraining, SessionFull, SessionLost, FrameError):
        return None


async def relay(
    caller: Caller,
    asked: Asked,
    permit: Permit,
    target: bytes,
    parts: FrontParts,
    story: Story,
    opened: Opened | None = None,
) -> None:
    """Carry one allowed request to its cluster and its answer back. `story` learns status and code."""
    head = RequestHead(asked.method, target, asked.block.end_to_end)
    body = caller.body_at_hand(INLINE_BODY_BYTES)
    given = Given()
    tried: Session | None = None
    refusal: Problem | None = None
    while True:
        session = opened.session if opened is not None else _session(parts, permit.cluster_id, tried)
        if session is None:
            refusal = refusal or problem(
                Code.AGENT_NOT_CONNECTED, cluster=permit.cluster_name, meta=(("clusterId", permit.cluster_id),)
            )
            break
        try:
            tunnel = opened.tunnel if opened is not None else _open(session, asked, head, permit)
            opened = None
            story.tunnel_session = session.id
            await _attempt(tunnel, caller, asked, permit, body, given, story)
        except Unanswered as failed:
            refusal = failed.problem
            if tried is not None or not failed.again:
                break
            tried = session
        else:
            return
    parts.refusals[refusal.code] += 1
    story.code = refusal.code.value
    if caller.started:
        caller.abort()
        return
    reply = proxy_reply(refusal, target, story.correlation_id, parts.public_url)
    story.status = reply.status
    try:
        await caller.answer(reply.status, reply.headers, reply.body)
    except _GONE:
        caller.abort()


def _session(parts: FrontParts, cluster_id: str, tried: Session | None) -> Session | None:
    """The session to use; the second time, another one than the first."""
    if tried is None:
        return parts.registry.session_for(cluster_id)
    others = [
        session
        for cluster, session in parts.registry.sessions()
        if cluster == cluster_id and session is not tried and session.alive and not session.draining
    ]
    return min(others, key=lambda session: session.in_flight, default=None)


def _open(session: Session, asked: Asked, head: RequestHead, permit: Permit) -> Exchange:
    upgrade = asked.block.upgrade is not None
    try:
        return session.open(head, permit.identity, has_body=asked.block.has_body, upgrade=upgrade)
    except (SessionDraining, SessionFull, SessionLost):
        raise Unanswered(problem(Code.TUNNEL_BUSY, cluster=permit.cluster_name, retry_after=1), again=True) from None
    except FrameError:
        raise Unanswered(problem(Code.HEADERS_TOO_LARGE), again=False) from None


async def _attempt(
    tunnel: Exchange,
    caller: Caller,
    asked: Asked,
    permit: Permit,
    body: bytes | None,
    given: Given,
    story: Story,
) -> None:
    try:
        if asked.block.upgrade is not None:
            await _upgraded(caller, tunnel, permit, story)
        elif body is not None:
            if body:
                await _give(tunnel, body)
            await _answer(caller, tunnel, asked, permit, story, replayable=True)
        else:
            await _with_body(caller, tunnel, asked, permit, given, story)
    finally:
        tunnel.close()


async def _give(tunnel: Exchange, body: bytes) -> None:
    try:
        await tunnel.write(body)
        tunnel.end_nowait()
    except _GONE:
        return  # what came instead shows when the answer's head is asked for


async def _with_body(
    caller: Caller, tunnel: Exchange, asked: Asked, permit: Permit, given: Given, story: Story
) -> None:
    """The body goes up while the answer may already come down."""
    await caller.proceed()
    upload = Upload(caller, tunnel, given)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upload.run)
            await _answer(caller, tunnel, asked, permit, story, replayable=False)
            nursery.cancel_scope.cancel()  # an answer that is whole needs no more of the body
    except BaseExceptionGroup as group:
        unanswered, others = group.split(Unanswered)
        if others is not None:
            raise others from None
        failed: BaseException | None = unanswered
        while isinstance(failed, BaseExceptionGroup):
            failed = failed.exceptions[0]
        assert isinstance(failed, Unanswered)
        raise Unanswered(upload.fault or failed.problem, again=failed.again and given.whole) from None


async def _answer(
    caller: Caller, tunnel: Exchange, asked: Asked, permit: Permit, story: Story, *, replayable: bool
) -> None:
    try:
        head = await tunnel.head()
    except _GONE as gone:
        raise _unanswered(gone, permit, replayable=replayable and asked.method in {b"GET", b"HEAD"}) from None
    try:
        await _deliver(caller, tunnel, asked, head, story)
    except (*_GONE, UnsafeField) as error:
        if isinstance(error, UnsafeField):
            _log.warning("an answer was refused: %s", error)
        failed = _unanswered(error, permit, replayable=False)
        if not caller.started:
            raise failed from None
        if isinstance(error, SessionLost) and error.left and caller.client.ends_cleanly:
            await _finish(caller)
            return
        if isinstance(error, _FAILED):
            story.code = failed.problem.code.value
        caller.abort()


async def _finish(caller: Caller) -> None:
    """End a watch whose session was left: its client sees an end, not an error, and watches on from there."""
    try:
        await caller.finish()
    except _GONE:
        caller.abort()


async def _deliver(caller: Caller, tunnel: Exchange, asked: Asked, head: ResponseHead, story: Story) -> None:
    status = story.status = head.status
    if status < 200:
        raise ExchangeReset(ResetCode.PROTOCOL, "an interim answer where a final one was due")
    headers = (*response_end_to_end(head.headers), (b"X-Correlation-Id", story.correlation_id))
    if asked.method == b"HEAD" or status in {204, 304}:
        if await tunnel.read():
            raise ExchangeReset(ResetCode.TRUNCATED, "a body where none may be")
        await caller.answer(status, headers, b"")
        return
    length = _length(headers)
    piece = tunnel.receive_nowait()
    if piece is None:
        piece = b""
    elif tunnel.at_eof and not tunnel.trailers:
        await caller.answer(status, _sized(headers, length, piece), piece)
        return
    left = -1 if length is None else length - len(piece)
    if length is not None and left < 0:
        raise ExchangeReset(ResetCode.TRUNCATED, "the answer is longer than it said")
    caller.client.ends_cleanly = length is None and story.permit is not None and story.permit.ask.verb == "watch"
    await caller.start(status, headers, piece, sized=length is not None)
    between = ends_whole(piece)
    piece = b""  # a watch waits for hours from here on: nothing that has left is held until its next event
    if caller.client.ends_cleanly and in_json(headers):
        await pass_events(caller, tunnel, between=between)
    await _rest(caller, tunnel, left)


def whole_nowait(client: Client, tunnel: Exchange, asked: Asked, story: Story) -> bytes | None:
    """Return the rendered answer if it is here whole, small and sound; None: `relay` must look at it closely."""
    found = tunnel.whole_answer()
    if found is None or asked.method != b"GET":
        return None
    head, piece = found
    status = head.status
    if status < 200 or status in {204, 304}:
        return None
    headers = (*response_end_to_end(head.headers), (b"X-Correlation-Id", story.correlation_id))
    try:
        rendered = client.render(status, _sized(headers, _length(headers), piece), piece)
    except (ExchangeReset, UnsafeField):
        return None
    story.status = status
    tunnel.receive_nowait()
    return rendered


def _sized(headers: Headers, length: int | None, piece: bytes) -> Headers:
    """The headers of an answer that is here whole."""
    if length is None:
        return (*headers, (b"Content-Length", b"%d" % len(piece)))
    if length != len(piece):
        raise ExchangeReset(ResetCode.TRUNCATED, "the answer is not as long as it said")
    return headers


async def _rest(caller: Caller, tunnel: Exchange, left: int) -> None:
    """Carry an answer that has begun to its end. `left`: bytes still to come; negative when nobody said how many."""
    sized = left >= 0
    while piece := await tunnel.read():
        if sized:
            left -= len(piece)
            if left < 0:
                raise ExchangeReset(ResetCode.TRUNCATED, "the answer is longer than it said")
        await caller.send(piece)
        piece = b""
    if left > 0:
        raise ExchangeReset(ResetCode.TRUNCATED, "the answer is shorter than it said")
    await caller.finish(trailers_end_to_end(tunnel.trailers) if tunnel.trailers else ())


def _length(headers: Headers) -> int | None:
    values = find_all(headers, b"content-length")
    if not values:
        return None
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > 18:
        raise ExchangeReset(ResetCode.PROTOCOL, "the answer's Content-Length is not one number")
    return int(values[0])


async def _upgraded(caller: Caller, tunnel: Exchange, permit: Permit, story: Story) -> None:
    """Until the head nothing more is read from the client; after 101 the bytes are nobody's business but theirs."""
    client = caller.client
    try:
        head = await tunnel.head()
    except _GONE as error:
        raise _unanswered(error, permit, replayable=False) from None
    if head.status != 101:
        client.keep = False  # what the client already sent for the other protocol is not a request
        await _answer(caller, tunnel, client.asked, permit, story, replayable=False)
        return
    story.status = 101
    headers = response_end_to_end(head.headers, upgrade=True)
    if find(headers, b"upgrade") is None:
        raise Unanswered(problem(Code.UPSTREAM_LOST, cluster=permit.cluster_name), again=False)
    try:
        await client.switch(101, headers)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_raw_up, caller, tunnel)
            try:
                while piece := await tunnel.read():
                    await client.write_raw(piece)
                await client.end_raw()
            except _GONE as error:
                if isinstance(error, _FAILED):
                    story.code = Code.TUNNEL_LOST.value
                client.abort()
                nursery.cancel_scope.cancel()
    except _GONE:
        client.abort()


async def _raw_up(caller: Caller, tunnel: Exchange) -> None:
    client = caller.client
    try:
        while piece := await client.read_raw():
            await tunnel.write(piece)
        tunnel.end_nowait()
    except _GONE:
        return  # the other direction meets the same end and reports it


_RESETS: Final[dict[int, Code]] = {
    ResetCode.BUSY: Code.TUNNEL_BUSY,
    ResetCode.DRAINING: Code.TUNNEL_BUSY,
    ResetCode.REFUSED: Code.AGENT_REFUSED,
    ResetCode.UPSTREAM_UNREACHABLE: Code.UPSTREAM_UNREACHABLE,
    ResetCode.UPSTREAM_TLS: Code.UPSTREAM_TLS_FAILED,
    ResetCode.UPSTREAM_TIMEOUT: Code.UPSTREAM_TIMEOUT,
    ResetCode.UPSTREAM_LOST: Code.UPSTREAM_LOST,
    ResetCode.TRUNCATED: Code.UPSTREAM_LOST,
    ResetCode.UPSTREAM_CREDENTIAL: Code.AGENT_CREDENTIAL_REFUSED,
    ResetCode.BAD_REQUEST: Code.BAD_REQUEST,
}
"""What a client is told; any other code is TUNNEL_LOST, which promises nothing."""


def _unanswered(error: BaseException, permit: Permit, *, replayable: bool) -> Unanswered:
    if isinstance(error, ExchangeReset):
        code = (
            _RESETS.get(ResetCode(error.code), Code.TUNNEL_LOST) if error.code in set(ResetCode) else Code.TUNNEL_LOST
        )
        detail = error.sentence.rstrip(".") or "it gave no reason"
        refusal = problem(
            code,
            cluster=permit.cluster_name,
            detail=detail,
            meta=(("clusterId", permit.cluster_id),),
        )
        again = error.not_started or (replayable and error.code == ResetCode.SESSION)
        return Unanswered(refusal, again=again)
    meta = (("clusterId", permit.cluster_id),)
    return Unanswered(problem(Code.TUNNEL_LOST, cluster=permit.cluster_name, meta=meta), again=replayable)
