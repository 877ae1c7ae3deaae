"""The proxy as an ASGI application: the same `exchange`, carried by ASGI messages instead of bytes.

It serves what the express lane serves, upgrades excepted, and the same contract tests run over both. Trailers do not
exist in HTTP/1.1 over ASGI and are dropped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from appliance.front.client import Client
from appliance.front.exchange import exchange
from appliance.front.parts import AsgiApp, FrontParts
from appliance.front.running import Running
from wire.heads import Headers

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def proxy_application(client: Client, parts: FrontParts, running: Running) -> AsgiApp:
    """Return the application for the request that `client` is about to have served."""

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await exchange(AsgiCaller(client, receive, send), client.asked, parts, running)

    return application


class AsgiCaller:
    """A Caller whose directions are ASGI messages."""

    def __init__(self, client: Client, receive: Receive, send: Send) -> None:
        self.client = client
        self.address = client.address
        self.started = False
        self.received = 0
        self.sent = 0
        self.body_ended = not client.asked.block.has_body
        self._receive = receive
        self._send = send

    def body_at_hand(self, limit: int) -> bytes | None:
        """An empty body is always here; any other has to be received."""
        return b"" if self.body_ended and limit >= 0 else None

    async def proceed(self) -> None:
        """The lane asks for the body when it is first received."""

    async def read_body(self) -> bytes:
        while not self.body_ended:
            message = await self._receive()
            if message["type"] != "http.request":
                raise trio.BrokenResourceError("the body broke off")  # not its end
            if not message.get("more_body", False):
                self.body_ended = True
            body: bytes = message.get("body", b"")
            self.received += len(body)
            if body:
                return body
        return b""

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        await self._begin(status, headers)
        self.sent = len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: Headers, piece: bytes, *, sized: bool) -> None:
        # The protocol below sees it in the headers; `farewell` finds it here.
        self.client.chunked_out = not sized and not self.client.asked.block.http10
        await self._begin(status, headers)
        self.sent = len(piece)
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def send(self, piece: bytes) -> None:
        self.sent += len(piece)
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def finish(self, trailers: Headers = ()) -> None:
        del trailers
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def abort(self) -> None:
        self.client.abort()

    async def _begin(self, status: int, headers: Headers) -> None:
        self.started = True
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [(n.lower(), v) for n, v in headers]}
        )
