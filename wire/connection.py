"""One tunnel session without its socket: bytes in, frames out, frames in, bytes out. Pure.

Joins the carrier, the decoder, the state table, the credit accounts and the fair schedule. Both ends are this class;
`opener` tells which one may open exchanges. Two of them joined back to back are the test rig. Time is an argument.

What `receive` returns has been checked against state and credit, so the driver only hands it on. Any violation raises
`ProtocolViolation`; the session then sends its RESET and ends. A frame for an exchange that has ended is dropped
silently: its sender could not know yet.
"""

from __future__ import annotations

from typing import Any, Final

from wire import frames
from wire.carrier import Carrier, CarrierEnded, CarrierError, Payload
from wire.credit import SESSION_POOL, CreditExceeded, Pool, ReceiveWindow, first_window
from wire.frames import (
    Credit,
    Data,
    Decoder,
    Drain,
    End,
    Frame,
    FrameError,
    Head,
    Hello,
    Note,
    Open,
    Ping,
    Pong,
    Reset,
    Stop,
)
from wire.heads import Headers, Identity, RequestHead, ResponseHead
from wire.schedule import Flood, Lane, Schedule
from wire.states import State, Step, WrongStep, after

MAX_EXCHANGES: Final = 2048
"""Open at once in one session. A watch is one of them for hours; more clusters' worth go to another session."""

BATCH_BYTES: Final = 64 * 1024
"""Frames gathered into one write: batching is where the speed comes from."""

QUEUE_BYTES: Final = 64 * 1024
"""What one exchange may have waiting locally, whatever its credit."""

LAST_WINDOW_FLOOR: Final = 16 * 1024
"""The smallest first window a peer may announce: one whole frame must always fit."""


class ProtocolViolation(Exception):
    """The peer broke the protocol. Its sentence may be shown to the peer."""


class PeerEnded(Exception):
    """The peer ended the session in good order, or with a RESET of the session that says why."""


class Flow:
    """One exchange as the connection sees it."""

    __slots__ = (
        "discarding",
        "id",
        "incoming",
        "lane",
        "limit",
        "outgoing",
        "owner",
        "peer_stopped",
        "reset_by",
        "sent",
        "window",
    )

    def __init__(self, exchange_id: int, incoming: State, outgoing: State, limit: int, window: ReceiveWindow) -> None:
        self.id = exchange_id
        self.incoming = incoming
        self.outgoing = outgoing
        self.limit = limit  # absolute offset up to which the peer lets us send
        self.sent = 0
        self.window = window
        self.lane = Lane()
        self.peer_stopped = False
        self.discarding = False  # we sent STOP: what still comes is dropped
        self.reset_by: Reset | None = None
        self.owner: Any = None  # the driver's exchange

    @property
    def room(self) -> int:
        """How many body bytes may be queued now."""
        return min(self.limit - self.sent, QUEUE_BYTES - self.lane.bytes)

    @property
    def ended(self) -> bool:
        return self.incoming is State.ENDED and self.outgoing is State.ENDED


class Connection:
    """The session's protocol, either end."""

    def __init__(
        self,
        carrier: Carrier,
        *,
        opener: bool,
        name: bytes,
        process_pool: Pool | None = None,
        speaks: tuple[int, int] = (frames.VERSION_LOWEST, frames.VERSION_HIGHEST),
    ) -> None:
        self._carrier = carrier
        self.opener = opener
        self._decoder = Decoder()
        self._schedule = Schedule()
        self.flows: dict[int, Flow] = {}
        self.highest = 0  # highest id opened, by us or by the peer
        self._drain_last: int | None = None  # we said DRAIN: no id above this
        self.peer_drain_last: int | None = None
        self.peer: Hello | None = None
        self.version = 0  # the highest both speak, once the peer has greeted
        self.round_trip: float | None = None
        self._pings: dict[bytes, float] = {}
        pool = Pool(SESSION_POOL)
        self._pools = (pool, process_pool) if process_pool is not None else (pool,)
        self._speaks = speaks
        hello = Hello(speaks[0], speaks[1], (), first_window(0), MAX_EXCHANGES, name[:64])
        self._schedule.control(frames.encode_hello(hello))
        self._over = False

    # Receiving

    def receive(self, data: bytes, now: float) -> list[tuple[Flow | None, Frame]]:
        """Take bytes from the peer and return what they say, checked, in order.

        Raises:
            ProtocolViolation: the session must be ended with its sentence.
            PeerEnded: nothing more will come.

        """
        said: list[tuple[Flow | None, Frame]] = []
        try:
            events = self._carrier.receive(data)
        except CarrierError as error:
            raise ProtocolViolation(str(error)) from error
        for event in events:
            if type(event) is Payload:
                said += self.receive_payload(event.data, now)
            elif type(event) is CarrierEnded:
                raise PeerEnded(event.reason)
        return said

    def receive_payload(self, payload: bytes, now: float) -> list[tuple[Flow | None, Frame]]:
        """Take bytes of the tunnel itself, for what came in the same read as the tunnel's opening. As `receive`."""
        said: list[tuple[Flow | None, Frame]] = []
        try:
            for frame in self._decoder.feed(payload):
                self._on_frame(frame, now, said)
        except (FrameError, CreditExceeded, WrongStep, Flood) as error:
            raise ProtocolViolation(str(error)) from error
        return said

    def _on_frame(self, frame: Frame, now: float, said: list[tuple[Flow | None, Frame]]) -> None:
        if self.peer is None and type(frame) is not Hello and not (type(frame) is Reset and frame.id == 0):
            raise ProtocolViolation("the first frame must be HELLO")
        if type(frame) is Head:  # nearly every frame is one of these two
            self._on_head(frame, said)
            return
        if type(frame) is Open:
            opened = self._on_open(frame, now)
            if opened is not None:
                said.append((opened, frame))
            return
        match frame:
            case Data() | End() | Credit() | Stop():
                flow = self._flow(frame.id)
                if flow is not None and self._on_flow_frame(flow, frame):
                    said.append((flow, frame))
            case Reset():
                self._on_reset(frame, said)
            case Ping():
                self._schedule.pong(frames.encode_pong(frame.token))
            case Pong():
                self._on_pong(frame, now)
                said.append((None, frame))
            case Drain():
                self._on_drain(frame, said)
            case Note():
                said.append((None, frame))
            case Hello():
                self._on_hello(frame)
                said.append((None, frame))

    def _flow(self, exchange_id: int) -> Flow | None:
        flow = self.flows.get(exchange_id)
        if flow is None and exchange_id > self.highest:
            raise ProtocolViolation(f"exchange {exchange_id} was never opened")
        return flow

    def _on_head(self, frame: Head, said: list[tuple[Flow | None, Frame]]) -> None:
        flow = self._flow(frame.id)
        if flow is None:
            return
        if not self.opener:
            raise ProtocolViolation("HEAD from the end that opens exchanges")
        flow.incoming = after(flow.incoming, Step.HEAD)
        flow.window.arrived(len(frame.body))
        if frame.end:
            flow.incoming = after(flow.incoming, Step.END)
            self._settle(flow)
        said.append((flow, frame))

    def _on_flow_frame(self, flow: Flow, frame: Data | End | Credit | Stop) -> bool:
        """Apply a frame to its flow; True when the driver must hear of it."""
        match frame:
            case Data():
                flow.incoming = after(flow.incoming, Step.DATA)
                flow.window.arrived(len(frame.payload))
                return not flow.discarding
            case End():
                flow.incoming = after(flow.incoming, Step.END)
                self._settle(flow)
                return not flow.discarding
            case Credit():
                flow.limit = max(flow.limit, frame.offset)
                return True
            case Stop():
                if flow.outgoing is State.AWAITING:
                    raise ProtocolViolation("STOP before the answer's head")
                if not flow.peer_stopped and flow.outgoing is not State.ENDED:
                    flow.peer_stopped = True
                    self._schedule.discard(flow.id, flow.lane)
                    self.send_end(flow)
                return True

    def _on_open(self, frame: Open, now: float) -> Flow | None:
        if self.opener:
            raise ProtocolViolation("OPEN from the end that accepts exchanges")
        if frame.id <= self.highest:
            raise ProtocolViolation("exchange ids must rise")
        if frame.window < LAST_WINDOW_FLOOR:
            raise ProtocolViolation("a first window too small for one frame")
        self.highest = frame.id
        if self._drain_last is not None and frame.id > self._drain_last:
            self._refuse(frame.id, frames.ResetCode.DRAINING, b"this session is draining")
            return None
        if len(self.flows) >= MAX_EXCHANGES:
            self._refuse(frame.id, frames.ResetCode.BUSY, b"too many exchanges are open")
            return None
        incoming = State.FLOWING if frame.has_body or frame.upgrade else State.ENDED
        # The opener may use all of the window announced in HELLO; a smaller one for busy sessions is its own restraint.
        window = ReceiveWindow(first_window(len(self.flows)), self._pools, now, granted=first_window(0))
        flow = Flow(frame.id, incoming, State.AWAITING, frame.window, window)
        self.flows[frame.id] = flow
        return flow

    def _refuse(self, exchange_id: int, code: frames.ResetCode, sentence: bytes) -> None:
        self._schedule.control(frames.encode_reset(exchange_id, code, sentence))

    def _on_reset(self, frame: Reset, said: list[tuple[Flow | None, Frame]]) -> None:
        if frame.id == 0:
            raise PeerEnded(f"the peer ended the session: {frame.sentence.decode('utf-8', 'replace')}")
        flow = self._flow(frame.id)
        if flow is not None:
            flow.reset_by = frame
            self._drop(flow)
            said.append((flow, frame))

    def _on_drain(self, frame: Drain, said: list[tuple[Flow | None, Frame]]) -> None:
        """Take no for an answer at once: what the peer had not seen when it said DRAIN, it will never start."""
        self.peer_drain_last = frame.last_id
        if self.opener:
            for flow in [flow for flow in self.flows.values() if flow.id > frame.last_id]:
                self._drop(flow)
                self._schedule.withdraw_open(flow.id)
                said.append((flow, Reset(flow.id, frames.ResetCode.DRAINING, b"the session is draining")))
        said.append((None, frame))

    def _on_pong(self, frame: Pong, now: float) -> None:
        sent = self._pings.pop(frame.token, None)
        if sent is not None:
            measured = now - sent
            self.round_trip = measured if self.round_trip is None else min(self.round_trip, measured)

    def _on_hello(self, frame: Hello) -> None:
        if self.peer is not None:
            raise ProtocolViolation("a second HELLO")
        lowest, highest = self._speaks
        if frame.lowest > highest or frame.highest < lowest:
            raise ProtocolViolation(
                f"no common version: we speak {lowest} to {highest}, the peer {frame.lowest} to {frame.highest}"
            )
        if frame.window < LAST_WINDOW_FLOOR:
            raise ProtocolViolation("a first window too small for one frame")
        self.peer = frame
        self.version = min(highest, frame.highest)

    def _settle(self, flow: Flow) -> None:
        """Forget a flow whose two directions have ended; what it still has queued is written all the same."""
        if flow.ended:
            self.flows.pop(flow.id, None)
            flow.window.close()

    def _drop(self, flow: Flow) -> None:
        flow.incoming = after(flow.incoming, Step.RESET)
        flow.outgoing = after(flow.outgoing, Step.RESET)
        self._schedule.discard(flow.id, flow.lane)
        self._settle(flow)

    # Sending

    @property
    def may_open(self) -> bool:
        """Tell whether the peer would take one more exchange now."""
        return (
            self.peer is not None
            and self.peer_drain_last is None
            and len(self.flows) < min(MAX_EXCHANGES, self.peer.max_exchanges)
        )

    def open(self, head: RequestHead, identity: Identity, *, has_body: bool, upgrade: bool, now: float) -> Flow:
        """Open an exchange. Only when `may_open`. FrameError: it is too large, and nothing was opened."""
        assert self.opener
        assert self.peer is not None
        size = first_window(len(self.flows))
        packed = frames.encode_open(Open(self.highest + 1, has_body, upgrade, size, head, identity))
        self.highest += 1
        outgoing = State.FLOWING if has_body or upgrade else State.ENDED
        limit = min(self.peer.window, size)
        flow = Flow(self.highest, State.AWAITING, outgoing, limit, ReceiveWindow(size, self._pools, now))
        self.flows[flow.id] = flow
        self._schedule.open(flow.id, packed)
        return flow

    def send_head(self, flow: Flow, head: ResponseHead, body: bytes = b"", *, end: bool = False) -> None:
        """Begin the answer; `body` within `flow.room` and one DATA frame."""
        flow.outgoing = after(flow.outgoing, Step.HEAD)
        flow.sent += len(body)
        self._schedule.add(flow.lane, frames.encode_head(flow.id, head, body, end))
        if end:
            flow.outgoing = after(flow.outgoing, Step.END)
            self._settle(flow)

    def send_data(self, flow: Flow, piece: bytes | bytearray | memoryview) -> None:
        """Queue body bytes: at most one DATA frame's, within `flow.room`."""
        flow.outgoing = after(flow.outgoing, Step.DATA)
        flow.sent += len(piece)
        assert flow.sent <= flow.limit
        self._schedule.add(flow.lane, frames.encode_data(flow.id, piece))

    def send_end(self, flow: Flow, trailers: Headers = ()) -> None:
        """End our direction."""
        flow.outgoing = after(flow.outgoing, Step.END)
        self._schedule.add(flow.lane, frames.encode_end(flow.id, trailers))
        self._settle(flow)

    def consumed(self, flow: Flow, count: int, now: float) -> bool:
        """Account for bytes the consumer took; True when a CREDIT waits to be written."""
        if flow.incoming is State.ENDED:
            return False
        offset = flow.window.consumed(count, now, self.round_trip)
        if offset is None:
            return False
        self._schedule.credit(flow.id, frames.encode_credit(flow.id, offset))
        return True

    def stop(self, flow: Flow) -> None:
        """Ask the peer to send no more; what still comes is dropped."""
        if flow.incoming is State.FLOWING and not flow.discarding:
            flow.discarding = True
            self._schedule.control(frames.encode_stop(flow.id))

    def reset(self, flow: Flow, code: int, sentence: bytes) -> None:
        """End an exchange at once, both ways."""
        if flow.ended:
            return
        self._drop(flow)
        if not (self.opener and self._schedule.withdraw_open(flow.id)):
            self._schedule.control(frames.encode_reset(flow.id, code, sentence))

    def drain(self) -> None:
        """Say that no new exchange is taken; open ones go on."""
        if self._drain_last is None:
            self._drain_last = self.highest
            self._schedule.control(frames.encode_drain(self.highest))

    def note(self, body: bytes) -> None:
        """Say something of ourselves."""
        self._schedule.control(frames.encode_note(body))

    def ping(self, token: bytes, now: float) -> None:
        """Ask for a sign of life."""
        self._pings = {token: now}  # one is outstanding at a time; an older one no longer tells anything
        self._schedule.control(frames.encode_ping(token))

    def end(self, code: int, sentence: bytes) -> None:
        """Make a RESET of the session the last thing written."""
        if not self._over:
            self._over = True
            self._schedule = Schedule()
            self._schedule.control(frames.encode_reset(0, code, sentence))

    @property
    def wants_write(self) -> bool:
        """Tell whether `take` would return bytes now: a frame waits, and the carrier's window has room for it."""
        return self._carrier.has_own or self._schedule.fits(self._carrier.sendable)

    def take(self) -> tuple[bytes, list[Lane]]:
        """Return the next bytes to write, about BATCH_BYTES, and the lanes that now have more room."""
        own = self._carrier.take() if self._carrier.has_own else b""
        room = self._carrier.sendable
        if room <= 0 or not self._schedule:
            return own, []
        batch, spoke = self._schedule.take(BATCH_BYTES, room)
        if not batch:
            return own, []
        payload = batch[0] if len(batch) == 1 else b"".join(batch)
        return own + self._carrier.wrap(payload), spoke
