"""SPDY/3.1 over a Trio stream: one connection, many streams, either end.

What always holds: what a stream keeps for its reader is bounded, and so is what waits to be written. A peer that shows
that it counts credit (SETTINGS with an initial window, or WINDOW_UPDATE) is held to windows both ways, and no stream
can hold up another. kubectl's library neither grants nor heeds credit: towards such a peer a full stream stops the
reading of the whole connection, as it does in a kubelet, and the kernel's windows do the rest.
What the streams mean (exec, port-forward) is not known here.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import Final

import trio

from ops.demo.toy.streams.outbox import Outbox
from ops.demo.toy.streams.spdy_frames import (
    CANCEL,
    FLOW_CONTROL_ERROR,
    INVALID_STREAM,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTING_INITIAL_WINDOW,
    Data,
    Decoder,
    Encoder,
    Frame,
    GoAway,
    Headers,
    Ping,
    RstStream,
    Settings,
    SpdyError,
    SynReply,
    SynStream,
    WindowUpdate,
)

#: What SPDY/3.1 gives each stream and each connection to begin with.
INITIAL_WINDOW: Final = 64 * 1024
#: Per stream, for a reader that is slow: above the window, so a peer that counts credit never meets it.
MAX_UNREAD_BYTES: Final = 256 * 1024
#: One DATA frame: other streams get their turn after it.
MAX_DATA_BYTES: Final = 64 * 1024
#: Two for each forwarded connection; a browser opens six at a time.
MAX_STREAMS: Final = 512
#: A peer that vanished without a word is noticed within about two of these.
PING_SECONDS: Final = 10.0
_READ_BYTES = 64 * 1024


class SpdyStream:
    """One stream: a Trio stream with headers, half-close and reset."""

    def __init__(self, connection: SpdyConnection, stream_id: int, headers: Headers) -> None:
        self.stream_id = stream_id
        self.headers = dict(headers)
        self.replied = trio.Event()
        self._connection = connection
        self._pieces: deque[bytes] = deque()
        self.unread = 0
        self.unacknowledged = 0
        self.received_fin = False
        self.sent_fin = False
        self.broken = False
        self.discarding = False
        self.send_window = 0
        self._changed = trio.lowlevel.ParkingLot()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes; b"" after the peer's last. Raises BrokenResourceError on a reset or a lost connection."""
        await trio.lowlevel.checkpoint()
        while not self._pieces:
            if self.received_fin:
                return b""
            self._check()
            await self._changed.park()
        piece = self._pieces.popleft()
        if max_bytes is not None and len(piece) > max_bytes:
            self._pieces.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        self.unread -= len(piece)
        self._connection.consumed(self, len(piece))
        self._changed.unpark_all()
        return piece

    async def send_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            allowed = await self._allowance()
            piece, view = view[:allowed], view[allowed:]
            self._connection.send_data(self, bytes(piece))
        if not data:
            await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Our last byte has been sent; reading goes on."""
        await trio.lowlevel.checkpoint()
        if not self.sent_fin and not self.broken:
            self.sent_fin = True
            self._connection.put(Data(self.stream_id, b"", fin=True))
            self._connection.forget_if_done(self)

    def discard(self) -> None:
        """What the peer still sends is of no interest; it is dropped as it comes."""
        self.discarding = True
        self._pieces.clear()
        self.unread = 0
        self._changed.unpark_all()

    def reset(self, status: int = CANCEL) -> None:
        if not self.broken and not (self.sent_fin and self.received_fin):
            with contextlib.suppress(trio.BrokenResourceError):
                self._connection.put(RstStream(self.stream_id, status))
        self.lose()

    def lose(self) -> None:
        """Whoever waits on this stream learns that it is gone."""
        self.broken = True
        self._connection.forget(self)
        self._changed.unpark_all()

    def take_in(self, data: bytes, fin: bool) -> None:
        if data and not self.discarding:
            self._pieces.append(data)
            self.unread += len(data)
        self.received_fin = self.received_fin or fin
        self._changed.unpark_all()

    async def room(self) -> None:
        """Wait until the reader has caught up."""
        while self.unread >= MAX_UNREAD_BYTES and not self.broken and not self.discarding:
            await self._changed.park()

    def wake(self) -> None:
        self._changed.unpark_all()

    async def _allowance(self) -> int:
        """How much may be sent now; at least one byte."""
        while True:
            await self._connection.outbox.room()
            if self.sent_fin:
                raise trio.ClosedResourceError("the stream was ended")
            self._check()
            allowed = min(MAX_DATA_BYTES, self._connection.credit(self))
            if allowed > 0:
                return allowed
            await self._changed.park()

    def _check(self) -> None:
        if self.broken:
            raise trio.BrokenResourceError("the stream is gone")


class SpdyConnection:
    """Either end of a connection; `run` it in a task, then use its streams."""

    def __init__(self, stream: trio.abc.Stream, *, client: bool = False, counts_credit: bool = False) -> None:
        self.outbox = Outbox(stream)
        self.closed = trio.Event()
        self.streams: dict[int, SpdyStream] = {}
        self._stream = stream
        self._encoder, self._decoder = Encoder(), Decoder()
        self._accepted, self._incoming = trio.open_memory_channel[SpdyStream](MAX_STREAMS)
        self._next_id = self._next_ping = 1 if client else 2
        self._last_peer_id = 0
        self._peer_counts = counts_credit
        self._peer_window = INITIAL_WINDOW
        self._session_window = INITIAL_WINDOW
        self._session_unacknowledged = 0
        if counts_credit:
            self.put(Settings({SETTING_INITIAL_WINDOW: INITIAL_WINDOW}))

    async def run(self, already_read: bytes = b"") -> None:
        """Serve until the peer leaves or breaks the protocol; then `closed` is set and every stream is broken."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                nursery.start_soon(self._ping)
                with contextlib.suppress(SpdyError, trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._read(already_read)
                nursery.cancel_scope.cancel()
        finally:
            self.closed.set()
            self._accepted.close()
            for stream in list(self.streams.values()):
                stream.lose()

    async def accept(self) -> SpdyStream:
        """The next stream of the peer. Raises trio.EndOfChannel when the connection is over."""
        return await self._incoming.receive()

    def open_stream(self, headers: Headers) -> SpdyStream:
        stream = self._add(self._next_id, headers)
        self._next_id += 2
        self.put(SynStream(stream.stream_id, headers))
        return stream

    async def finish(self, linger_seconds: float) -> None:
        """Say goodbye, write what is queued, and give the client time to read it and to leave."""
        with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(linger_seconds):
            self.put(GoAway(self._last_peer_id))
            await self.outbox.flush()
            await self.closed.wait()

    def put(self, frame: Frame) -> None:
        self.outbox.put(self._encoder.encode(frame))

    def send_data(self, stream: SpdyStream, data: bytes) -> None:
        stream.send_window -= len(data)
        self._session_window -= len(data)
        self.put(Data(stream.stream_id, data))

    def credit(self, stream: SpdyStream) -> int:
        return min(stream.send_window, self._session_window) if self._peer_counts else MAX_DATA_BYTES

    def consumed(self, stream: SpdyStream, size: int) -> None:
        """Give the peer back what its stream's reader took, half a window at a time."""
        stream.unacknowledged += size
        if self._peer_counts and stream.unacknowledged >= INITIAL_WINDOW // 2:
            self._acknowledge(stream)

    def forget_if_done(self, stream: SpdyStream) -> None:
        if stream.sent_fin and stream.received_fin:
            self.forget(stream)

    def forget(self, stream: SpdyStream) -> None:
        self.streams.pop(stream.stream_id, None)

    def _acknowledge(self, stream: SpdyStream) -> None:
        if stream.unacknowledged and not stream.received_fin:
            with contextlib.suppress(trio.BrokenResourceError):
                self.put(WindowUpdate(stream.stream_id, stream.unacknowledged))
        stream.unacknowledged = 0

    def _acknowledge_session(self) -> None:
        """The whole connection's credit comes back at once: the windows of the streams bound the sum."""
        if self._peer_counts and self._session_unacknowledged:
            self.put(WindowUpdate(0, self._session_unacknowledged))
            self._session_unacknowledged = 0

    def _start_counting(self) -> None:
        """The peer counts credit: give back what it has spent before we knew."""
        if not self._peer_counts:
            self._peer_counts = True
            self._acknowledge_session()
            for stream in self.streams.values():
                self._acknowledge(stream)

    def _add(self, stream_id: int, headers: Headers) -> SpdyStream:
        stream = self.streams[stream_id] = SpdyStream(self, stream_id, headers)
        stream.send_window = self._peer_window
        return stream

    async def _write(self, scope: trio.CancelScope) -> None:
        await self.outbox.run()
        scope.cancel()

    async def _ping(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await trio.sleep(PING_SECONDS)
                self.put(Ping(self._next_ping))
                self._next_ping += 2

    async def _read(self, data: bytes) -> None:
        while True:
            for frame in self._decoder.receive(data) if data else ():
                await self._receive(frame)
            data = bytes(await self._stream.receive_some(_READ_BYTES))
            if not data:
                return
            await self.outbox.room_for_answers()

    async def _receive(self, frame: Frame) -> None:
        match frame:
            case Data():
                await self._receive_data(frame)
            case SynStream():
                self._receive_stream(frame)
            case SynReply(stream_id, _, fin):
                if (stream := self.streams.get(stream_id)) is not None:
                    stream.replied.set()
                    stream.take_in(b"", fin)
            case RstStream(stream_id):
                if (stream := self.streams.get(stream_id)) is not None:
                    stream.lose()
            case Settings(values) if SETTING_INITIAL_WINDOW in values:
                self._receive_window(min(values[SETTING_INITIAL_WINDOW], 0x7FFF_FFFF))
            case WindowUpdate(stream_id, delta):
                self._receive_credit(stream_id, delta)
            case Ping(ping_id) if ping_id % 2 != self._next_ping % 2:
                self.put(frame)
            case _:
                pass  # GOAWAY: the client ends its streams itself; HEADERS carry nothing Kubernetes uses

    async def _receive_data(self, frame: Data) -> None:
        self._session_unacknowledged += len(frame.data)
        self._acknowledge_session()
        stream = self.streams.get(frame.stream_id)
        if stream is None:
            if frame.stream_id > self._last_peer_id and frame.stream_id >= self._next_id:
                self.put(RstStream(frame.stream_id, INVALID_STREAM))
            return
        if stream.received_fin:
            stream.reset(PROTOCOL_ERROR)
            return
        if self._peer_counts and stream.unread + len(frame.data) > MAX_UNREAD_BYTES:
            stream.reset(FLOW_CONTROL_ERROR)
            return
        await stream.room()
        stream.take_in(frame.data, frame.fin)
        if stream.discarding:
            self.consumed(stream, len(frame.data))
        self.forget_if_done(stream)

    def _receive_stream(self, frame: SynStream) -> None:
        mine = frame.stream_id % 2 == self._next_id % 2
        if mine or frame.stream_id <= self._last_peer_id:
            raise SpdyError(f"a stream number out of order: {frame.stream_id}")
        self._last_peer_id = frame.stream_id
        if len(self.streams) >= MAX_STREAMS:
            self.put(RstStream(frame.stream_id, REFUSED_STREAM))
            return
        stream = self._add(frame.stream_id, frame.headers)
        stream.received_fin = frame.fin
        stream.sent_fin = frame.unidirectional
        try:
            self._accepted.send_nowait(stream)
        except trio.WouldBlock:
            stream.reset(REFUSED_STREAM)
            return
        self.put(SynReply(frame.stream_id))

    def _receive_window(self, size: int) -> None:
        self._start_counting()
        change, self._peer_window = size - self._peer_window, size
        for stream in self.streams.values():
            stream.send_window += change
            stream.wake()

    def _receive_credit(self, stream_id: int, delta: int) -> None:
        self._start_counting()
        if stream_id:
            if (stream := self.streams.get(stream_id)) is not None:
                stream.send_window = min(stream.send_window + delta, 0x7FFF_FFFF)
                stream.wake()
            return
        self._session_window = min(self._session_window + delta, 0x7FFF_FFFF)
        for stream in self.streams.values():
            stream.wake()
