"""One user's connection: request heads and body pieces come out of it, answers go into it.

Sits on a TLS stream and knows HTTP/1.1 framing, nothing else. What always holds:

* One request at a time. Bytes after it stay unread in the kernel, or in one bounded buffer.
* An answer of known size leaves in one write, head and body together.
* An answer that was cut off looks cut off: no last chunk, no close_notify, connection closed (`abort`).
* Nothing here waits with a deadline of its own: `deadline` is a mark that the sweep compares with the clock
  (gone.py), and `end` cancels the one scope that spans the connection's life. So a request costs no scope.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

import trio

from appliance.core.credentials import Credential
from appliance.core.networks import Networks
from appliance.core.problems import Problem
from appliance.front.forwarded import client_of
from appliance.front.intake import Asked
from appliance.front.responses import CONTINUE, render
from wire import http1
from wire.heads import Headers
from wire.passes import passes
from wire.tls import MAX_WRITE_BYTES, TLSStream

READ_BYTES: Final = 64 * 1024
"""One read of a body, and the most that waits here unread: a megabyte a minute of pipelining buys nobody anything."""

TURN_LINES: Final = 1024
TURN_BYTES: Final = 4 * 1024
"""Of a read with so many lines, which may all be chunks of a byte, so much is parsed before others get the loop. Each
chunk costs us 2 us, and its sender nothing."""

HEAD_SECONDS: Final = 10.0
"""From the first byte of a head to its last. A head is one or two packets; kubectl sends it in one write."""

IDLE_SECONDS: Final = 120.0
"""A keep-alive connection without a request. client-go keeps idle connections for 90 s: the client closes first."""

BODY_SECONDS: Final = 30.0
"""Between two pieces of a body that only the appliance reads. A body bound for a cluster has no deadline of ours."""

DISCARD_BYTES: Final = 256 * 1024
DISCARD_SECONDS: Final = 1.0
"""What is read and dropped after an early answer, so that the answer is not lost to a reset (RFC 9112 §9.6)."""


NEVER: Final = float("inf")


class Ending(enum.Enum):
    """Why a connection's task was cancelled from outside. The first reason stands."""

    GONE = "the client went away"
    SLOW = "the request did not arrive in time"
    IDLE = "the connection was idle"
    REVOKED = "the right to this request ended"
    STALE = "the store could not be read for too long"
    STOPPING = "the appliance is stopping"


class Client:
    """One connection. `asked` is the request being served."""

    __slots__ = (
        "_buffer",
        "_chunks",
        "_drop",
        "_http10",
        "_left",
        "_proceed",
        "address",
        "answered",
        "asked",
        "between_events",
        "chunked_out",
        "correlation_id",
        "deadline",
        "ending",
        "ends_cleanly",
        "file_number",
        "hung_up",
        "keep",
        "lost",
        "on_rest",
        "peer",
        "proven",
        "proven_token",
        "proxies",
        "received",
        "resting",
        "scope",
        "sent",
        "serving",
        "started",
        "stream",
        "upgraded",
        "writing",
    )

    def __init__(self, stream: TLSStream, address: str, proxies: Networks | None = None) -> None:
        self.stream = stream
        self.address = self.peer = address
        self.proxies = proxies  # given when `address` is one of them: each request tells for whom it comes
        self.file_number = stream.socket.fileno()
        self.scope = trio.CancelScope()
        self.deadline = NEVER
        self.ending: Ending | None = None
        self.lost: Problem | None = None
        self.ends_cleanly = False  # this answer may end early without being wrong: a watch
        self.between_events = False  # all that left of a watch in JSON are whole events: one of ours may follow
        self.hung_up = False  # the peer's FIN was seen
        self.serving = False  # a request is open: a client that leaves now ends it
        self.resting = False  # between two requests
        self.upgraded = False
        self.on_rest: Callable[[Client], None] | None = None  # called once, when the request that is open now has ended
        self.asked: Asked
        self.proven_token: bytes | None = None
        self.proven: Credential | None = None  # what that token says; only that it is ours was proven
        self.correlation_id = b""  # of the request to a cluster that is open
        self.keep = True
        self.started = False  # an answer's head left
        self.answered = False  # the answer is whole
        self.chunked_out = False
        self.writing = False  # inside a write: cancelled here, the stream is broken
        self.received = 0  # body bytes of this request
        self.sent = 0  # body bytes of this answer
        self._http10 = False
        self._buffer = b""
        self._drop = False  # what the client still sends has no meaning any more
        self._left = 0  # body bytes still to come; -1: chunked
        self._chunks: http1.ChunkedReader | None = None
        self._proceed = False

    def hang_up(self) -> None:
        """The peer's FIN or RST came. While an answer is due this means that nobody waits for it."""
        self.hung_up = True
        if self.serving and not self.upgraded:
            self.end(Ending.GONE)

    def end(self, why: Ending, lost: Problem | None = None) -> None:
        """Cancel whatever the connection's task is doing. `lost`: what to say if there is no answer yet."""
        if self.ending is None:
            self.ending = why
            self.lost = lost
            self.scope.cancel()

    @property
    def client(self) -> Client:
        """Itself: as a `Caller` it is its own connection."""
        return self

    # Requests

    async def next_head(self) -> bytes | None:
        """Return the next request head, CRLFCRLF included; None when the client closed between two requests.

        Raises:
            http1.BadHead: it is too long, cut off, or ends in bare line feeds.

        """
        buffer = self._buffer
        if buffer:
            self.resting = False
            self.deadline = trio.current_time() + HEAD_SECONDS
        scanned = 0
        while True:
            if buffer.startswith(b"\r\n"):  # RFC 9112 §2.2: an empty line before the request line is let pass
                buffer, scanned = buffer[2:], 0
            end = buffer.find(b"\r\n\r\n", scanned)
            if end >= 0:
                end += 4
                self._buffer = buffer[end:]
                self.deadline = NEVER
                return buffer[:end]
            if len(buffer) >= http1.MAX_HEAD_BYTES:
                raise http1.BadHead(f"The head is longer than {http1.MAX_HEAD_BYTES} bytes.", 431)
            if buffer.find(b"\n\n", max(0, scanned - 1)) >= 0:
                raise http1.BadHead("The head ends in bare line feeds; HTTP lines end in CRLF.")
            scanned = max(0, len(buffer) - 3)
            if buffer:
                data = await self.stream.read(READ_BYTES)
            else:
                self.rest()
                data = await self.stream.read(READ_BYTES)
                self.resting = False
                if not data.endswith(b"\r\n\r\n"):
                    self.deadline = trio.current_time() + HEAD_SECONDS  # most heads come in one piece
            if not data:
                return None  # between two requests, or inside a head: nobody is left to answer
            buffer = buffer + data if buffer else data

    @property
    def buffered(self) -> int:
        """How many bytes were read that no request has taken yet."""
        return len(self._buffer)

    def unread(self, data: bytes) -> None:
        """Put bytes where the next read finds them."""
        self._buffer += data

    def rest(self) -> None:
        """Between two requests, until `date_rest` and the deadline it sets."""
        self.serving = self.started = False
        self.resting = True
        self.deadline = NEVER
        if self.on_rest is not None:
            self.on_rest(self)

    def date_rest(self, now: float) -> None:
        """Give a rest its deadline. The sweep does it, so that a rest costs a request nothing."""
        if self.resting and self.deadline == NEVER:
            self.deadline = now + IDLE_SECONDS

    def begin(self, asked: Asked) -> None:
        """Start serving one request.

        Raises:
            http1.BadHead: a listed proxy passed it on and does not say clearly for whom.

        """
        if self.proxies is not None:
            passed_on = asked.block
            self.address = client_of(self.peer, self.proxies, passed_on.x_forwarded_for, passed_on.forwarded)
        self.resting = False
        self.deadline = NEVER
        block = asked.block
        self.asked = asked
        self.keep = block.keep_alive
        self._http10 = block.http10
        self.started = self.answered = self.chunked_out = self.upgraded = self.ends_cleanly = self.between_events = (
            False
        )
        self.received = self.sent = 0
        self._proceed = block.expect_continue
        if block.chunked:
            self._left, self._chunks = -1, http1.ChunkedReader()
        else:
            self._left, self._chunks = block.content_length or 0, None
        self.serving = True

    @property
    def body_ended(self) -> bool:
        """Tell whether the whole body of the request was taken."""
        return self._left == 0

    def body_at_hand(self, limit: int) -> bytes | None:
        """Take the whole body if it is here already and has at most `limit` bytes."""
        size = self._left
        if size < 0 or size > limit or size > len(self._buffer):
            return None
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        self._left = 0
        self.received += size
        return body

    async def proceed(self) -> None:
        """The request was allowed: ask for the body, if the client waits to be asked."""
        if self._proceed:
            self._proceed = False
            if not self._buffer:
                await self._write(CONTINUE)

    async def read_body(self) -> bytes:
        """Return the next piece of the body; b"" at its end.

        Raises:
            http1.BadHead: its chunks are malformed.
            trio.BrokenResourceError: the client left in the middle of it.

        """
        if self._left == 0:
            return b""
        if self._chunks is not None:
            return await self._read_chunks(self._chunks)
        data, self._buffer = self._buffer, b""
        if not data:
            data = await self.stream.read(min(self._left, READ_BYTES))
            if not data:
                raise trio.BrokenResourceError("the client left in the middle of a body")
        if len(data) > self._left:
            data, self._buffer = data[: self._left], data[self._left :]
        self._left -= len(data)
        self.received += len(data)
        return data

    async def _read_chunks(self, chunks: http1.ChunkedReader) -> bytes:
        while True:
            data, self._buffer = self._buffer, b""
            if not data:
                data = await self.stream.read(READ_BYTES)
                if not data:
                    raise trio.BrokenResourceError("the client left in the middle of a body")
            if data.count(b"\r\n") > TURN_LINES:
                data, self._buffer = data[:TURN_BYTES], data[TURN_BYTES:]
                await passes().wait()
            body = chunks.feed(data)
            if chunks.done:
                self._left = 0
                self._buffer = chunks.rest + self._buffer
            if body or chunks.done:
                self.received += len(body)
                return body

    # Answers

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer in one write. `headers` say its length, unless it may have no body."""
        self._close_after_unread_body()
        if self.serving and self.asked.method == b"HEAD":
            body = b""  # a refusal's too: its body would be read as the next answer
        data = self.render(status, headers, body)
        self.started = True
        await self._write(data)
        self.answered = True

    def render(self, status: int, headers: Headers, body: bytes) -> bytes:
        """Return a whole answer as it goes out."""
        head = render(status, headers, close=not self.keep, http10=self._http10)
        self.sent = len(body)
        return head + body if body else head

    def send_nowait(self, data: bytes) -> bool:
        """Send a whole answer if that needs no wait. False: `send_rendered` must go on with the same bytes."""
        self.started = True
        self.writing = True
        done = len(data) <= MAX_WRITE_BYTES and self.stream.write_nowait(data)
        self.writing = not done
        return done

    async def start(self, status: int, headers: Headers, piece: bytes, *, sized: bool) -> None:
        """Begin an answer that comes in pieces. `sized`: its headers tell its length."""
        self._close_after_unread_body()
        http10 = self._http10
        self.chunked_out = not sized and not http10
        if not sized and http10:
            self.keep = False
        head = render(status, headers, close=not self.keep, http10=http10, chunked=self.chunked_out)
        self.started = True
        self.sent = len(piece)
        if piece and self.chunked_out:
            piece = http1.chunk(piece)
        await self._write(head + piece)

    async def send(self, piece: bytes) -> None:
        """Send the next piece of an answer, at once."""
        self.sent += len(piece)
        await self._write(http1.chunk(piece) if self.chunked_out else piece)

    async def finish(self, trailers: Headers = ()) -> None:
        """End an answer that came in pieces."""
        if self.chunked_out:
            wanted = trailers if trailers and self.asked.block.wants_trailers else ()
            await self._write(http1.last_chunk(wanted))
        self.answered = True

    def abort(self) -> None:
        """Break off: what was sent of an answer stays visibly incomplete."""
        self.keep = False
        self.stream.abort()

    async def send_rendered(self, data: bytes) -> None:
        """Send bytes of an answer that the other lane has rendered, head and framing included."""
        self.started = True
        await self._write(data)

    def give_up_reading(self) -> None:
        """Where the next request begins is not known: this answer is the last."""
        self.keep = False
        self._drop = True

    async def _write(self, data: bytes) -> None:
        if self.ending is not None:
            await trio.lowlevel.checkpoint()  # a write that need not wait would not notice that it is cancelled
        self.writing = True
        await self.stream.write(data)
        self.writing = False

    def _close_after_unread_body(self) -> None:
        if self._left and self.body_at_hand(READ_BYTES) is None:
            self.keep = False

    async def settle(self) -> bool:
        """After the answer: True when the next request may come on this connection."""
        self.serving = self.started = False
        if self.keep and self._left == 0 and not self.upgraded:
            return True
        if self.upgraded:
            return False
        # Half-close first: the client sees the end of the answer while we drop what it still sends.
        with trio.move_on_after(DISCARD_SECONDS):
            await self.stream.send_eof()
            if self._left or self._drop:
                dropped = len(self._buffer)
                while dropped < DISCARD_BYTES:
                    data = await self.stream.read(READ_BYTES)
                    if not data:
                        break
                    dropped += len(data)
        return False

    # After 101

    async def switch(self, status: int, headers: Headers) -> None:
        """Answer 101; from here on the connection carries raw bytes."""
        self.keep = False
        self.upgraded = self.started = True
        await self._write(render(status, headers, upgrade=True))

    async def read_raw(self) -> bytes:
        """Return the next raw bytes; b"" at the client's end, however it ended."""
        if self._buffer:
            data, self._buffer = self._buffer, b""
        else:
            try:
                data = await self.stream.read(READ_BYTES)
            except trio.BrokenResourceError:
                data = b""
        self.received += len(data)
        return data

    async def write_raw(self, data: bytes) -> None:
        """Send raw bytes."""
        self.sent += len(data)
        await self._write(data)

    async def end_raw(self) -> None:
        """End our direction of the raw bytes."""
        await self.stream.send_eof()

    # What the watcher asks

    def peek(self) -> None:
        """Notice a close_notify that has arrived while a request is open and nobody reads."""
        if not self.serving or self.upgraded or self._left or len(self._buffer) >= READ_BYTES:
            return
        try:
            data = self.stream.receive_nowait(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if data:
            self._buffer += data
        elif data is not None:
            self.end(Ending.GONE)
