"""One exchange of a tunnel session, as a Trio stream: a request and its answer, or raw bytes after an upgrade.

Works wherever a socket would: `send_all` waits for credit, `receive_some` gives credit for what was taken,
`send_eof` ends our direction. The extra methods (`write`, `receive_nowait`, `answer_nowait`) are the same without a
forced yield, for relays that move many small exchanges.

An ordinary exchange that is closed before both directions ended is RESET, so a cut answer looks cut. An upgraded one
is half-closed, as a socket would be. A direction has one task.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from wire.connection import QUEUE_BYTES, Flow
from wire.frames import MAX_DATA_BYTES, NOT_STARTED, Data, End, Frame, Head, Open, Reset, ResetCode, Stop
from wire.heads import Headers, Identity, RequestHead, ResponseHead
from wire.states import State

if TYPE_CHECKING:
    from wire.session import Session

_TAKE_BYTES: Final = 64 * 1024


class ExchangeReset(trio.BrokenResourceError):
    """The peer ended this exchange at once. `not_started` means it had no effect and may be tried elsewhere."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence or f"reset with code {code}")
        self.code = code
        self.sentence = sentence

    @property
    def not_started(self) -> bool:
        return self.code in NOT_STARTED


class SessionLost(trio.BrokenResourceError):
    """The session ended under the exchange. Whether the request was carried out is not known.

    `left`: it was being drained, so this came at the drain's end and not by an accident.
    """

    left = False


class PeerStopped(trio.BrokenResourceError):
    """The peer wants no more of this direction; the other one lives on."""


class Turn:
    """Lets one task wait for another's word, or one function be called at it.

    Cheaper than an Event: it can be used again, by one waiter at a time.
    """

    __slots__ = ("_callback", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._callback: Callable[[], None] | None = None

    async def wait(self) -> None:
        """Wait for the next `call`."""
        if self._task is not None or self._callback is not None:
            raise trio.BusyResourceError("another task already waits here")
        self._task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def call(self) -> None:
        """Wake the waiter, if there is one."""
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)
        elif self._callback is not None:
            callback, self._callback = self._callback, None
            callback()

    def then(self, callback: Callable[[], None] | None) -> None:
        """Have `callback` called at the next `call`, instead of a task that waits. None: nothing any more."""
        if self._task is not None:
            raise trio.BusyResourceError("a task already waits here")
        self._callback = callback


class Exchange(trio.abc.HalfCloseableStream):
    """Made by `Session.open` on one end and handed to `on_exchange` on the other."""

    __slots__ = (
        "_chunks",
        "_closed",
        "_end_seen",
        "_fault",
        "_flow",
        "_head",
        "_held",
        "_readable",
        "_reading",
        "_session",
        "_writable",
        "_writing",
        "has_body",
        "id",
        "identity",
        "request",
        "trailers",
        "upgrade",
    )

    def __init__(
        self, session: Session, flow: Flow, request: RequestHead, identity: Identity, *, has_body: bool, upgrade: bool
    ) -> None:
        self.id = flow.id
        self.request = request
        self.identity = identity
        self.has_body = has_body
        self.upgrade = upgrade
        self.trailers: Headers = ()
        self._session = session
        self._flow = flow
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._head: ResponseHead | None = None
        self._end_seen = flow.incoming is State.ENDED
        self._fault: trio.BrokenResourceError | None = None
        self._closed = False
        self._readable = Turn()
        self._writable = Turn()
        self._reading = False
        self._writing = False
        flow.owner = self
        flow.lane.owner = self

    def __repr__(self) -> str:
        return f"<Exchange {self.id} in={self._flow.incoming.name} out={self._flow.outgoing.name} held={self._held}>"

    @classmethod
    def accepted(cls, session: Session, flow: Flow, frame: Open) -> Exchange:
        """Return the accepting end's view of an OPEN."""
        made = cls(session, flow, frame.head, frame.identity, has_body=frame.has_body, upgrade=frame.upgrade)
        # The flow is ahead of us: a RESET that came in the same read has ended it, and is no END.
        made._end_seen = not (frame.has_body or frame.upgrade)
        return made

    # The answer's head

    async def head(self) -> ResponseHead:
        """Wait for the answer's head. No deadline: whether the peer lives is the session's business.

        Raises:
            ExchangeReset: the peer gave up on it.
            SessionLost: the session ended first.

        """
        while self._head is None:
            self._check_open()
            if self._fault is not None:
                raise self._fault
            await self._readable.wait()
        return self._head

    def on_answer(self, callback: Callable[[], None] | None) -> None:
        """Have `callback` called, once, when something of the answer, or its failure, has arrived."""
        self._readable.then(callback)

    def whole_answer(self) -> tuple[ResponseHead, bytes] | None:
        """Return an answer that is here whole, in one piece and without trailers; nothing is taken."""
        if self._head is None or self._fault is not None or not self._end_seen or self.trailers:
            return None
        chunks = self._chunks
        if len(chunks) > 1:
            return None
        return self._head, (chunks[0] if chunks else b"")

    async def send_head(self, head: ResponseHead) -> None:
        """Begin the answer."""
        self._check_send()
        self._session.connection.send_head(self._flow, head)
        self._session.wake_writer()
        await trio.lowlevel.checkpoint()

    def answer_nowait(self, head: ResponseHead, body: bytes) -> bool:
        """Send a whole answer in one frame if it fits; False: nothing was sent, use the slow way."""
        self._check_send()
        if len(body) > MAX_DATA_BYTES or len(body) > self._flow.room:
            return False
        self._session.connection.send_head(self._flow, head, body, end=True)
        self._session.wake_writer()
        return True

    # Sending

    @property
    def peer_stopped(self) -> bool:
        """Tell whether the peer wants no more of what we send."""
        return self._flow.peer_stopped

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, waiting for credit as long as the peer's reader takes."""
        with self._one_writer():
            await trio.lowlevel.checkpoint()
            await self._write(data)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; unlike `send_all`, yields only when it has to wait for credit."""
        with self._one_writer():
            await self._write(data)

    async def _write(self, data: bytes | bytearray | memoryview) -> None:
        self._check_send()
        flow, connection = self._flow, self._session.connection
        with memoryview(data) as view:
            position, size = 0, len(view)
            while position < size:
                room = flow.room
                if room <= 0:
                    await self._writable.wait()
                    self._check_send()
                    continue
                step = min(size - position, room, MAX_DATA_BYTES)
                connection.send_data(flow, view[position : position + step])
                self._session.wake_writer()
                position += step

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        with self._one_writer():
            await trio.lowlevel.checkpoint()
            self._check_send()
            while self._flow.room <= 0:
                await self._writable.wait()
                self._check_send()

    async def send_eof(self, trailers: Headers = ()) -> None:
        """End our direction. Trailers only with an answer."""
        with self._one_writer():
            await trio.lowlevel.checkpoint()
            self.end_nowait(trailers)

    def end_nowait(self, trailers: Headers = ()) -> None:
        """End our direction without yielding; it follows what is already queued."""
        self._check_open()
        if self._flow.outgoing is State.FLOWING:
            self._session.connection.send_end(self._flow, trailers)
            self._session.wake_writer()

    def _one_writer(self) -> _Alone:
        return _Alone(self, "_writing")

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this exchange is closed")

    def _check_send(self) -> None:
        self._check_open()
        if self._fault is not None:
            raise self._fault
        if self._flow.peer_stopped:
            raise PeerStopped("the peer wants no more")
        if self._flow.outgoing is State.ENDED:
            raise trio.ClosedResourceError("this direction has ended")

    @property
    def unwanted(self) -> bool:
        """Tell whether it was reset or its session lost: whatever is still done for it is in vain."""
        return self._fault is not None

    # Receiving

    @property
    def at_eof(self) -> bool:
        """Tell whether everything was received and taken, and it was whole."""
        return self._end_seen and not self._chunks

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive as `trio.abc.ReceiveStream` has it. b"" is the peer's END."""
        if max_bytes is None:
            max_bytes = _TAKE_BYTES
        elif operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        with _Alone(self, "_reading"):
            await trio.lowlevel.checkpoint()
            return await self._read(max_bytes)

    async def read(self, max_bytes: int = _TAKE_BYTES) -> bytes:
        """Receive; unlike `receive_some`, yields only when nothing is there."""
        with _Alone(self, "_reading"):
            return await self._read(max_bytes)

    async def _read(self, max_bytes: int) -> bytes:
        while True:
            data = self.receive_nowait(max_bytes)
            if data is not None:
                return data
            await self._readable.wait()

    def receive_nowait(self, max_bytes: int = _TAKE_BYTES) -> bytes | None:
        """Return what is there, b"" at the end, None when there is nothing now. Gives credit for what it returns."""
        if self._closed:
            raise trio.ClosedResourceError("this exchange is closed")
        if self._fault is not None and not self._end_seen:
            # A body that had arrived whole may still be read; the beginning of a cut one is worth nothing.
            raise self._fault
        chunks = self._chunks
        if not chunks:
            return b"" if self._end_seen else None
        data = chunks.popleft()
        if len(data) > max_bytes:
            chunks.appendleft(data[max_bytes:])
            data = data[:max_bytes]
        elif chunks and len(data) + len(chunks[0]) <= max_bytes:
            pieces, size = [data], len(data)
            while chunks and size + len(chunks[0]) <= max_bytes:
                pieces.append(chunks.popleft())
                size += len(pieces[-1])
            data = b"".join(pieces)
        self._held -= len(data)
        self._session.consumed(self._flow, len(data))
        return data

    def stop(self) -> None:
        """Ask the peer to send no more, and forget what is here; the other direction lives on."""
        self._chunks.clear()
        self._held = 0
        self._end_seen = True
        self._session.connection.stop(self._flow)
        self._session.wake_writer()

    # Ending

    def reset(self, code: ResetCode, sentence: str) -> None:
        """End the exchange at once, both ways. Does nothing when it has ended."""
        if self._flow.ended:
            return
        if self._fault is None:
            self._session.connection.reset(self._flow, code, sentence.encode())
            self._session.wake_writer()
            self._fault = trio.BrokenResourceError("this end reset the exchange")
            self._end_seen = False  # what was taken so far is not the whole
        self._chunks.clear()
        self._held = 0
        self._readable.call()
        self._writable.call()

    async def aclose(self) -> None:
        """Release the exchange: half-close an upgraded one, RESET an ordinary one that is not whole."""
        self.close()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            self._session.connection.reset(self._flow, ResetCode.CANCELLED, b"closed at once")
            self._session.wake_writer()
            raise

    def close(self) -> None:
        """Release the exchange without yielding."""
        if self._closed:
            return
        self._closed = True
        self._chunks.clear()
        flow, connection = self._flow, self._session.connection
        # Nobody is left to hear of it. Were it still named there, flow and exchange would hold each other until a
        # collection: tens of thousands of them, spread over memory that no cache holds.
        flow.owner = flow.lane.owner = None
        if not flow.ended and self._fault is None:
            if self.upgrade and flow.outgoing is not State.AWAITING and flow.incoming is not State.AWAITING:
                connection.stop(flow)
                if flow.outgoing is State.FLOWING:
                    connection.send_end(flow)
            elif flow.outgoing is State.ENDED and not connection.opener:
                connection.stop(flow)  # the answer is whole; the rest of the request is of no use
            else:
                connection.reset(flow, ResetCode.CANCELLED, b"the reader went away")
            self._session.wake_writer()
        self._readable.call()
        self._writable.call()

    # What the session tells

    def on_frame(self, frame: Frame) -> None:
        """Take in one checked frame of this exchange."""
        if type(frame) is Data:
            self._chunks.append(frame.payload)
            self._held += len(frame.payload)
            self._readable.call()
        elif type(frame) is Head:
            self._head = frame.head
            if frame.body:
                self._chunks.append(frame.body)
                self._held += len(frame.body)
            if frame.end:
                self._end_seen = True
            self._readable.call()
        elif type(frame) is End:
            self._end_seen = True
            self.trailers = frame.trailers
            self._readable.call()
        elif type(frame) is Reset:
            self.fail(ExchangeReset(frame.code, frame.sentence.decode("utf-8", "replace")))
        elif type(frame) is Stop or self._flow.room > 0:  # the latter after a CREDIT
            self._writable.call()

    def on_room(self) -> None:
        """Hear that the writer took frames of ours."""
        if self._flow.lane.bytes <= QUEUE_BYTES // 2 and self._flow.room > 0:
            self._writable.call()

    def fail(self, fault: trio.BrokenResourceError) -> None:
        """End for a reason the peer or the session gave."""
        if self._fault is None:
            self._fault = fault
        if not self._end_seen:
            self._chunks.clear()
        self._readable.call()
        self._writable.call()


class _Alone:
    """Raises when a second task uses the same direction."""

    __slots__ = ("_exchange", "_flag")

    def __init__(self, exchange: Exchange, flag: str) -> None:
        self._exchange = exchange
        self._flag = flag

    def __enter__(self) -> None:
        if getattr(self._exchange, self._flag):
            raise trio.BusyResourceError("another task uses this direction of the exchange")
        setattr(self._exchange, self._flag, True)

    def __exit__(self, *_: object) -> None:
        setattr(self._exchange, self._flag, False)
