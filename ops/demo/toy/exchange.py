"""One HTTP/1.1 connection and the exchanges on it, on h11 and TLS: the toy cluster's own reading of HTTP.

An answer is either whole (`answer`) or streamed (`start`, `send`, `finish`); what is streamed is sent at once, piece
by piece. While `until_client_leaves` is open the connection is read, so that a client that goes away is noticed; what
a client pipelines meanwhile is kept for later. An exchange that ends with a body unread ends its connection.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, unquote

import h11
import trio

from ops.demo.toy.requests import Record
from ops.demo.toy.statuses import ApiError, Object

READ_BYTES = 65536
HEAD_BYTES_MAX = 256 * 1024
"""An API server takes 1 MiB of headers; this is enough for any number of impersonated groups a test may send."""

BODY_BYTES_MAX = 3 * 1024 * 1024
"""As the API server limits a request body."""

GZIP_FROM_BYTES = 128 * 1024
"""As the API server compresses: smaller answers are not worth it."""

JSON = "application/json"
Headers = list[tuple[str, str]]


class ClientGone(Exception):
    """The client closed or lost the connection before the exchange was over."""


class Connection:
    """A TLS connection, and h11's view of it."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.stream = stream
        self.http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)

    async def next_event(self) -> Any:
        """The next h11 event; asks a waiting client for its body."""
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self.http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))
            data = await self.receive()
            if not data and self.http.their_state is h11.SEND_BODY:
                raise ClientGone
            self.http.receive_data(data)

    async def receive(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""  # h11 tells an early end from a clean one

    async def hand_over(self) -> bytes:
        """What was read beyond a head that asks for another protocol; h11 reads no more of this connection."""
        while True:
            event = self.http.next_event()
            if event is h11.PAUSED or event is h11.NEED_DATA:
                return bytes(self.http.trailing_data[0])
            if isinstance(event, h11.ConnectionClosed):
                return b""

    async def read_to_end(self) -> None:
        """Read what is left of a small request body that nobody wanted, so that the connection can be kept."""
        size = 0
        while self.http.their_state is h11.SEND_BODY and size <= BODY_BYTES_MAX:
            if self.http.they_are_waiting_for_100_continue:
                return  # it never came, and never will
            event = await self.next_event()
            if isinstance(event, h11.Data):
                size += len(event.data)
            elif not isinstance(event, h11.EndOfMessage):
                return

    async def cut(self) -> None:
        """Close the connection without a word: no last chunk, no close_notify."""
        await trio.aclose_forcefully(self.stream.transport_stream)

    async def send(self, *events: Any) -> None:
        data = b"".join(self.http.send(event) or b"" for event in events)
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as lost:
            raise ClientGone from lost


class Exchange:
    """One request and its answer."""

    def __init__(self, connection: Connection, request: h11.Request, record: Record) -> None:
        self.connection = connection
        self.record = record
        self.method = request.method.decode()
        self.target = bytes(request.target)
        self.headers = tuple(request.headers.raw_items())
        self._lowered = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        path, _, query = self.target.partition(b"?")
        self.path = unquote(path.decode("latin-1"))
        self.query: dict[str, list[str]] = parse_qs(query.decode("latin-1"), keep_blank_values=True)

    def header(self, name: str) -> str:
        """The last value of a header, by its lower-case name."""
        return self._lowered.get(name, "")

    def parameter(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        return name in self.query and self.query[name][0].lower() not in {"false", "0"}

    def number(self, name: str) -> int | None:
        text = self.parameter(name)
        if not text:
            return None
        if not text.isdecimal():
            message = f'unable to decode query parameter {name}: "{text}" is not a number'
            raise ApiError(400, "BadRequest", message)
        return int(text)

    async def body_pieces(self) -> AsyncIterator[bytes]:
        """The request body as it arrives, of any length."""
        while True:
            event = await self.connection.next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ClientGone

    async def body(self) -> bytes:
        """The whole request body, of the length an API server takes."""
        pieces, size = [], 0
        async for piece in self.body_pieces():
            size += len(piece)
            if size > BODY_BYTES_MAX:
                message = f"limit is {BODY_BYTES_MAX}"
                raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")
            pieces.append(piece)
        return b"".join(pieces)

    async def answer(self, status: int, body: bytes, content_type: str, headers: Headers | None = None) -> None:
        """A whole answer, compressed where an API server would."""
        extra = list(headers or ())
        if len(body) >= GZIP_FROM_BYTES and "gzip" in self.header("accept-encoding"):
            body = gzip.compress(body, 1)
            extra += [("content-encoding", "gzip"), ("vary", "Accept-Encoding")]
        self.record.status = status
        head = h11.Response(
            status_code=status,
            headers=[*self._common(content_type), ("content-length", str(len(body))), *extra],
        )
        piece = [h11.Data(data=body)] if body and self.method != "HEAD" and status != 304 else []
        await self.connection.send(head, *piece, h11.EndOfMessage())

    async def answer_json(self, status: int, value: Any, headers: Headers | None = None, kind: str = JSON) -> None:
        await self.answer(status, dump(value), kind, headers)

    async def refuse(self, refusal: ApiError) -> None:
        status: Object = refusal.status()
        await self.answer_json(refusal.code, status)

    async def start(
        self, status: int, content_type: str, length: int | None = None, headers: Headers | None = None
    ) -> None:
        """Send the head of a streamed answer; without a length it is chunked."""
        self.record.status = status
        framing = ("transfer-encoding", "chunked") if length is None else ("content-length", str(length))
        head = h11.Response(status_code=status, headers=[*self._common(content_type), framing, *(headers or ())])
        await self.connection.send(head)

    async def send(self, data: bytes) -> None:
        if data:
            await self.connection.send(h11.Data(data=data))

    async def finish(self) -> None:
        await self.connection.send(h11.EndOfMessage())

    @contextlib.asynccontextmanager
    async def until_client_leaves(self) -> AsyncIterator[None]:
        """Cancel the block, and raise `ClientGone`, once the client has closed its end."""
        gone = False
        failure: Exception | None = None

        async def lookout(scope: trio.CancelScope) -> None:
            nonlocal gone
            data = await self.connection.receive()
            if data:  # pipelined; nothing more is read before this exchange is over
                self.connection.http.receive_data(data)
                return
            gone = True
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lookout, nursery.cancel_scope)
            try:
                yield
            except Exception as failed:  # noqa: BLE001 - raised again below, without the nursery's group around it
                failure = failed
            nursery.cancel_scope.cancel()
        if gone:
            self.record.client_left()
            raise ClientGone
        if failure is not None:
            raise failure

    def _common(self, content_type: str) -> Headers:
        common = [("content-type", content_type), ("cache-control", "no-cache, private")]
        return [*common, ("audit-id", self.record.audit_id)]


def dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
