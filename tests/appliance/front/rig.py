"""A whole front on real TLS sockets, with a real tunnel session to a scripted agent and a ledger in memory."""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.core.buckets import Admission, FailedLogins
from appliance.core.clusters import Cluster
from appliance.core.credentials import Credential, TokenVerifier, mint
from appliance.core.events import AuditEvent, EventType
from appliance.core.networks import NOBODY, Networks
from appliance.core.people import Person
from appliance.core.roles import Binding, Role, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Revocation, Snapshot
from appliance.front.listener import Front, serve
from appliance.front.parts import AsgiApp, FrontParts, Lane
from appliance.tunnel.registry import Registry
from tests.support.certificates import TestCA
from tests.support.pair import joined_sessions, running
from wire import http1
from wire.contexts import client_context, server_context
from wire.heads import Headers, ResponseHead
from wire.session import Exchange, Session
from wire.tls import TLSStream, dial_handshake

SECOND = 1_000_000
CLUSTER = "cl_1"
JSON = ((b"Content-Type", b"application/json"),)

Agent = Callable[[Exchange], Awaitable[None]]


ERRANDS = {"on": True}
"""Whether the express lane may serve requests without a task: the same tests hold for both ways."""


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event announces."""
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 -- what the kernel does comes with no event of ours
            await trio.sleep(0.005)


def now() -> int:
    return time.time_ns() // 1000


async def answers_hello(tunnel: Exchange) -> None:
    """An agent whose API server says hello to whatever it is asked."""
    await answer(tunnel, 200, b'{"hello":"world"}')


async def answer(tunnel: Exchange, status: int, body: bytes, headers: Headers = JSON) -> None:
    sized = ((b"Content-Length", b"%d" % len(body)), *headers)
    assert tunnel.answer_nowait(ResponseHead(status, sized), body)
    await trio.lowlevel.checkpoint()


async def no_app(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application with a lifespan and one page."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"app"})


@dataclass
class MemoryStore:
    snapshot: Snapshot = field(default_factory=Snapshot)
    is_fresh: bool = True
    is_lost: bool = False

    def fresh(self) -> bool:
        return self.is_fresh

    def lost(self) -> bool:
        return self.is_lost


class MemoryLedger:
    """A ledger whose records are on no disk. Counts its slots, so that a leaked one shows."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.counted = 0
        self.slots = 0
        self.available = True
        self.told = trio.Event()

    def try_reserve(self) -> bool:
        self.slots += self.available
        return self.available

    async def reserve(self) -> None:
        await trio.lowlevel.checkpoint()
        if not self.try_reserve():
            raise RuntimeError("the disk is full")

    async def record(self, event: AuditEvent) -> None:
        await trio.lowlevel.checkpoint()
        self._keep(event)

    def close(self, event: AuditEvent) -> None:
        self.slots -= 1
        self._keep(event)

    def deny(self, event: AuditEvent) -> None:
        self._keep(event)

    def count(self, person_id: str, person: str, cluster_id: str, cluster: str) -> None:
        self.counted += 1

    def _keep(self, event: AuditEvent) -> None:
        self.events.append(event)
        self.told.set()


@dataclass
class Answer:
    status: int
    headers: Headers
    body: bytes

    def __getitem__(self, name: str) -> str:
        found = [value for key, value in self.headers if key.lower() == name.lower().encode()]
        return b", ".join(found).decode()

    def __contains__(self, name: str) -> bool:
        return any(key.lower() == name.lower().encode() for key, _ in self.headers)


class Talk:
    """A client that says exactly what a test tells it to."""

    def __init__(self, stream: TLSStream) -> None:
        self.stream = stream
        self.buffer = b""

    async def say(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def head(self, method: bytes = b"GET") -> http1.Response:
        while b"\r\n\r\n" not in self.buffer:
            await self._more()
        end = self.buffer.index(b"\r\n\r\n") + 4
        head, self.buffer = self.buffer[:end], self.buffer[end:]
        return http1.parse_response(head, method)

    async def answer(self, method: bytes = b"GET") -> Answer:
        with trio.fail_after(10):
            head = await self.head(method)
            body = b""
            if head.chunked:
                reader = http1.ChunkedReader()
                while not reader.done:
                    if not self.buffer:
                        await self._more()
                    data, self.buffer = self.buffer, b""
                    body += reader.feed(data)
                self.buffer = reader.rest
            elif head.close_delimited:
                while data := await self.stream.receive_some(65536):
                    self.buffer += data
                body, self.buffer = self.buffer, b""
            elif not head.no_body:
                while len(self.buffer) < (head.content_length or 0):
                    await self._more()
                body, self.buffer = self.buffer[: head.content_length], self.buffer[head.content_length or 0 :]
            return Answer(head.status, head.headers, body)

    async def until(self, text: bytes) -> bytes:
        """What comes up to and including `text`."""
        with trio.fail_after(10):
            while text not in self.buffer:
                await self._more()
        end = self.buffer.index(text) + len(text)
        taken, self.buffer = self.buffer[:end], self.buffer[end:]
        return taken

    async def ended(self) -> str:
        """How the connection ends: "goodbye" (close_notify) or "cut"; asserts that nothing more was said."""
        with trio.fail_after(10):
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                data = None
        assert not self.buffer
        assert not data, data
        return "goodbye" if data == b"" else "cut"

    async def _more(self) -> None:
        data = await self.stream.receive_some(65536)
        assert data, f"the connection ended after {self.buffer!r}"
        self.buffer += data


class Rig:
    """What a test may touch."""

    def __init__(self, parts: FrontParts, store: MemoryStore, key: Any, port: int, context: ssl.SSLContext) -> None:
        self.parts = parts
        self.store = store
        self.key = key
        self.port = port
        self.context = context
        self.front: Front
        self.tunnel: Session
        self.ledger: MemoryLedger
        self.ca_pem: str
        self.served: ssl.SSLContext
        self.talks: list[Talk] = []
        self.token = self.mint()

    @property
    def handshakes(self) -> int:
        """How many the front has begun, ended or not."""
        return self.served.session_stats()["accept"]

    def mint(self, identity: str = "cr_1", *, cluster: str = CLUSTER, expires_in: int = 3600) -> str:
        at = now() // SECOND * SECOND
        return mint(Credential(identity, "pe_1", cluster, at - 10 * SECOND, at + expires_in * SECOND), self.key)

    async def dial(self) -> Talk:
        sock = trio.socket.socket()
        await sock.connect(("127.0.0.1", self.port))
        talk = Talk(await dial_handshake(sock, self.context, "localhost"))
        self.talks.append(talk)
        return talk

    def get(self, path: str, *headers: str, method: str = "GET", token: str | None = None) -> bytes:
        """A request for a path of the cluster."""
        lines = [f"{method} /api/proxy/{CLUSTER}{path} HTTP/1.1", "Host: localhost"]
        lines += [f"Authorization: Bearer {token or self.token}", *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    async def ask(self, path: str, *headers: str, method: str = "GET", body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        talk = await self.dial()
        if body:
            headers = (*headers, f"Content-Length: {len(body)}")
        await talk.say(self.get(path, *headers, method=method) + body)
        found = await talk.answer(method.encode())
        await talk.stream.aclose()
        return found

    async def event(self, kind: EventType) -> AuditEvent:
        """Take the first audit record of a type, once it is there."""
        ledger = self.ledger
        with trio.fail_after(10):
            while True:
                for position, event in enumerate(ledger.events):
                    if event.type is kind:
                        return ledger.events.pop(position)
                ledger.told = trio.Event()
                await ledger.told.wait()


def furnish(snapshot: Snapshot) -> None:
    """One person, one cluster, one role that allows all, one binding."""
    snapshot.put(Entity.CLUSTER, CLUSTER, Cluster(CLUSTER, "prod"))
    snapshot.put(Entity.PERSON, "pe_1", Person("pe_1", "", "", "alice"))
    snapshot.put(Entity.ROLE, "ro_1", Role("ro_1", "edit", groups=("editors",)))
    scope = Scope(ScopeKind.CLUSTER, cluster_id=CLUSTER)
    snapshot.put(Entity.BINDING, "bi_1", Binding("bi_1", Subject(SubjectKind.PERSON, "pe_1"), "ro_1", scope))


def revoke(snapshot: Snapshot, credential_id: str = "cr_1") -> None:
    snapshot.put(Entity.REVOCATION, credential_id, Revocation(credential_id, now() + 3600 * SECOND, now()))


@asynccontextmanager
async def fronted(
    tmp_path: Path,
    agent: Agent = answers_hello,
    *,
    lane: Lane = "express",
    app: AsgiApp = no_app,
    connected: bool = True,
    admission: Admission | None = None,
    max_connections: int = 1000,
    proxy_protocol_from: Networks = NOBODY,
    trusted_proxies: Networks = NOBODY,
) -> AsyncIterator[Rig]:
    """Run a front; stops it at the end of the block."""
    ca = TestCA.make()
    chain, private = ca.issue(tmp_path, "localhost")
    key = ec.generate_private_key(ec.SECP256R1())
    store = MemoryStore()
    furnish(store.snapshot)
    ledger = MemoryLedger()
    parts = FrontParts(
        public_url="https://fairlead.example.com",
        verifier=TokenVerifier([key.public_key()]),
        store=store,
        admission=admission or Admission(),
        failed_logins=FailedLogins(),
        ledger=ledger,
        registry=Registry(),
        clock=now,
        app=app,
        lane=lane,
        max_connections=max_connections,
        proxy_protocol_from=proxy_protocol_from,
        trusted_proxies=trusted_proxies,
    )
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    rig = Rig(parts, store, key, port, client_context(ca.pem, alpn=["http/1.1"], tls13_only=False))
    rig.ledger, rig.ca_pem = ledger, ca.pem
    async with joined_sessions(agent) as (opener, _), running(parts.readiness), trio.open_nursery() as nursery:
        if connected:
            parts.registry.add(CLUSTER, opener, generation=1, serial="1", now=now())
        rig.tunnel = opener
        rig.front = Front(parts, errands=ERRANDS["on"])
        rig.served = server_context(chain, private, alpn=["http/1.1"])
        await nursery.start(functools.partial(serve, rig.front, listeners, rig.served))
        try:
            yield rig
        finally:
            for talk in rig.talks:
                talk.stream.abort()
            rig.front.stop(0)
    assert ledger.slots == 0, "every slot that was taken has its record"
    assert not rig.front.connections
    assert not len(rig.front.running)
