"""The agents' listener with a real store, on loopback; and agents that dial it, honest ones and others."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from agent.enrolment import Bundle, enrol, read_bundle
from agent.identity import DataDirectory, Identity, write_private
from agent.outbound import Place, connect
from appliance.bridges import Enrolments
from appliance.core.buckets import FailedLogins
from appliance.core.clusters import Cluster
from appliance.core.events import AuditEvent, EventType
from appliance.core.networks import NOBODY, Networks
from appliance.store import units
from appliance.store.clock import utc_micros
from appliance.store.store import Store
from appliance.tunnel.authority import Authority
from appliance.tunnel.enrolment import Enrolment, bundle, mint_token
from appliance.tunnel.listener import AgentsListener, serve
from appliance.tunnel.registry import Registry
from appliance.tunnel.trust import Trust
from tests.support.pair import running
from wire.contexts import client_context, server_context
from wire.opening import dial_session
from wire.readiness import Readiness
from wire.session import Session
from wire.tls import TLSStream

CLUSTER = "c_1"


@dataclass
class Harbour:
    """What a test holds of the appliance."""

    parts: AgentsListener
    store: Store
    authority: Authority
    port: int
    directory: Path
    stop: trio.Event
    events: list[AuditEvent] = field(default_factory=list)

    @property
    def registry(self) -> Registry[Session]:
        return self.parts.registry

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def kinds(self) -> list[EventType]:
        return [event.type for event in self.events]

    async def bundle(self, *, seconds: int = 3600, name: str = "bundle.json") -> Path:
        """A bundle as the API would make it."""
        now = utc_micros()
        minted = mint_token(now, seconds)
        await self.store.write(units.add_bootstrap_token(minted.sha256, CLUSTER, minted.expires_at))
        path = self.directory / name
        write_private(path, bundle(CLUSTER, self.url, minted.token, self.authority.certificate_pem).encode())
        return path

    def agent(self, name: str = "agent") -> DataDirectory:
        directory = DataDirectory(self.directory / name)
        directory.prepare()
        return directory

    async def enrolled(self, name: str = "agent") -> Identity:
        return await enrol(read_bundle(await self.bundle(name=f"{name}.json")), self.agent(name))

    async def connect(self, identity: Identity | None = None) -> TLSStream:
        certificate = None if identity is None else (identity.certificate_path, identity.key_path)
        context = client_context(self.authority.certificate_pem, certificate=certificate, alpn=["h2"])
        return await connect(Place.parse(self.url), context)

    async def dial(self, identity: Identity | None) -> Session:
        stream = await self.connect(identity)
        try:
            with trio.fail_after(15):
                return await dial_session(stream, b"agents.example.com", "test agent")
        except BaseException:
            stream.abort()
            raise


def altered(path: Path, **changes: object) -> Bundle:
    """The bundle in a file, with some of it changed."""
    content = json.loads(path.read_text()) | changes
    write_private(path, json.dumps(content).encode())
    return read_bundle(path)


@asynccontextmanager
async def harbour(tmp_path: Path, proxy_protocol_from: Networks = NOBODY) -> AsyncIterator[Harbour]:
    """Run the listener."""
    store = await Store.open(tmp_path / "store.db")
    authority = Authority.make(utc_micros())
    try:
        await store.write(units.add_cluster(Cluster(CLUSTER, "alpha", created_at=utc_micros()), utc_micros()))
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        events: list[AuditEvent] = []

        async def record(event: AuditEvent) -> None:
            events.append(event)

        enrolments = Enrolments(store)
        parts = AgentsListener(
            _context(authority, tmp_path),
            enrolments,
            Enrolment(Trust([authority]), enrolments, record, utc_micros, FailedLogins(events.append)),
            Registry(),
            record,
            utc_micros,
            "test appliance",
            drain_seconds=2.0,
            proxy_protocol_from=proxy_protocol_from,
            readiness=Readiness(),
        )
        port = listener.socket.getsockname()[1]
        here = Harbour(parts, store, authority, port, tmp_path, trio.Event(), events)
        async with running(parts.readiness), trio.open_nursery() as nursery:

            async def served(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
                await serve(parts, [listener], stop=here.stop, task_status=task_status)

            await nursery.start(served)
            yield here
            nursery.cancel_scope.cancel()
    finally:
        await store.aclose()


def _context(authority: Authority, directory: Path) -> ssl.SSLContext:
    pair = authority.server_certificate(["127.0.0.1"], utc_micros())
    write_private(directory / "server.crt", pair.chain_pem)
    write_private(directory / "server.key", pair.key_pem)
    return server_context(
        directory / "server.crt",
        directory / "server.key",
        alpn=["h2"],
        client_ca_pem=authority.certificate_pem,
        tls13_only=True,
    )
