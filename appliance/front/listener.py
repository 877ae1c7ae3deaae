"""The users' TLS listener: accepts, shakes hands, and owns each connection for its whole life.

What always holds: there are never more connections than allowed, nor more than HANDSHAKES at once shaking hands, few of
them of one address; a connection has one task, one scope and one exception barrier, so whatever goes wrong in it ends
it and nothing else; a head is cut and validated here before any other code sees a byte of it. Running out of file
descriptors pauses accepting and ends nothing.

It speaks HTTP/1.1 only. What a request means is for `exchange`, or for the ASGI application behind `hypercorn_lane`.
"""

from __future__ import annotations

import errno
import logging
import socket as stdlib_socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio

from appliance.core.buckets import source_of
from appliance.core.problems import Code, Problem, problem
from appliance.front.client import Client, Ending
from appliance.front.errand import Errands
from appliance.front.exchange import PREFIX, exchange
from appliance.front.farewell import farewell, refuse
from appliance.front.gone import Watcher
from appliance.front.help import load as load_help
from appliance.front.hypercorn_lane import HypercornLane
from appliance.front.intake import Asked, Intake
from appliance.front.parts import FrontParts
from appliance.front.replies import HELP_PREFIX, correlation, plain_reply
from appliance.front.running import Running
from appliance.front.wrong_path import wrong_path
from wire.arrival import has_left, read_origin
from wire.http1 import BadHead
from wire.proxy_header import BadProxyHeader
from wire.slots import Slots
from wire.tls import TLSStream, serve_handshake

HANDSHAKES: Final = 32
"""At once. One costs 2 ms of CPU: these keep a core busy for 64 ms, and a flood waits for its turn."""

HANDSHAKES_PER_SOURCE: Final = 8
"""Of these, for one IPv4 address or IPv6 /64. An office behind one address gets through in turn, thousands a second;
whoever begins handshakes and leaves them holds no more than these."""

HANDSHAKE_SECONDS: Final = 10.0
"""For each of: the first byte, a slot's handshake. Waiting for a slot costs the client none of it."""

PROXY_HEADER_SECONDS: Final = 5.0
"""For the PROXY header of a load balancer, which sends it with the first packet or not at all."""

KEEPALIVE_IDLE_SECONDS: Final = 15
KEEPALIVE_INTERVAL_SECONDS: Final = 5
KEEPALIVE_PROBES: Final = 3
"""A peer whose host is gone is noticed after half a minute, whatever its request is doing."""

EXHAUSTED_SECONDS: Final = 0.1
"""Between two tries while the process or the host is out of descriptors or buffers."""

LEAVING_SECONDS: Final = 2.0
"""After the drain: for last words, and for handshakes that never ended."""

COMPLAINT_SECONDS: Final = 10.0
"""The least time between two log lines about that."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_BROKEN: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
_log = logging.getLogger("fairlead.front")


class Front:
    """One front: every listener, every connection."""

    def __init__(self, parts: FrontParts, *, errands: bool = True) -> None:
        self.parts = parts
        self.watcher = Watcher()
        self.running = Running(parts)
        self.stopping = False
        self._intake = Intake()
        self._help = load_help()
        self._errands = Errands(parts, self.running, self._intake, offered=errands)
        self._lane = HypercornLane(parts, self.running)
        self._connections = trio.Semaphore(parts.max_connections)
        self.handshakes = Slots(HANDSHAKES, HANDSHAKES_PER_SOURCE)
        self._stop = trio.Event()
        self._drain_seconds = 0.0

    @property
    def connections(self) -> int:
        """How many connections have finished their handshake and are open."""
        return len(self.watcher)

    def stop(self, drain_seconds: float) -> None:
        """Accept no more, let running requests finish for so long, then end them. `serve` returns after that."""
        self._drain_seconds = drain_seconds
        self.stopping = self._errands.stopping = True
        self._stop.set()

    async def serve(
        self,
        listeners: Sequence[trio.SocketListener],
        context: ssl.SSLContext,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop` or cancellation. Owns the listeners."""
        try:
            async with self._lane.open(), trio.open_nursery() as background:
                background.start_soon(self.watcher.watch)
                background.start_soon(self.running.watch)
                async with trio.open_nursery() as nursery:
                    async with trio.open_nursery() as accepting:
                        for listener in listeners:
                            accepting.start_soon(self._accept_forever, listener, context, nursery)
                        task_status.started()
                        await self._stop.wait()
                        accepting.cancel_scope.cancel()
                    for listener in listeners:
                        listener.socket.close()
                    await self._drain()
                    nursery.cancel_scope.deadline = trio.current_time() + LEAVING_SECONDS
                background.cancel_scope.cancel()
        finally:
            for listener in listeners:
                listener.socket.close()
            self.watcher.close()

    async def _drain(self) -> None:
        """Connections at rest go at once, the others as they finish, all at the deadline."""
        deadline = trio.current_time() + self._drain_seconds
        while self.connections and trio.current_time() < deadline:
            for client in self.watcher.clients():
                if not client.serving:
                    client.end(Ending.STOPPING)
            await trio.sleep(min(0.1, max(0.0, deadline - trio.current_time())))
        for client in self.watcher.clients():
            client.end(Ending.STOPPING)

    # Accepting

    async def _accept_forever(
        self, listener: trio.SocketListener, context: ssl.SSLContext, nursery: trio.Nursery
    ) -> None:
        complained = -COMPLAINT_SECONDS
        while True:
            await self._connections.acquire()
            try:
                sock, address = await listener.socket.accept()
            except OSError as error:
                self._connections.release()
                if error.errno in _EXHAUSTED:
                    if trio.current_time() - complained >= COMPLAINT_SECONDS:
                        complained = trio.current_time()
                        _log.error(
                            "connections cannot be accepted now: %s; raise the limit of open files", error.strerror
                        )
                    await trio.sleep(EXHAUSTED_SECONDS)
                # Anything else is one client's connection that died while it waited to be accepted.
                continue
            except trio.Cancelled:
                self._connections.release()
                raise
            nursery.start_soon(self._own, sock, _host(address), context)

    async def _own(self, sock: trio.socket.SocketType, address: str, context: ssl.SSLContext) -> None:
        """One connection from accept to close: the barrier of its exceptions."""
        try:
            await self._live(sock, address, context)
        except BaseExceptionGroup as group:
            faults, others = group.split(Exception)
            if faults is not None:
                self._report(faults)
            if others is not None:
                raise others from None
        except _BROKEN:
            pass
        except Exception as error:  # noqa: BLE001 -- one connection's defect is the end of that connection only
            self._report(error)
        finally:
            self._connections.release()

    async def _live(self, sock: trio.socket.SocketType, address: str, context: ssl.SSLContext) -> None:
        with sock:
            origin = await self._origin(sock, address)
            if origin is None:
                return
            trusted = self.parts.trusted_proxies.hold(origin)
            stream = await self._shake(sock, None if trusted else source_of(origin), context)
        if stream is None:
            return
        client = Client(stream, origin, self.parts.trusted_proxies if trusted else None)
        self.watcher.add(client)
        try:
            with client.scope:
                await self._converse(client)
            if client.ending is not None:
                await farewell(client, self.parts)
        finally:
            self.watcher.remove(client)
            stream.abort()

    @staticmethod
    def _report(error: BaseException) -> None:
        if isinstance(error, BaseExceptionGroup):
            rest = error.split(_BROKEN)[1]
            if rest is None:
                return
            error = rest
        _log.error("a connection ended by a defect of ours", exc_info=error)

    async def _origin(self, sock: trio.socket.SocketType, peer: str) -> str | None:
        """Who is at the other end: the peer, or whom a listed load balancer names. None: this connection is over."""
        if not self.parts.proxy_protocol_from.hold(peer):
            return peer
        fault = f"it is not whole after {PROXY_HEADER_SECONDS:.0f} s"
        with trio.move_on_after(PROXY_HEADER_SECONDS):
            try:
                return await read_origin(sock) or peer
            except BadProxyHeader as error:
                fault = str(error)
            except OSError:
                return None
        _log.warning("a PROXY header was refused: %s", fault, extra={"address": peer})
        return None

    async def _shake(
        self, sock: trio.socket.SocketType, source: str | None, context: ssl.SSLContext
    ) -> TLSStream | None:
        try:
            for option, value in _KEEPALIVE:
                sock.setsockopt(*option, value)
            # A client that says nothing must not hold one of the few slots.
            with trio.move_on_after(HANDSHAKE_SECONDS) as silence:
                await trio.lowlevel.wait_readable(sock)
            if silence.cancelled_caught:
                return None
            async with self.handshakes.held(source):
                if has_left(sock):
                    return None  # it gave up in the queue: its turn is the next one's
                with trio.move_on_after(HANDSHAKE_SECONDS):
                    return await serve_handshake(sock, context)
        except (OSError, trio.BrokenResourceError):
            pass
        return None

    # Talking

    async def _converse(self, client: Client) -> None:
        try:
            seat = self._errands.seat(client)
            while not self.stopping:
                case = await seat.rest() if seat is not None else None
                if case is not None:
                    await exchange(client, case.asked, self.parts, self.running, case)
                else:
                    head = await client.next_head()
                    if head is None:
                        break
                    asked = self._intake.parse(head)
                    if client.hung_up:
                        return  # whoever asked is gone: nothing was started
                    client.begin(asked)
                    await self._serve_one(client, asked)
                if not await client.settle():
                    break
        except BadHead as error:
            await self._refuse_head(client, error)
        await client.stream.aclose()

    async def _serve_one(self, client: Client, asked: Asked) -> None:
        target = asked.target
        if target.startswith(PREFIX):
            if self.parts.lane == "express" or asked.block.upgrade is not None:
                await exchange(client, asked, self.parts, self.running)
            else:
                await self._lane.proxy(client, asked)
        elif target.startswith(HELP_PREFIX) and asked.method in {b"GET", b"HEAD"}:
            reply = self._help.reply(target, asked.block.headers)
            await client.answer(reply.status, reply.headers, b"" if asked.method == b"HEAD" else reply.body)
        elif (refusal := wrong_path(asked, client.address, self.parts)) is not None:
            await self._refuse(client, refusal)
        elif asked.block.expect_other:
            await self._refuse(client, problem(Code.EXPECTATION_FAILED))
        else:
            await self._lane.serve(client, asked)

    async def _refuse(self, client: Client, refusal: Problem) -> None:
        reply = plain_reply(refusal, correlation(client.asked.block.trace_id), self.parts.public_url)
        body = b"" if client.asked.method == b"HEAD" else reply.body
        await client.answer(reply.status, reply.headers, body)

    async def _refuse_head(self, client: Client, error: BadHead) -> None:
        """A head or body that cannot be read. Where it ends is not known, so neither is the next request."""
        if client.started:
            client.abort()
            return
        code = Code.HEADERS_TOO_LARGE if error.status == 431 else Code.BAD_REQUEST
        await refuse(client, problem(code, detail=error.sentence.rstrip(".")), self.parts)


async def serve(
    front: Front,
    listeners: Sequence[trio.SocketListener],
    context: ssl.SSLContext,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve users until `front.stop` or cancellation."""
    await front.serve(listeners, context, task_status=task_status)


def _host(address: object) -> str:
    host = address[0] if isinstance(address, tuple) else ""
    return str(host).removeprefix("::ffff:")


def _keepalive() -> list[tuple[tuple[int, int], int]]:
    options = [((stdlib_socket.SOL_SOCKET, stdlib_socket.SO_KEEPALIVE), 1)]
    for name, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        with suppress(AttributeError):  # not every system lets these be set for one socket
            options.append(((stdlib_socket.IPPROTO_TCP, getattr(stdlib_socket, name)), value))
    return options


_KEEPALIVE: Final = _keepalive()
