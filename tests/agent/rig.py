"""An API server that follows a script, and a relay to it: real TLS on loopback below, a tunnel in memory above."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from agent import config
from agent.config import Bounds
from agent.guard import Guard
from agent.outgoing import Outbox
from agent.relay import Relay
from agent.upstream import Upstream
from tests.support.certificates import TestCA
from tests.support.pair import ALICE, joined_sessions
from wire.contexts import server_context
from wire.heads import Headers, RequestHead
from wire.session import Exchange, Session
from wire.tls import TLSStream, serve_handshake

NO_BOUNDS = Bounds()


@dataclass
class Caller:
    """One connection as the API server sees it."""

    stream: TLSStream
    number: int
    _held: bytes = b""

    async def head(self) -> bytes:
        """Read one request head; b"" when the agent closed instead."""
        while b"\r\n\r\n" not in self._held:
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                data = b""
            if not data:
                return b""
            self._held += data
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    async def body(self, size: int) -> bytes:
        """Read exactly so many bytes of a body, as framed on the wire."""
        while len(self._held) < size:
            data = await self.stream.receive_some()
            assert data, f"the agent ended its body after {self._held!r}"
            self._held += data
        body, self._held = self._held[:size], self._held[size:]
        return body

    async def gone(self) -> None:
        """Wait until the agent has closed the connection."""
        try:
            while await self.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass

    async def say(self, *lines: bytes) -> None:
        await self.stream.send_all(b"".join(lines))


Script = Callable[[Caller], Awaitable[None]]


@dataclass
class Stage:
    """What a test holds: the appliance's end of the tunnel, and what happened at the other."""

    tunnel: Session
    relay: Relay
    upstream: Upstream
    settings: config.Upstream
    callers: list[Caller] = field(default_factory=list)

    def ask(
        self,
        method: bytes = b"GET",
        target: bytes = b"/api/v1/pods",
        headers: Headers = (),
        *,
        has_body: bool = False,
        upgrade: bool = False,
    ) -> Exchange:
        return self.tunnel.open(RequestHead(method, target, headers), ALICE, has_body=has_body, upgrade=upgrade)

    async def fetch(self, method: bytes = b"GET", target: bytes = b"/api/v1/pods") -> tuple[int, bytes]:
        """One whole GET."""
        async with self.ask(method, target) as exchange:
            head = await exchange.head()
            return head.status, await everything(exchange)


async def everything(exchange: Exchange) -> bytes:
    pieces = []
    while piece := await exchange.receive_some():
        pieces.append(piece)
    return b"".join(pieces)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what has no event of its own; the test's timeout is the limit."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.005)


def ok(body: bytes, *more: bytes) -> bytes:
    """A whole answer of known length."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), b"".join(more), body)


ERRANDS = {"on": True}
"""Whether the relay may begin exchanges without a task: the same tests hold for both ways."""


@asynccontextmanager
async def staged(tmp_path: Path, script: Script, bounds: Bounds = NO_BOUNDS) -> AsyncIterator[Stage]:
    """Run an API server that follows `script` on each connection, and a relay to it."""
    authority = TestCA.make()
    chain, key = authority.issue(tmp_path, "apiserver")
    context = server_context(chain, key, alpn=["http/1.1"])
    (tmp_path / "ca.pem").write_text(authority.pem)
    (tmp_path / "token").write_text("agent-token-1\n")
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    settings = config.Upstream("127.0.0.1", port, tmp_path / "ca.pem", tmp_path / "token", None, None, "127.0.0.1")
    upstream = Upstream(settings)
    relay = Relay(Outbox(Guard(bounds), upstream.authority), upstream)
    callers: list[Caller] = []

    async def serve(sock: trio.SocketStream) -> None:
        try:
            stream = await serve_handshake(sock.socket, context)
        except trio.BrokenResourceError:
            return
        caller = Caller(stream, len(callers))
        callers.append(caller)
        try:
            await script(caller)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            stream.abort()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        nursery.start_soon(relay.sweep)
        with contextlib.closing(relay):
            async with joined_sessions(relay, relay.begin if ERRANDS["on"] else None) as (tunnel, _):
                yield Stage(tunnel, relay, upstream, settings, callers)
        nursery.cancel_scope.cancel()
