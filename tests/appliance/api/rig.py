"""An admin API over a real store in a directory of its own, and a client for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio
from cryptography.hazmat.primitives.asymmetric import ec
from quart.typing import TestClientProtocol
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers

from appliance import bridges
from appliance.api.app import make_app
from appliance.api.parts import Bundle, Parts
from appliance.api.table import ROUTES
from appliance.core.audit_query import AuditQuery
from appliance.core.credentials import TokenVerifier, mint
from appliance.core.events import AuditEvent, EventType
from appliance.core.liveness import ClusterState
from appliance.core.machines import MachineToken
from appliance.core.paces import Paces
from appliance.core.people import Machine
from appliance.core.problems import Code
from appliance.core.roles import EVERYWHERE, Binding, Permission, Role, Scope, Subject, SubjectKind
from appliance.core.webhooks import Delivery, Outcome, Webhook, shown_url, target
from appliance.store import ids, units
from appliance.store.store import Store
from tests.appliance.api.promised import held_to_the_document

NOW = 1_800_000_000_000_000  # 2027-01-15T08:00:00Z
HOUR = 3_600_000_000
BURST = 20_000  # calls of one machine: the clock stands still, so nothing comes back


class DiskFullError(Exception):
    """What a ledger that cannot write raises."""


@dataclass
class Reply:
    status: int
    headers: Headers
    body: Any

    @property
    def code(self) -> str:
        return str(self.body["code"])


@dataclass
class Rig:
    """`token` is a machine's that may do everything, until a test makes another."""

    store: Store
    client: TestClientProtocol
    verifier: TokenVerifier
    app: QuartTrio
    parts: Parts
    recorded: list[AuditEvent]
    called: list[AuditEvent]  # the records that come before a change
    token: str = ""
    now: int = NOW
    states: dict[str, ClusterState] = field(default_factory=dict)
    audit_broken: bool = False
    unrecordable: EventType | None = None  # the one kind of record that cannot be kept

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        if_match: str | None = "*",
    ) -> Reply:
        sent = {"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})}
        if method == "PATCH" and if_match is not None:
            sent["If-Match"] = if_match
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        full = path if path.startswith("/") else f"/fairlead/v1/{path}"
        response = await self.client.open(full, method=method, headers=sent, data=data)  # type: ignore[call-arg]  # json has a default
        text = await response.get_data(as_text=True)
        reply = Reply(response.status_code, response.headers, json.loads(text) if text else None)
        held_to_the_document(method, full, reply.status, reply.headers.get("Content-Type"), reply.body)
        return reply

    async def machine(self, *permissions: Permission, expires_at: int | None = None, scope: Scope = EVERYWHERE) -> str:
        """A machine that may do just this, there; its token."""
        token = ids.new_token("flm")
        machine = Machine(ids.new_id("machine"), f"machine-{token[-8:]}")
        shown = MachineToken(ids.new_id("token"), machine.id, ids.token_hash(token), expires_at or NOW + 24 * HOUR)
        role = Role(ids.new_id("role"), f"role-{machine.id[-8:]}", permissions=permissions)
        subject = Subject(SubjectKind.MACHINE, machine.id)
        await self.store.write(units.add_machine(machine, NOW))
        await self.store.write(units.add_machine_token(shown, NOW))
        await self.store.write(units.add_role(role, NOW))
        await self.store.write(
            units.add_binding(Binding(ids.new_id("binding"), subject, role.id, scope, created_at=NOW), NOW)
        )
        return token


async def send_notice(store: Store, webhook: Webhook, delivery: Delivery, key_id: str, box: str) -> Outcome:
    """A receiver that takes everything."""
    await trio.lowlevel.checkpoint()
    to = target(store.unseal(webhook.secret_name, key_id, box), webhook.shown)
    assert (webhook.id, shown_url(to.url)) == (delivery.webhook_id, webhook.shown)
    return Outcome(204)


@asynccontextmanager
async def rig(directory: Path, *, burst: int = BURST, hsts: bool = False) -> AsyncIterator[Rig]:
    store = await Store.open(directory / "data" / "fairlead.db")
    key = ec.generate_private_key(ec.SECP256R1())
    verifier = TokenVerifier([key.public_key()])
    recorded, called = list[AuditEvent](), list[AuditEvent]()
    made: Rig

    async def record(event: AuditEvent) -> None:
        await trio.lowlevel.checkpoint()
        if made.audit_broken or event.type is made.unrecordable:
            raise DiskFullError
        (called if event.type is EventType.API_CALLED else recorded).append(event)

    async def search(query: AuditQuery) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        fitting = [event for event in reversed(recorded) if query.fits(event)]
        return {"items": [{"type": str(event.type)} for event in fitting[: query.limit]], "next": None}

    async def one(chain: int, number: int) -> dict[str, Any] | None:
        await trio.lowlevel.checkpoint()
        return {"type": str(recorded[number - 1].type)} if chain == 1 and number <= len(recorded) else None

    parts = Parts(
        snapshot=lambda: store.snapshot,
        write=store.write,
        read=store.read,
        catch_up=store.poll,
        states=lambda: made.states,
        record=record,
        search_audit=search,
        audit_record=one,
        make_bundle=lambda cluster, now: Bundle({"cluster": cluster, "token": "flb_x"}, ids.new_id("t"), now + HOUR),
        seal=store.seal,
        send_notice=partial(send_notice, store),
        sign=lambda credential: mint(credential, key),
        prove=verifier.verify,
        clock=lambda: made.now,
        public_url="https://fairlead.example.com",
        help_url="https://fairlead.example.com/help/errors/",
        ca_pem=lambda: "CA",
        make_authority=lambda _: b"{}",
        trusted=lambda: "CA",
        trust_settled=trio.lowlevel.checkpoint,
        faults={DiskFullError: Code.AUDIT_UNAVAILABLE},
        key_set_fault=bridges.key_set_fault,
        paces=Paces(per_second=1, burst=burst),
        hsts=hsts,
    )
    app = make_app(parts, ROUTES)
    made = Rig(store, app.test_client(), verifier, app, parts, recorded, called)
    try:
        made.token = await made.machine(*Permission)
        yield made
    finally:
        await store.aclose()
