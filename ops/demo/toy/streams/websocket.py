"""A WebSocket of the server's side, and the byte stream that port-forward v2 tunnels through one.

What always holds: a message is handed on in the pieces it arrives in, so its size costs nothing; pings are answered
while we read; a client that stops reading stops us through the outbox. The framing itself is wsproto's.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass
from typing import Final

import h11
import trio
import wsproto
from wsproto import events

from ops.demo.toy.streams.handshake import RefusalError
from ops.demo.toy.streams.outbox import Outbox
from ops.demo.toy.upgrade_seam import UpgradeRequest

#: One message of ours; kubectl reads them through a buffer of this size.
MAX_MESSAGE_BYTES: Final = 32 * 1024
#: A client that vanished without a word is noticed within about two of these.
PING_SECONDS: Final = 10.0
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a binary message."""

    data: bytes
    first: bool  # of its message
    last: bool


class WebSocket:
    """One connection. `run` it in a task; one task reads the pieces, any task may send."""

    def __init__(self, transport: trio.abc.Stream, request: UpgradeRequest) -> None:
        self.outbox = Outbox(transport)
        self.closed = trio.Event()
        self._transport = transport
        self._already_read = request.already_read
        self._machine = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        self._pieces: deque[Piece] = deque()
        self._inside_message = False
        self._ended = False
        try:
            self._machine.initiate_upgrade_connection(list(request.headers), request.target)
            self._offer = next(self._machine.events())
        except (wsproto.utilities.ProtocolError, h11.ProtocolError) as error:
            raise RefusalError(400, f"not a WebSocket handshake: {error}") from None

    def offered(self) -> list[str]:
        """The sub-protocols of the client, in its order."""
        return list(self._offer.subprotocols) if isinstance(self._offer, events.Request) else []

    def accept(self, subprotocol: str) -> None:
        self.outbox.put(self._machine.send(events.AcceptConnection(subprotocol=subprotocol)))
        if self._already_read:
            self._take_in(self._already_read)

    async def run(self) -> None:
        """Write, and keep the connection alive, until the transport fails."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ping)
            await self.outbox.run()
            self.closed.set()
            nursery.cancel_scope.cancel()

    async def receive(self) -> Piece | None:
        """The next piece; None once the client has closed or is gone."""
        while not self._pieces:
            if self._ended:
                self.closed.set()
                return None
            try:
                await self.outbox.room_for_answers()
                data = bytes(await self._transport.receive_some(_READ_BYTES))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if data:
                self._take_in(data)
            else:
                self._ended = True
        return self._pieces.popleft()

    async def send(self, payload: bytes) -> None:
        """One binary message."""
        await self.outbox.room()
        if self._machine.state is not wsproto.connection.ConnectionState.OPEN:
            raise trio.BrokenResourceError("the WebSocket is closing")
        self.outbox.put(self._machine.send(events.BytesMessage(data=payload)))

    async def finish(self, linger_seconds: float) -> None:
        """Send the close, and give the client time to read what is queued and to answer."""
        with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(linger_seconds):
            if self._machine.state is wsproto.connection.ConnectionState.OPEN:
                self.outbox.put(self._machine.send(events.CloseConnection(code=1000)))
            await self.outbox.flush()
            await self.closed.wait()

    def _take_in(self, data: bytes) -> None:
        try:
            self._machine.receive_data(data)
            for event in self._machine.events():
                self._receive(event)
        except (wsproto.utilities.ProtocolError, trio.BrokenResourceError):
            self._ended = True

    def _receive(self, event: events.Event) -> None:
        match event:
            case events.BytesMessage():
                self._pieces.append(Piece(bytes(event.data), not self._inside_message, event.message_finished))
                self._inside_message = not event.message_finished
            case events.Ping():
                self.outbox.put(self._machine.send(event.response()))
            case events.CloseConnection():
                if self._machine.state is wsproto.connection.ConnectionState.REMOTE_CLOSING:
                    self.outbox.put(self._machine.send(event.response()))
                self._ended = True
            case events.TextMessage():
                self._ended = True  # every sub-protocol here is binary
            case _:
                pass

    async def _ping(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError, wsproto.utilities.LocalProtocolError):
            while True:
                await trio.sleep(PING_SECONDS)
                self.outbox.put(self._machine.send(events.Ping()))


class MessageStream(trio.abc.Stream):
    """The payloads of a WebSocket's messages as one byte stream; where a message ends means nothing."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        for at in range(0, len(view), MAX_MESSAGE_BYTES):
            await self._websocket.send(bytes(view[at : at + MAX_MESSAGE_BYTES]))

    async def wait_send_all_might_not_block(self) -> None:
        await self._websocket.outbox.room()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 -- a piece is small enough
        while (piece := await self._websocket.receive()) is not None:
            if piece.data:
                return piece.data
        return b""

    async def aclose(self) -> None:
        """The WebSocket belongs to whoever made it."""
        await trio.lowlevel.checkpoint()
