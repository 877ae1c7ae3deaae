"""What agents connect to: `:5443`, TLS 1.3, HTTP/2, our CA.

One connection is one thing: a call (enrol, renew), or a tunnel session for as long as it lives. What always holds: a
tunnel needs a certificate of our CA whose cluster exists, whose generation is current and whose serial the store
knows, checked before the tunnel is accepted and again when it is registered; handshakes have slots, connections have
limits in all and per address, every step before the session has a deadline; an exception ends one connection.

It does not route requests (registry, front) and does not issue certificates (enrolment).
"""

from __future__ import annotations

import contextlib
import errno
import logging
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from appliance.core.buckets import source_of
from appliance.core.liveness import report
from appliance.core.networks import NOBODY, Networks
from appliance.core.problems import Code, Problem, problem
from appliance.core.wordings import Wording, worded
from appliance.tunnel.authority import AgentName, BadPeerError, agent_name
from appliance.tunnel.enrolment import Enrolment
from appliance.tunnel.patience import Patience
from appliance.tunnel.ports import Clock, EnrolmentStore, Record
from appliance.tunnel.registry import Registry, TooManySessionsError
from appliance.tunnel.watch import end_revoked, fault_of, record_changes, refused, tell_trust
from wire import calls
from wire.arrival import has_left, read_origin
from wire.carrier import CallReceived, Carrier, CarrierEnded, CarrierError, CarrierEvent, Payload, TunnelRequested
from wire.opening import accept_session
from wire.proxy_header import BadProxyHeader
from wire.readiness import Readiness
from wire.session import Session, SessionEnded
from wire.slots import Slots
from wire.tls import TLSStream, serve_handshake

HANDSHAKE_SLOTS: Final = 32  # 3-4 ms of CPU each: what is admitted at once keeps the loop responsive
HANDSHAKE_SLOTS_PER_SOURCE: Final = 8  # of these, for one IPv4 address or IPv6 /64: agents behind one NAT take turns
HANDSHAKE_SECONDS: Final = 10.0  # counts from the slot, so that a queue of honest agents does not time out
PROXY_HEADER_SECONDS: Final = 5.0  # a load balancer sends it with the first packet or not at all
REQUEST_SECONDS: Final = 10.0  # from handshake to a whole call, or to both HELLOs
ANSWER_SECONDS: Final = 5.0  # to write an answer and be closed by the peer
MAX_CONNECTIONS: Final = 4096  # a thousand clusters with a few sessions each
MAX_UNPROVEN_PER_ADDRESS: Final = 256
"""Connections without a tunnel from one IPv4 address or IPv6 /64: a NAT full of agents fits, a flood from one place
does not."""
RETRY_SECONDS: Final = 0.1  # when the process is out of descriptors
DRAIN_SECONDS: Final = 20.0

_CAPACITY: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_ENDINGS: Final = (trio.BrokenResourceError, trio.ClosedResourceError, SessionEnded, CarrierError)
_READ_BYTES: Final = 64 * 1024

_log = logging.getLogger("fairlead.tunnel")


@dataclass(slots=True)
class AgentsListener:
    """What the accept loop works with. `context` is read at each connection, so it may be replaced."""

    context: ssl.SSLContext
    store: EnrolmentStore
    enrolment: Enrolment
    registry: Registry[Session]
    record: Record
    clock: Clock
    name: str
    """What this appliance calls itself in HELLO."""
    drain_seconds: float = DRAIN_SECONDS
    proxy_protocol_from: Networks = NOBODY
    """Load balancers whose connections begin with a PROXY header."""
    readiness: Readiness | None = None  # where sessions are heard without a task; it runs as long as this serves
    handshakes: Slots = field(default_factory=lambda: Slots(HANDSHAKE_SLOTS, HANDSHAKE_SLOTS_PER_SOURCE), init=False)
    patience: Patience = field(default_factory=Patience, init=False)
    connections: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(MAX_CONNECTIONS), init=False)
    unproven: Counter[str] = field(default_factory=Counter, init=False)


async def serve(
    parts: AgentsListener,
    listeners: Sequence[trio.SocketListener],
    *,
    stop: trio.Event | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; after `stop`, accept nothing more, say DRAIN, and return when the sessions have ended."""
    async with trio.open_nursery() as watching:
        watching.start_soon(end_revoked, parts.registry, parts.store)
        watching.start_soon(tell_trust, parts.registry, parts.enrolment.note, parts.enrolment.trust)
        await watching.start(record_changes, parts.registry, parts.store, parts.record, parts.clock)
        async with trio.open_nursery() as connections:
            accepting = trio.CancelScope()
            connections.start_soon(_accept_all, parts, listeners, accepting, connections)
            task_status.started()
            await (trio.Event() if stop is None else stop).wait()
            accepting.cancel()
            for _, session in parts.registry.sessions():
                session.drain(parts.drain_seconds)
            # A session ends itself at its deadline; connections that never became one have theirs.
            connections.cancel_scope.deadline = trio.current_time() + parts.drain_seconds + ANSWER_SECONDS
        watching.cancel_scope.cancel()


async def _accept_all(
    parts: AgentsListener,
    listeners: Sequence[trio.SocketListener],
    accepting: trio.CancelScope,
    connections: trio.Nursery,
) -> None:
    with accepting:
        async with contextlib.AsyncExitStack() as opened, trio.open_nursery() as nursery:
            for listener in listeners:
                await opened.enter_async_context(listener)
                nursery.start_soon(_accept, parts, listener, connections)


async def _accept(parts: AgentsListener, listener: trio.SocketListener, connections: trio.Nursery) -> None:
    while True:
        await parts.connections.acquire()
        try:
            sock, peer = await listener.socket.accept()
        except OSError as error:
            parts.connections.release()
            if error.errno in _CAPACITY:
                _log.warning("no descriptor left for an agent's connection; waiting: raise the limit of open files")
                await trio.sleep(RETRY_SECONDS)
                continue
            if error.errno in {errno.EBADF, errno.ENOTSOCK, errno.EINVAL}:
                raise
            continue  # the peer went away while it stood in the queue
        except BaseException:
            parts.connections.release()
            raise
        connection = _Connection(parts, str(peer[0]))
        if connection.direct and not connection.count():
            sock.close()
            parts.connections.release()
            await trio.lowlevel.checkpoint()
            continue
        connections.start_soon(connection.run, sock)


class _Connection:
    """One connection of an agent, or of someone who says so."""

    def __init__(self, parts: AgentsListener, address: str) -> None:
        self._parts = parts
        self._address = address
        self._source = source_of(address)
        self._counted = False
        self._unreadable = False
        self._unsaid = False  # that this certificate is refused was said within the minute
        self.direct = not parts.proxy_protocol_from.hold(address)
        """Whether the peer is the agent itself, and not a load balancer that says whom it passes on."""

    def count(self) -> bool:
        """Count this connection against its address; False: there are too many."""
        if self._parts.unproven[self._source] >= MAX_UNPROVEN_PER_ADDRESS:
            return False
        self._parts.unproven[self._source] += 1
        self._counted = True
        return True

    async def run(self, sock: trio.socket.SocketType) -> None:
        """Serve it to its end. The one barrier of its exceptions."""
        stream: TLSStream | None = None
        try:
            stream = await self._handshake(sock)
            if stream is not None:
                await self._converse(stream)
        except BaseExceptionGroup as group:
            # A defect may come beside a cancellation: the one ends here, the other goes on.
            faults, others = group.split(Exception)
            if faults is not None:
                self._report(faults)
            if others is not None:
                raise others from None
        except Exception as error:  # noqa: BLE001 # the barrier: one connection's defect costs no other
            self._report(error)
        finally:
            if stream is not None:
                stream.abort()
            self._proven()
            self._parts.connections.release()

    def _report(self, error: Exception) -> None:
        """Say why the connection ended: what the peer did is worth a line, a defect of ours a trace."""
        ended = error
        if isinstance(error, ExceptionGroup):
            ended = error.split(_ENDINGS)[1] or error.exceptions[0]
        if isinstance(ended, _ENDINGS):
            _log.info("agent connection ended early", extra={"address": self._address, "reason": str(ended)})
        else:
            extra = {"address": self._address}
            _log.error("an agent's connection failed by a defect of ours", extra=extra, exc_info=ended)

    def _proven(self) -> None:
        """This connection no longer counts against its address."""
        if self._counted:
            self._counted = False
            unproven = self._parts.unproven
            unproven[self._source] -= 1
            if unproven[self._source] <= 0:
                del unproven[self._source]

    async def _handshake(self, sock: trio.socket.SocketType) -> TLSStream | None:
        with contextlib.closing(sock):
            if not self.direct:
                await self._arrive(sock)
            # A peer that says nothing must not hold one of the few slots.
            with trio.move_on_after(HANDSHAKE_SECONDS) as silence:
                await trio.lowlevel.wait_readable(sock)
            if silence.cancelled_caught:
                return None
            async with self._parts.handshakes.held(self._source):
                if has_left(sock):
                    return None  # it gave up in the queue: its turn is the next one's
                with trio.move_on_after(HANDSHAKE_SECONDS):
                    return await serve_handshake(sock, self._parts.context, self._parts.patience.turn)
        _log.info("TLS handshake timed out", extra={"address": self._address})
        return None

    async def _arrive(self, sock: trio.socket.SocketType) -> None:
        """Learn from a listed load balancer whom it passes on, and count that one."""
        try:
            with trio.fail_after(PROXY_HEADER_SECONDS):
                origin = await read_origin(sock)
        except trio.TooSlowError:
            fault = f"it is not whole after {PROXY_HEADER_SECONDS:.0f} s"
            raise trio.BrokenResourceError(f"a PROXY header was refused: {fault}") from None
        except BadProxyHeader as error:
            raise trio.BrokenResourceError(f"a PROXY header was refused: {error}") from error
        except OSError as error:
            raise trio.BrokenResourceError(f"a load balancer looked and left ({error})") from error
        if origin is not None:
            self._address, self._source = origin, source_of(origin)
        if not self.count():
            raise trio.BrokenResourceError("too many connections of one address")

    async def _converse(self, stream: TLSStream) -> None:
        if stream.alpn != "h2":
            raise trio.BrokenResourceError("the peer does not speak HTTP/2")
        carrier = Carrier(client=False)
        session: Session | None = None
        name: AgentName | None = None
        with trio.move_on_after(REQUEST_SECONDS) as deadline:
            request, early = await self._first_request(stream, carrier)
            if isinstance(request, CallReceived):
                await self._answer_call(stream, carrier, request)
                return
            admitted = await self._admit(stream)
            if isinstance(admitted, Problem):
                self._log_refusal(admitted)
                carrier.answer(request.stream_id, admitted.status, admitted.message.encode())
                await self._last_words(stream, carrier)
                return
            name = admitted
            session = await accept_session(stream, carrier, request.stream_id, self._parts.name, early)
            await self._parts.patience.turn()
        if deadline.cancelled_caught or session is None or name is None:
            raise trio.BrokenResourceError(f"no whole request within {REQUEST_SECONDS:.0f} s")
        await self._run_session(session, name)

    async def _first_request(self, stream: TLSStream, carrier: Carrier) -> tuple[CallReceived | TunnelRequested, bytes]:
        """Read until there is a whole call or the wish for a tunnel, and what came behind the latter."""
        request: CallReceived | TunnelRequested | None = None
        early: list[bytes] = []
        first = True
        while True:
            out = carrier.take()
            if out:
                await stream.write(out)
            if request is not None:
                return request, b"".join(early)
            data = await stream.read(_READ_BYTES)
            if not data:
                raise trio.BrokenResourceError("the peer closed the connection before a request")
            if first:  # one turn, not one for each byte: nobody makes the queue long by sending little
                first = False
                await self._parts.patience.turn()
            try:
                events: list[CarrierEvent] = carrier.receive(data)
            except CarrierError:
                await stream.write(carrier.take())
                raise
            for event in events:
                if isinstance(event, CarrierEnded):
                    raise trio.BrokenResourceError(event.reason)
                if isinstance(event, Payload):
                    early.append(event.data)
                elif request is None and isinstance(event, CallReceived | TunnelRequested):
                    request = event

    # Calls

    async def _answer_call(self, stream: TLSStream, carrier: Carrier, request: CallReceived) -> None:
        result = await self._call(stream, request)
        if isinstance(result, Problem):
            await self._refuse(stream, carrier, request.stream_id, result)
            return
        carrier.answer(request.stream_id, 200, calls.encode(result))
        await self._last_words(stream, carrier)

    async def _call(self, stream: TLSStream, request: CallReceived) -> calls.Body | Problem:
        enrolment = self._parts.enrolment
        try:
            body = calls.decode(request.body)
        except calls.MalformedBodyError as error:
            return problem(Code.BAD_REQUEST, detail=f"the body is {error}")
        if request.path == calls.ENROL_PATH:
            return await enrolment.enrol(body, self._address)
        if request.path == calls.RENEW_PATH:
            admitted = await self._admit(stream)
            if isinstance(admitted, Problem):
                return admitted
            return await enrolment.renew(body, admitted, self._address)
        return problem(Code.ROUTE_NOT_FOUND)

    # Tunnels

    async def _admit(self, stream: TLSStream) -> AgentName | Problem:
        """Tell who the peer is by its certificate; TLS has verified that our CA signed it and that it is in time."""
        der = stream.peer_certificate
        if der is None:
            return worded(Wording.NO_CERTIFICATE)
        try:
            name = agent_name(der)
        except BadPeerError as error:
            fault, cluster_id, serial = str(error), "", ""
        else:
            serial = name.serial
            fault, cluster_id = fault_of(name, self._parts.store.snapshot), name.cluster_id
            if fault == "":
                return name
        self._unsaid = not await self._parts.enrolment.refuse_certificate(serial, fault, self._address, cluster_id)
        return refused(fault)

    async def _run_session(self, session: Session, name: AgentName) -> None:
        parts = self._parts
        self._proven()
        fault = fault_of(name, parts.store.snapshot)  # it may have been revoked while the HELLOs crossed
        if fault:
            raise trio.BrokenResourceError(f"the certificate is refused: {fault}")
        certificate = parts.store.snapshot.serials[name.serial]
        try:
            parts.registry.add(
                name.cluster_id,
                session,
                generation=name.generation,
                serial=name.serial,
                now=parts.clock(),
                address=self._address,
                name=session.peer.name.decode("utf-8", "replace"),
                issued_at=certificate.issued_at,
                expires_at=certificate.not_after,
            )
        except TooManySessionsError as error:
            raise trio.BrokenResourceError(str(error)) from error
        ended = "cancelled"
        said = {"cluster": name.cluster_id, "tunnel_session": session.id, "address": self._address}
        _log.info("agent connected", extra=said)
        session.on_note(partial(self._heard, name.cluster_id, session.id))
        session.note(parts.enrolment.note())
        try:
            await session.run(readiness=parts.readiness)
        except SessionEnded as error:
            ended = str(error)
        finally:
            parts.registry.remove(name.cluster_id, session.id, reason=ended, now=parts.clock())
            _log.info("agent session ended", extra=said | {"reason": ended})

    def _heard(self, cluster_id: str, session_id: str, body: bytes) -> None:
        """The agent says something of itself; whose it is, its certificate has said."""
        now = self._parts.clock()
        try:
            self._parts.registry.heard(cluster_id, session_id, report(calls.decode(body), now), now)
        except calls.MalformedBodyError as error:
            if not self._unreadable:  # it may send any number
                _log.warning("an agent's note cannot be read", extra={"cluster": cluster_id, "reason": str(error)})
            self._unreadable = True

    # Refusing

    def _log_refusal(self, refusal: Problem) -> None:
        if self._unsaid:
            return
        _log.warning(
            "agent refused", extra={"address": self._address, "code": refusal.code.value, "reason": refusal.message}
        )

    async def _refuse(self, stream: TLSStream, carrier: Carrier, stream_id: int, refusal: Problem) -> None:
        self._log_refusal(refusal)
        body: dict[str, str | int] = {"code": refusal.code.value, "message": refusal.message}
        if refusal.retry_after is not None:
            body["retry_after"] = refusal.retry_after
        carrier.answer(stream_id, refusal.status, calls.encode(body))
        await self._last_words(stream, carrier)

    @staticmethod
    async def _last_words(stream: TLSStream, carrier: Carrier) -> None:
        """Write the answer, then let the peer close first so that a RST does not cut it."""
        with trio.move_on_after(ANSWER_SECONDS):
            await stream.write(carrier.take())
            await stream.send_eof()
            while await stream.read(_READ_BYTES):
                pass
