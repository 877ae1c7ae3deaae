"""An https server for tests that says exactly what it is told to say, and remembers who asked for what."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from tests.support.certificates import TestCA


def answer(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines))
    return head.encode() + b"\r\n\r\n" + body


@dataclass
class Web:
    """`says` is sent for each request; `asked` are the heads of those that came, `knocks` the connections."""

    port: int
    ca: Path
    says: bytes = answer(b"hello")
    asked: list[str] = field(default_factory=list)
    knocks: int = 0
    holds: trio.Event | None = None  # after its words it stays silent until this is set
    floods: bytes = b""  # said again and again after its words, until nobody listens

    async def serve(self, context: ssl.SSLContext, stream: trio.SocketStream) -> None:
        self.knocks += 1
        tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        async with AsyncExitStack() as ending:
            ending.push_async_callback(trio.aclose_forcefully, stream)
            ending.enter_context(suppress(trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError))
            head = b""
            while b"\r\n\r\n" not in head:
                piece = await tls.receive_some()
                if not piece:
                    return
                head += piece
            self.asked.append(head.decode())
            await tls.send_all(self.says)
            while self.floods:
                await tls.send_all(self.floods)
            if self.holds is not None:
                await self.holds.wait()
            await tls.aclose()


@asynccontextmanager
async def web(directory: Path, *, host: str = "127.0.0.1", ca: TestCA | None = None) -> AsyncIterator[Web]:
    """One, listening on `host` ("::" for every address of both families).

    Its certificate is for localhost and 127.0.0.1, of an authority of its own.
    """
    made = ca or TestCA.make()
    chain, key = made.issue(directory, "web")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    authority = directory / "ca.pem"
    authority.write_text(made.pem)
    async with trio.open_nursery() as nursery:
        listener = await _listener(host)
        served = Web(listener.socket.getsockname()[1], authority)
        nursery.start_soon(partial(trio.serve_listeners, partial(served.serve, context), [listener]))
        yield served
        nursery.cancel_scope.cancel()


async def _listener(host: str) -> trio.SocketListener:
    sock = trio.socket.socket(trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET)
    if ":" in host:
        sock.setsockopt(trio.socket.IPPROTO_IPV6, trio.socket.IPV6_V6ONLY, 0)
    await sock.bind((host, 0))
    sock.listen()
    return trio.SocketListener(sock)
