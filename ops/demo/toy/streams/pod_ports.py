"""What listens in every pod: a small HTTP server on 80, echo on 7, discard on 9. No socket is opened for it.

HTTP: `/bytes?size=N` answers N bytes, any other path greets; HTTP/1.1 with keep-alive; request bodies are dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qs, urlsplit

import h11

from ops.demo.toy.streams.spdy_connection import SpdyStream

#: The largest /bytes answer: enough to measure with, finite for a mistyped number.
MAX_ANSWER_BYTES: Final = 4 * 1024**3
_PIECE = bytes(range(256)) * 256


async def _http(stream: SpdyStream, pod_name: str) -> None:
    machine = h11.Connection(h11.SERVER)
    while True:
        try:
            request = await _next_request(stream, machine)
        except h11.RemoteProtocolError:
            if machine.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                await _answer(stream, machine, 400, b"that is not HTTP\n", len(b"that is not HTTP\n"))
            return
        if request is None:
            return
        head_only = request.method == b"HEAD"
        target = urlsplit(request.target.decode("ascii"))
        if target.path == "/bytes":
            asked = parse_qs(target.query).get("size", ["0"])[0]
            size = min(int(asked), MAX_ANSWER_BYTES) if asked.isdecimal() else 0
            await _answer(stream, machine, 200, _PIECE, size, head_only=head_only)
        else:
            greeting = f"hello from {pod_name}\n".encode()
            await _answer(stream, machine, 200, greeting, len(greeting), head_only=head_only)
        if machine.our_state is not h11.DONE or machine.their_state is not h11.DONE:
            return
        machine.start_next_cycle()


async def _next_request(stream: SpdyStream, machine: h11.Connection) -> h11.Request | None:
    """The next request, once its body has come and gone; None at the end."""
    request: h11.Request | None = None
    while True:
        event = machine.next_event()
        match event:
            case h11.NEED_DATA:
                if machine.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await stream.send_all(machine.send(go_on) or b"")
                machine.receive_data(await stream.receive_some())
            case h11.Request():
                request = event
            case h11.EndOfMessage():
                return request
            case h11.ConnectionClosed() | h11.PAUSED:
                return None
            case _:
                pass


async def _answer(
    stream: SpdyStream, machine: h11.Connection, status: int, content: bytes, size: int, *, head_only: bool = False
) -> None:
    """`size` bytes of `content`, repeated as needed, in pieces; only the head of them for HEAD."""
    headers = [("Content-Type", "application/octet-stream" if content is _PIECE else "text/plain")]
    headers.append(("Content-Length", str(size)))
    head = machine.send(h11.Response(status_code=status, headers=headers)) or b""
    left = 0 if head_only else size
    while left:
        piece = content[:left]
        left -= len(piece)
        head += machine.send(h11.Data(data=piece)) or b""
        await stream.send_all(head)
        head = b""
    await stream.send_all(head + (machine.send(h11.EndOfMessage()) or b""))


async def _echo(stream: SpdyStream, _pod_name: str) -> None:
    while data := await stream.receive_some():
        await stream.send_all(data)


async def _discard(stream: SpdyStream, _pod_name: str) -> None:
    while await stream.receive_some():
        pass


PORTS: Final[Mapping[int, Callable[[SpdyStream, str], Awaitable[None]]]] = MappingProxyType(
    {7: _echo, 9: _discard, 80: _http}
)
