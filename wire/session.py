"""One live tunnel session: the Trio driver of `connection.py`. The only module of wire that waits or asks the time.

Three tasks: a reader, the one writer, and a pulse that notices a peer that went silent. Each accepted exchange runs in
a task of the session's nursery, behind a barrier: its exception ends it alone. When the session ends, for whatever
reason, every open exchange fails at once with `SessionLost`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

import trio

from wire.carrier import Carrier
from wire.connection import Connection, Flow, PeerEnded, ProtocolViolation
from wire.credit import PROCESS_POOL, Pool
from wire.endings import SessionDraining, SessionEnded, SessionFull, first_sentence
from wire.exchange import Exchange, ExchangeReset, PeerStopped, SessionLost, Turn
from wire.frames import Drain, Frame, Hello, Note, Open, Pong, ResetCode
from wire.heads import Identity, RequestHead
from wire.passes import passes
from wire.pulse import Pulse
from wire.readiness import Readiness
from wire.tls import MAX_WRITE_BYTES, TLSStream
from wire.transport import ByteStream, read_or_end
from wire.workers import Begin, OnExchange, Workers

__all__ = [
    "Exchange",
    "ExchangeReset",
    "PeerStopped",
    "Session",
    "SessionDraining",
    "SessionEnded",
    "SessionFull",
    "SessionLost",
]

PULSE_SECONDS: Final = 1.0
LINGER_PULSES: Final = 5
"""How long an acceptor that has drained waits for the opener to end the session, which it does at once."""

GOODBYE_SECONDS: Final = 1.0
"""How long the last RESET of a session may take to write."""

_PIECE_BYTES: Final = 16 * 1024
"""Of one read, so much is heard before others may have the loop: 5,000 of the smallest frames, which take 4 ms."""

_SHORTCUT_BYTES: Final = 64 * 1024
"""One read that is heard where it is seen: more than the other end writes at once means a transfer."""

_log = logging.getLogger("fairlead.session")
_process_pool = Pool(PROCESS_POOL)


class Shortcut(NamedTuple):
    """Where a session's bytes are seen before any task runs."""

    readiness: Readiness
    stream: TLSStream


class Session:
    """Made by `dial_session` or `accept_session`; alive while `run` runs."""

    def __init__(self, stream: ByteStream, carrier: Carrier, *, opener: bool, name: str) -> None:
        self.id = secrets.token_hex(8)
        self.connection = Connection(carrier, opener=opener, name=name.encode(), process_pool=_process_pool)
        self._stream = stream
        self._alive = True
        self._time = trio.lowlevel.current_clock().current_time  # what trio.current_time calls in the end
        self._now = self._time()
        self._life = Pulse(self._now)
        self.carried = 0  # bytes of the carrier, both ways
        self._wake = trio.Event()
        self._writer_sleeps = False
        self._silent = trio.Event()  # set when nothing waits to be written
        self._answered = trio.Event()  # the peer answered a PING, or the session is over
        self._accepted: list[Exchange] = []  # opened by the peer, not yet running
        self._workers: Workers | None = None
        self._shortcut: Shortcut | None = None
        self._needed = Turn()  # the reader's task, while the shortcut hears
        self._unheard = b""  # read, and left to the reader's task
        self._fault: Exception | None = None  # what the shortcut met
        self._unsent = b""  # begun to be written, and to be repeated by the writer's task
        self._write_due = False  # when this round ends
        self._scope: trio.CancelScope | None = None
        self._drain_deadline = float("inf")
        self._on_drain: Callable[[], None] | None = None
        self._on_note: Callable[[bytes], None] | None = None
        self._noted: bytes | None = None

    # What others ask

    @property
    def alive(self) -> bool:
        """Tell whether exchanges can still move."""
        return self._alive

    @property
    def in_flight(self) -> int:
        """How many exchanges are open."""
        return len(self.connection.flows)

    @property
    def exchanges(self) -> int:
        """How many exchanges there have been: their ids count them."""
        return self.connection.highest

    @property
    def draining(self) -> bool:
        """Tell whether the peer takes no new exchanges."""
        return self.connection.peer_drain_last is not None

    @property
    def peer(self) -> Hello:
        """What the peer said of itself."""
        peer = self.connection.peer
        assert peer is not None, "a session has been greeted before anyone holds it"
        return peer

    @property
    def round_trip_seconds(self) -> float | None:
        """The smallest round trip seen."""
        return self.connection.round_trip

    async def stands(self) -> bool:
        """Wait until the peer has answered a PING, so that it runs the session, too. False: the session ended first."""
        await self._answered.wait()
        return self._alive

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once when the peer says DRAIN."""
        self._on_drain = callback

    def on_note(self, callback: Callable[[bytes], None]) -> None:
        """Have `callback` called with each NOTE of the peer's, the latest included. It must not wait or raise."""
        self._on_note = callback
        if self._noted is not None:
            callback(self._noted)

    def note(self, body: bytes) -> None:
        """Say something of ourselves (a body of `calls`). FrameError: it is too long."""
        if self._alive:
            self.connection.note(body)
            self.wake_writer()

    def open(self, head: RequestHead, identity: Identity, *, has_body: bool, upgrade: bool = False) -> Exchange:
        """Open an exchange.

        Raises:
            SessionLost: the session has ended.
            SessionDraining: the peer is leaving.
            SessionFull: too many exchanges are open.

        """
        if not self._alive:
            raise SessionLost("the session has ended")
        if not self.connection.may_open:
            if self.draining:
                raise SessionDraining("the peer takes no new exchanges")
            raise SessionFull("too many exchanges are open on this session")
        flow = self.connection.open(head, identity, has_body=has_body, upgrade=upgrade, now=self._now)
        self.wake_writer()
        return Exchange(self, flow, head, identity, has_body=has_body, upgrade=upgrade)

    def drain(self, seconds: float) -> None:
        """Take no new exchanges, let open ones end, and end the session after at most `seconds`."""
        self.connection.drain()
        self._drain_deadline = trio.current_time() + seconds
        self.wake_writer()

    def abort(self) -> None:
        """End the session at once, without a word."""
        self._alive = False
        self._stream.abort()
        if self._scope is not None:
            self._scope.cancel()

    # What exchanges ask

    def wake_writer(self) -> None:
        """Tell the writer that something waits."""
        if self._writer_sleeps and not self._write_due:
            shortcut = self._shortcut
            if shortcut is not None and shortcut.readiness.in_round:
                self._write_due = True
                shortcut.readiness.later(self._write_now)
            else:
                self._call_writer()

    def _call_writer(self) -> None:
        if self._writer_sleeps:
            self._writer_sleeps = False
            self._wake.set()

    def consumed(self, flow: Flow, count: int) -> None:
        """Give credit for bytes a consumer took."""
        if self.connection.consumed(flow, count, self._now):
            self.wake_writer()

    # Running

    async def greet(self, early: bytes) -> None:
        """Exchange HELLOs. `early`: tunnel payload already read. The caller owns the deadline and the stream.

        Raises:
            SessionEnded: the peer hung up, or broke the protocol.

        """
        try:
            self._take_in(self.connection.receive_payload, early)
            await self._write_all()
            while self.connection.peer is None:
                self._hear(await read_or_end(self._stream))
        except trio.BrokenResourceError as error:
            raise SessionEnded(f"the connection broke: {error}") from error
        except SessionEnded:
            with trio.move_on_after(GOODBYE_SECONDS), suppress(trio.BrokenResourceError):
                await self._write_all()
            raise

    async def run(
        self, on_exchange: OnExchange | None = None, begin: Begin | None = None, readiness: Readiness | None = None
    ) -> None:
        """Run until the session ends. `begin` takes what needs no task, `on_exchange` all else.

        With `readiness`, which must be running as long, what is said is heard where it is seen, and what that makes us
        say is said at the end of the round: neither costs a task's turn.

        Raises:
            SessionEnded: always, except when cancelled; its sentence says why.

        """
        reason = "cancelled"
        if readiness is not None and readiness.available and isinstance(self._stream, TLSStream):
            self._shortcut = Shortcut(readiness, self._stream)
        try:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                if on_exchange is not None:
                    self._workers = Workers(nursery, on_exchange, begin)
                nursery.start_soon(self._write_forever)
                nursery.start_soon(self._pulse)
                self._measure(trio.current_time())
                try:
                    await self._read_forever()
                except SessionEnded as ended:
                    reason = str(ended)
                self._lose(reason)
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            ends, others = group.split(SessionEnded)
            if others is not None:
                raise others from None
            reason = first_sentence(ends)
        finally:
            self._lose(reason)
            self._stream.abort()
        raise SessionEnded(reason)

    def _lose(self, reason: str) -> None:
        self._answered.set()
        self._alive = False
        left = self.draining or self._drain_deadline != float("inf")
        for flow in list(self.connection.flows.values()):
            flow.window.close()
            if flow.owner is not None:
                lost = SessionLost(f"the tunnel session ended: {reason}")
                lost.left = left
                flow.owner.fail(lost)
        self.connection.flows.clear()

    async def _read_forever(self) -> None:
        while True:
            self._begin_accepted()
            if self._shortcut is not None:
                await self._shortcut_ends(self._shortcut)
            try:
                if self._fault is not None:
                    raise self._fault
                data, self._unheard = self._unheard, b""
                data = data or await read_or_end(self._stream)
                if len(data) <= _PIECE_BYTES:
                    self._hear(data)
                else:
                    await self._hear_all(data)
            except SessionEnded:
                await self._say_goodbye()
                raise
            except Exception as error:  # the barrier: it ends this session, and no other
                _log.exception("a session ended by a defect of ours")
                raise SessionEnded("a defect of this end") from error

    def _begin_accepted(self) -> None:
        for exchange in self._accepted:
            if self._workers is None:
                exchange.reset(ResetCode.PROTOCOL, "this end accepts no exchanges")
            else:
                self._workers.accept(exchange)
        self._accepted.clear()

    async def _shortcut_ends(self, shortcut: Shortcut) -> None:
        """Let everything be heard where it is seen until that leaves something to the reader's task."""
        if shortcut.stream.more_likely or shortcut.stream.closed:
            return
        shortcut.readiness.arm(shortcut.stream, self._on_readable)
        try:
            await self._needed.wait()
        finally:
            shortcut.readiness.disarm(shortcut.stream)  # when cancelled; else it is by now

    def _on_readable(self) -> None:
        """Hear what there is, as much as a pass of the loop allows; call the reader's task to all else."""
        shortcut = self._shortcut
        assert shortcut is not None
        data: bytes | None = b""
        try:
            data = shortcut.stream.receive_nowait(_SHORTCUT_BYTES)
            if data is None:
                return
            if data:
                self._unheard = self._hear_some(data)
                self._begin_accepted()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the task meets the same fault
        except Exception as error:  # noqa: BLE001 # its task raises it, be it the session's end or a defect
            self._fault = error
        if not data or self._unheard or self._fault is not None or shortcut.stream.more_likely:
            # At once, not when the task runs: what comes next must not be heard before what is left to it.
            shortcut.readiness.disarm(shortcut.stream)
            self._needed.call()

    def _hear_some(self, data: bytes) -> bytes:
        """Hear pieces until this pass of the loop has had its share; return the rest."""
        start = 0
        while len(data) - start > _PIECE_BYTES:
            self._hear(data[start : start + _PIECE_BYTES])
            start += _PIECE_BYTES
            if passes().spent:
                return data[start:]
        self._hear(data[start:] if start else data)
        return b""

    async def _hear_all(self, data: bytes) -> None:
        """Hand on a long read in pieces: what its sender calls 200 KiB may be a transfer or a flood."""
        loop = passes()
        for start in range(0, len(data), _PIECE_BYTES):
            if loop.spent:
                await loop.wait()
            self._hear(data[start : start + _PIECE_BYTES])

    def _hear(self, data: bytes) -> None:
        """Hand on what the peer says."""
        self._now = self._time()
        self._life.heard(self._now)
        self.carried += len(data)
        self._take_in(self.connection.receive, data)
        if self.connection.wants_write or (self.draining and self._drained()):
            self.wake_writer()

    def _take_in(self, receive: Callable[[bytes, float], list[tuple[Flow | None, Frame]]], data: bytes) -> None:
        try:
            said = receive(data, self._now)
        except ProtocolViolation as error:
            self.connection.end(ResetCode.PROTOCOL, str(error).encode())
            raise SessionEnded(f"the peer broke the protocol: {error}") from error
        except PeerEnded as end:
            raise SessionEnded(str(end)) from end
        for flow, frame in said:
            if flow is None:
                if type(frame) is Pong:
                    self._answered.set()
                elif type(frame) is Drain and self._on_drain is not None:
                    self._on_drain()
                elif type(frame) is Note:
                    self._noted = frame.body
                    if self._on_note is not None:
                        self._on_note(frame.body)
            elif type(frame) is Open:
                self._accepted.append(Exchange.accepted(self, flow, frame))
            elif flow.owner is not None:  # else closed meanwhile, perhaps by a frame of this very read
                flow.owner.on_frame(frame)

    async def _write_forever(self) -> None:
        while True:
            while not self.connection.wants_write and not self._unsent:
                if self.connection.opener and self._drained():
                    await self._leave()
                self._silent.set()
                self._wake = trio.Event()
                self._writer_sleeps = True
                await self._wake.wait()
            try:
                await self._write_all()
            except trio.BrokenResourceError as error:
                raise SessionEnded(f"the connection broke: {error}") from error
            except trio.ClosedResourceError as closed:
                raise SessionEnded("the session was closed") from closed

    def _write_now(self) -> None:
        """At a round's end: write one batch if the kernel takes it at once, and call the writer's task to all else.

        Never raises: whoever calls serves every connection.
        """
        self._write_due = False
        stream, connection = self._stream, self.connection
        if not self._writer_sleeps or not isinstance(stream, TLSStream):
            return
        try:
            if connection.wants_write and stream.writable_now():
                batch, spoke = connection.take()
                self.carried += len(batch)
                self._unsent = batch
                if len(batch) <= MAX_WRITE_BYTES and (not batch or stream.write_nowait(batch)):
                    self._unsent = b""
                for lane in spoke:
                    if lane.owner is not None:
                        lane.owner.on_room()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            self._call_writer()  # it meets the same, for it is left what could not be written
        except Exception:  # noqa: BLE001 # it ends this session, whose reader meets the closed stream
            _log.exception("a session ended by a defect of ours")
            self.abort()
        else:
            if self._unsent or connection.wants_write or (connection.opener and self._drained()):
                self._call_writer()
            else:
                self._silent.set()

    async def _write_all(self) -> None:
        """Write until nothing waits. Frames are chosen as late as the kernel allows."""
        stream, connection, life = self._stream, self.connection, self._life
        if self._unsent:
            life.writing_since = trio.current_time()
            batch, self._unsent = self._unsent, b""
            await stream.write(batch)
            life.writing_since = None
        while connection.wants_write:
            if not stream.writable_now():
                life.writing_since = life.writing_since or trio.current_time()
                await stream.wait_writable()
            batch, spoke = connection.take()
            if batch:
                life.writing_since = trio.current_time()
                await stream.write(batch)
                self.carried += len(batch)
            life.writing_since = None  # also when what waited for room is wanted no more
            for lane in spoke:
                if lane.owner is not None:
                    lane.owner.on_room()

    async def _say_goodbye(self) -> None:
        self._silent = trio.Event()
        self.wake_writer()
        with trio.move_on_after(GOODBYE_SECONDS):
            await self._silent.wait()

    def _drained(self) -> bool:
        """Tell whether nothing is open and nothing will be."""
        leaving = self._drain_deadline != float("inf") or (self.connection.opener and self.draining)
        return leaving and not self.connection.flows

    async def _leave(self) -> None:
        """Opener: end a drained session. It has every answer by now; an acceptor that closed could cut off its last."""
        self.connection.end(ResetCode.DRAINING, b"drained")
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._write_all()
        raise SessionEnded("drained")

    async def _pulse(self) -> None:
        """Notice a peer that is silent, a write that is stuck, and the end of a drain."""
        expected = trio.current_time() + PULSE_SECONDS
        lingered = 0
        while True:
            await trio.sleep_until(expected)
            now = trio.current_time()
            self._life.excuse(now, now - expected)
            expected = now + PULSE_SECONDS
            if (fault := self._life.fault(now)) is not None:
                raise SessionEnded(fault)
            if self._life.asks(now):
                self._measure(now)
            if now >= self._drain_deadline:
                self._lose("drained at its deadline")  # now: whoever is cancelled would reset what is open
                raise SessionEnded("drained at its deadline")
            if self._drained():
                self.wake_writer()
                lingered += 1
                if lingered > LINGER_PULSES:
                    raise SessionEnded("drained")

    def _measure(self, now: float) -> None:
        self._life.measured(now)
        self.connection.ping(secrets.token_bytes(8), now)
        self.wake_writer()
