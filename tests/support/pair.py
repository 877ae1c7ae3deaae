"""Two ends of a tunnel joined in memory: the test rig of everything that speaks over one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from wire.carrier import Carrier, Payload, TunnelRequested
from wire.heads import Identity, RequestHead
from wire.opening import accept_session, dial_session
from wire.readiness import Readiness
from wire.session import Exchange, Session, SessionEnded
from wire.workers import Begin

ALICE = Identity(b"alice@example.com", b"uid-1", (b"viewers",))


class MemoryByteStream:
    """A `wire.session.ByteStream` over Trio's memory streams; `hold` makes writes wait."""

    def __init__(self, stream: trio.StapledStream[Any, Any]) -> None:
        self._stream = stream
        self.written = 0

    async def read(self, max_bytes: int = 65536) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def write(self, data: bytes) -> None:
        self.written += len(data)
        await self._stream.send_all(data)

    def writable_now(self) -> bool:
        return True

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        self._stream.send_stream.close()
        self._stream.receive_stream.close()


def memory_pair(*, lockstep: bool = False) -> tuple[MemoryByteStream, MemoryByteStream]:
    make = trio.testing.lockstep_stream_pair if lockstep else trio.testing.memory_stream_pair
    left, right = make()
    return MemoryByteStream(left), MemoryByteStream(right)


async def greeted(agent: MemoryByteStream, appliance: MemoryByteStream) -> tuple[Session, Session]:
    """Return (opener, acceptor) after their HELLOs."""
    sessions: dict[str, Session] = {}

    async def dial() -> None:
        sessions["acceptor"] = await dial_session(agent, b"tunnel.example.com", "test agent")

    async def accept() -> None:
        carrier = Carrier(client=False)
        stream_id, early = 0, b""
        while not stream_id:
            for event in carrier.receive(await appliance.read()):
                if isinstance(event, TunnelRequested):
                    stream_id = event.stream_id
                elif isinstance(event, Payload):
                    early += event.data
        sessions["opener"] = await accept_session(appliance, carrier, stream_id, "test appliance", early)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial)
        nursery.start_soon(accept)
    return sessions["opener"], sessions["acceptor"]


@asynccontextmanager
async def joined_sessions(
    on_exchange: Callable[[Exchange], Awaitable[None]],
    begin: Begin | None = None,
) -> AsyncIterator[tuple[Session, Session]]:
    """Run two joined sessions; yield (opener, acceptor). Both end with the block."""
    opener, acceptor = await greeted(*memory_pair())

    async def run(session: Session, handler: Callable[[Exchange], Awaitable[None]] | None) -> None:
        try:
            await session.run(handler, begin if handler is not None else None)
        except SessionEnded:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, opener, None)
        nursery.start_soon(run, acceptor, on_exchange)
        try:
            yield opener, acceptor
        finally:
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(readiness: Readiness | None) -> AsyncIterator[None]:
    """Have a readiness run beside the block."""
    async with trio.open_nursery() as nursery:
        if readiness is not None:
            nursery.start_soon(readiness.run)
        yield
        nursery.cancel_scope.cancel()


def get(target: bytes = b"/api/v1/pods") -> RequestHead:
    return RequestHead(b"GET", target, ((b"Accept", b"application/json"),))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what has no event of its own."""
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.001)
