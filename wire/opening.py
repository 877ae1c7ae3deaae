"""How a session begins, on either end: the tunnel is asked for, granted, and both say HELLO."""

from __future__ import annotations

from typing import Final

import trio

from wire.carrier import AnswerReceived, Carrier, CarrierEnded, CarrierError, Payload, TunnelOpened
from wire.endings import SessionEnded, TunnelRefused
from wire.session import Session
from wire.tls import TLSStream
from wire.transport import ByteStream, read_or_end

ROOM_BYTES: Final = 1024 * 1024
"""What the kernel takes of a tunnel from its first byte on: 10 MB/s over 100 ms, to grow from.

Linux grows a receive buffer by what was read within one round trip, and since 6.16 it subtracts what still waits. We
read one TLS record after the other, so all but the first of a burst still waits: small windows, which a far sender
fills in one burst each round trip, would stay small, at 1 MB/s over 100 ms.
"""


async def dial_session(stream: ByteStream, authority: bytes, name: str) -> Session:
    """Agent: ask for the tunnel over a fresh TLS connection, and greet. The caller owns the deadline (10 s).

    Raises:
        TunnelRefused: the appliance said no.
        SessionEnded: it hung up, or broke the protocol.

    """
    carrier = Carrier(client=True)
    carrier.request_tunnel(authority)
    session = Session(stream, carrier, opener=False, name=name)
    early: list[bytes] = []
    await _write_own(stream, carrier)
    while True:
        data = await read_or_end(stream)
        try:
            events = carrier.receive(data)
        except CarrierError as error:
            raise SessionEnded(f"the appliance broke HTTP/2: {error}") from error
        opened = False
        for event in events:
            match event:
                case TunnelOpened():
                    opened = True
                case AnswerReceived():
                    raise TunnelRefused(event.status, event.body.decode("utf-8", "replace"))
                case CarrierEnded():
                    raise SessionEnded(event.reason)
                case Payload():
                    early.append(event.data)
                case _:
                    raise SessionEnded("the appliance made a request of its own")
        await _write_own(stream, carrier)
        if opened:
            await session.greet(b"".join(early))
            _make_room(stream)
            return session


async def accept_session(
    stream: ByteStream, carrier: Carrier, stream_id: int, name: str, early: bytes = b""
) -> Session:
    """Appliance: accept the tunnel that `carrier` was asked for, and greet. The caller owns the deadline (10 s).

    `early`: tunnel payload that came in the same read as the request.

    Raises:
        SessionEnded: the agent hung up, or broke the protocol.

    """
    carrier.accept_tunnel(stream_id)
    session = Session(stream, carrier, opener=True, name=name)
    await session.greet(early)
    _make_room(stream)
    return session


def _make_room(stream: ByteStream) -> None:
    if isinstance(stream, TLSStream):
        stream.make_room(ROOM_BYTES)


async def _write_own(stream: ByteStream, carrier: Carrier) -> None:
    data = carrier.take()
    if data:
        try:
            await stream.write(data)
        except trio.BrokenResourceError as error:
            raise SessionEnded(f"the connection broke: {error}") from error
