"""Everything that is not `/api/proxy/`: the ASGI application, through Hypercorn, one validated request at a time.

Hypercorn's HTTP/1.1 protocol is given exactly one request, rendered anew from a head that the listener has validated;
its own parser never sees a hostile byte, and no second request. A WebSocket's bytes follow raw once the application has
accepted it, not before. What Hypercorn does on its own account (idle tasks, shielded writes, h2c, keep-alive) is taken
out by subclassing: the connection, its deadlines and its end belong to the listener.

The proxy is an application here too (`proxy`), through the same `exchange`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import events as stream_events
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from appliance.core.problems import Code, problem
from appliance.front.asgi_proxy import proxy_application
from appliance.front.client import BODY_SECONDS, Client
from appliance.front.intake import Asked
from appliance.front.parts import AsgiApp, FrontParts
from appliance.front.running import Running
from wire import http1
from wire.heads import Headers

APPLICATION_SECONDS: Final = 5.0
"""What an application may still do after its answer is whole, before the next request on the connection is read."""

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""One WebSocket message to the console. A terminal's are a few bytes."""

_OURS: Final = frozenset(
    {b"connection", b"expect", b"keep-alive", b"te", b"trailer", b"upgrade", b"sec-websocket-extensions"}
)
"""Stops here: framing is ours, and compression of WebSockets (which Hypercorn cannot refuse) is a bomb's fuse."""

_log = logging.getLogger("fairlead.front")


class HypercornLane:
    """The applications behind Hypercorn, and what they share."""

    def __init__(self, parts: FrontParts, running: Running) -> None:
        self._parts = parts
        self._running = running
        self._config = _config()
        self._context = WorkerContext(None)
        self._state: dict[str, Any] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run the application's lifespan around what is inside. Cancelled, the application is cancelled too."""
        lifespan = Lifespan(ASGIWrapper(self._parts.app), self._config, self._state)
        async with trio.open_nursery() as nursery:
            await nursery.start(lifespan.handle_lifespan)
            await lifespan.wait_for_startup()
            yield
            with trio.move_on_after(APPLICATION_SECONDS):
                await lifespan.wait_for_shutdown()
            nursery.cancel_scope.cancel()

    async def serve(self, client: Client, asked: Asked) -> None:
        """Have the application answer one request."""
        await self._run(client, asked, self._parts.app)

    async def proxy(self, client: Client, asked: Asked) -> None:
        """Serve one request to a cluster through this lane."""
        await self._run(client, asked, proxy_application(client, self._parts, self._running))

    async def _run(self, client: Client, asked: Asked, app: AsgiApp) -> None:
        server = OneRequest(client, asked, app, self._config, self._context, self._state)
        await server.run()
        if server.fault is not None and not client.started:
            raise server.fault
        if not server.whole:
            client.abort()


class OneRequest(TCPServer):
    """Hypercorn's connection, for the length of one request."""

    def __init__(
        self, client: Client, asked: Asked, app: AsgiApp, config: Config, context: WorkerContext, state: dict[str, Any]
    ) -> None:
        super().__init__(ASGIWrapper(self._asking(app)), config, context, state, None)  # type: ignore[arg-type]  # no stream: our own `run` uses none
        self._client = client
        self._asked = asked
        self._wanted = trio.Event()  # the application asked for the body
        self._ended = trio.Event()  # the protocol needs nothing more of us
        self._feeding = trio.CancelScope()
        self.whole = False  # the answer ended as it should
        self.fault: Exception | None = None  # the client's body is malformed, or broke off

    def _asking(self, app: AsgiApp) -> AsgiApp:
        """Note when the application first wants to hear more: until then no body is read, and no 100 is sent."""

        async def asking(scope: Any, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
            async def receive_noted() -> Any:
                self._wanted.set()
                return await receive()

            async def send_noted(message: Any) -> None:
                await send(message)
                # Hypercorn drops an empty piece; it means that the head is not to wait for a fuller one.
                if message["type"] == "http.response.body" and message.get("more_body") and not message.get("body"):
                    await self._protocol.flush()

            await app(scope, receive_noted, send_noted)

        return asking

    async def run(self) -> None:
        """Serve the request; returns when its answer ended or broke off."""
        client = self._client
        async with TaskGroup() as group:
            nursery = group._nursery  # noqa: SLF001 -- Hypercorn's groups offer no other way to end them
            assert nursery is not None
            protocol = OneRequestProtocol(
                self.app,
                self.config,
                self.context,
                group,
                ConnectionState(self.state),
                True,
                (client.address, 0),
                None,
                self.protocol_send,
            )
            protocol.owner = self
            self._protocol = protocol
            group.spawn(self._feed)
            await self._ended.wait()
            self._feeding.cancel()
            nursery.cancel_scope.deadline = trio.current_time() + (APPLICATION_SECONDS if self.fault is None else 0)
        client.deadline = float("inf")

    async def _feed(self) -> None:
        """Hand the protocol the head, then the body as it is wanted, then raw bytes if it became a WebSocket."""
        client, asked = self._client, self._asked
        with self._feeding:
            await self._protocol.handle(RawData(_head(asked)))
            if asked.block.has_body:
                await self._wanted.wait()
                try:
                    await self._feed_body()
                except (http1.BadHead, trio.BrokenResourceError) as error:
                    if isinstance(error, http1.BadHead):
                        client.lost = problem(Code.BAD_REQUEST, detail=error.sentence.rstrip("."))
                    self.fault = error
                    self.end(whole=False)
                    return
            if asked.block.upgrade is not None:
                await self._protocol.switched.wait()
                while data := await client.read_raw():
                    await self._protocol.handle(RawData(data))
                await self._protocol.handle(Closed())
                self.end(whole=False)

    async def _feed_body(self) -> None:
        client = self._client
        framed = self._asked.block.chunked
        await client.proceed()
        while True:
            client.deadline = trio.current_time() + BODY_SECONDS
            piece = await client.read_body()
            client.deadline = float("inf")
            if not piece:
                break
            await self._protocol.handle(RawData(http1.chunk(piece) if framed else piece))
        if framed:
            await self._protocol.handle(RawData(http1.LAST_CHUNK))

    async def protocol_send(self, event: Event) -> None:
        """What the protocol says: bytes for the client, or that it is over."""
        if isinstance(event, RawData):
            if self.fault is not None or self._client.ending is not None:
                # An application that is being cancelled still says 500: nobody shall hear it.
                await trio.lowlevel.checkpoint()
            elif event.data:
                await self._client.send_rendered(event.data)
        elif isinstance(event, Closed):
            self.end(whole=self._protocol.answer_ended)

    def end(self, *, whole: bool) -> None:
        """Nothing more is to be fed."""
        if not self._ended.is_set():
            self.whole = whole
            self._ended.set()


class OneRequestProtocol(H11Protocol):
    """Hypercorn's HTTP/1.1, without a second request, without h2c, and with one write for a small answer."""

    owner: OneRequest

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.switched = trio.Event()
        self.answer_ended = False
        self._held = b""

    async def stream_send(self, event: stream_events.Event) -> None:
        await super().stream_send(event)
        if isinstance(event, stream_events.Response) and event.status_code == 101:
            await self.flush()
            self.owner._client.upgraded = True  # noqa: SLF001 -- both classes are this module's
            self.switched.set()
        elif isinstance(event, stream_events.EndBody):
            self.answer_ended = True
            await self.flush()
        elif not isinstance(event, stream_events.Response):
            await self.flush()

    async def _send_h11_event(self, event: Any) -> None:
        # A head waits for what follows it: ASGI lets an answer begin with its first body message.
        try:
            self._held += self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise

    async def flush(self) -> None:
        """Send what is held."""
        held, self._held = self._held, b""
        if held:
            await self.send(RawData(held))

    async def _maybe_recycle(self) -> None:
        await self.flush()
        client = self.owner._client  # noqa: SLF001 -- both classes are this module's
        if self.connection.our_state is not h11.DONE:
            client.keep = False
        self.owner.end(whole=self.answer_ended or self.switched.is_set())
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.closed = True
            # The queue may be full and unread: then the application is told by being cancelled.
            channel = getattr(getattr(stream, "app_put", None), "__self__", None)
            if channel is not None:
                kind = "websocket.disconnect" if self.switched.is_set() else "http.disconnect"
                with suppress(trio.WouldBlock, trio.BrokenResourceError):
                    channel.send_nowait({"type": kind, "code": 1000} if self.switched.is_set() else {"type": kind})

    async def _check_protocol(self, event: h11.Request) -> None:
        """No h2c, whatever the client offers."""


def _stops(name: bytes) -> bool:
    """Framing is ours, and so is what is known of the client: an application reads it in its scope."""
    return name in _OURS or name in {b"forwarded", b"x-real-ip"} or name.startswith((b"x-forwarded-", b"x_forwarded_"))


def _head(asked: Asked) -> bytes:
    block = asked.block
    headers: Headers = tuple(pair for pair in block.headers if not _stops(pair[0].lower()))
    if block.upgrade is not None:
        headers += ((b"Connection", b"Upgrade"), (b"Upgrade", block.upgrade))
    head = http1.render_request(asked.method, asked.target, headers)
    # Who speaks HTTP/1.0 reads no chunks; a target holds no space, so the first match is the version.
    return head.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1) if block.http10 else head


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("fairlead.front.app")
    config.include_server_header = False
    config.include_date_header = False
    config.h11_max_incomplete_size = http1.MAX_HEAD_BYTES + 1024
    config.websocket_max_message_size = MAX_MESSAGE_BYTES
    config.keep_alive_max_requests = 10**9
    return config
