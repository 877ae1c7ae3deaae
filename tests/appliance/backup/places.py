"""Whole appliances without their program: settings, a filled configuration, a ledger with two starts; either engine."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from appliance import database
from appliance.audit.book import Book
from appliance.audit.reader import Reader
from appliance.audit.verify import Verdict, verify_chain
from appliance.audit_place import audit_place
from appliance.backup import envelope
from appliance.config import Config, load
from appliance.core.clusters import AgentCertificate, Cluster
from appliance.core.credentials import Credential
from appliance.core.events import AuditEvent, EventType
from appliance.core.machines import MachineToken
from appliance.core.people import Machine, Person
from appliance.core.roles import Binding, Role, Scope, ScopeKind, Subject, SubjectKind
from appliance.keys import open_keys
from appliance.layout import Layout
from appliance.store import schema, units
from appliance.store.clock import utc_micros
from appliance.store.store import Store
from appliance.store.tables import tables_after
from appliance.store.unit import Unit
from tests.support.postgres import PostgresServer

HOUR = 3600 * 1_000_000
NOW = utc_micros()
PASSPHRASE = "correct horse battery staple"
RECORDS = 2_500  # more than two pages


@dataclass
class Place:
    """Where an appliance's data is to be, or is."""

    directory: Path
    server: PostgresServer | None = None
    name: str = ""
    given_key: bool = False  # the settings name a file for the master key

    @property
    def layout(self) -> Layout:
        return Layout(self.directory / "data")

    @property
    def key_file(self) -> Path:
        given = self.given_key or self.server is not None
        return self.directory / "given.key" if given else self.layout.master_key

    def settings(self) -> Path:
        lines = ['public_url = "https://fairlead.example.com"', f"data_dir = {json.dumps(str(self.layout.root))}"]
        if self.server is not None:
            url = self.directory / "url"
            url.write_text(self.server.url(self.name))
            url.chmod(0o600)
            lines += ["[store]", f'url_file = "{url}"', f'master_key = "{self.key_file}"']
        elif self.given_key:
            lines += ["[store]", f'master_key = "{self.key_file}"']
        file = self.directory / "fairlead.toml"
        file.write_text("\n".join(lines) + "\n")
        file.chmod(0o600)
        return file

    def config(self) -> Config:
        return load(self.settings(), {}, restoring=True)

    def give_key(self, key: bytes | None = None) -> None:
        self.key_file.write_bytes(base64.b64encode(key or secrets.token_bytes(32)))
        self.key_file.chmod(0o600)

    def files(self) -> dict[str, bytes]:
        """Everything in the data directory but the locks."""
        root = self.layout.root
        found = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.endswith("lock"))
        return {str(path.relative_to(root)): path.read_bytes() for path in found}

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of the configuration."""
        found: dict[str, list[tuple[Any, ...]]] = {}

        def every() -> Unit[None]:
            from appliance.backup.pages import pages

            for table in tables_after(schema.migrations()):
                yield from pages(table, 100, found.setdefault(table.name, []).extend)

        where = database.place(self.config().store, self.layout)
        async with database.opened_engine(where, database.Look()) as engine:
            await engine.read(every())
        return {name: sorted(rows, key=str) for name, rows in found.items()}

    async def records(self) -> list[tuple[int, int, str]]:
        """(chain, number, type) of every audit record, in order of time."""

        def read() -> list[tuple[int, int, str]]:
            with Reader(audit_place(self.config())) as reader:
                kept = reader.export(0, (1 << 63) - 1)
                return [(it.position.chain, it.position.number, str(it.event and it.event.type)) for it in kept]

        return await trio.to_thread.run_sync(read)

    async def verdict(self) -> Verdict:
        async with database.opened(self.config(), migrate=False) as store:
            key = (await open_keys(store, utc_micros)).audit.public_key()
        return await trio.to_thread.run_sync(verify_chain, audit_place(self.config()), [key])

    async def with_store(self, work: Callable[[Store], Any]) -> Any:
        async with database.opened(self.config(), migrate=False) as store:
            return await work(store)

    async def fill(self, records: int = RECORDS) -> None:
        """As a running appliance would: all kinds of entities, two starts, many records."""
        self.layout.make()
        if self.server is not None and not self.key_file.exists():
            self.give_key()
        async with database.opened(self.config()) as store:
            keys = await open_keys(store, lambda: NOW)
            await store.write(entities())

        def record() -> None:
            for start in range(2):
                book = Book(audit_place(self.config()), keys.audit, NOW + start)
                for first in range(0, records, 500):
                    book.append([event(start * records + number) for number in range(first, min(first + 500, records))])
                    book.checkpoint(NOW + first)
                book.close()

        await trio.to_thread.run_sync(record)


def event(number: int) -> AuditEvent:
    command = ("echo", 'ö€😀\n"quoted"')
    return AuditEvent(NOW + number, EventType.PROXY_CLOSED, actor="alice@example.com", status=200, command=command)


def entities() -> Unit[None]:
    cluster = Cluster("cluster_1", "prod", (("env", "prod"),), created_at=NOW)
    role = Role("role_1", "viewer", "ahoy \u2028 \U0001f6a2", ("viewers",), created_at=NOW)
    person = Person("person_1", "iss", "sub", "alice@example.com", created_at=NOW)
    bindings = [
        Binding(f"binding_{number:04}", Subject(SubjectKind.PERSON, person.id), role.id, SPACES, created_at=NOW)
        for number in range(700)  # more than a page
    ]
    certificate = AgentCertificate("abc1", cluster.id, 1, NOW + 100 * HOUR)
    credential = Credential("credential_1", person.id, cluster.id, NOW - 60_000_000, NOW + HOUR)
    for unit in (
        units.add_cluster(cluster, NOW),
        units.add_role(role, NOW),
        units.add_person(person, NOW),
        units.add_machine(Machine("machine_1", "ci", NOW), NOW),
        units.add_machine_token(MachineToken("token_1", "machine_1", "ab" * 32, NOW + HOUR), NOW),
        units.add_machine(Machine("machine_2", "forgotten", NOW), NOW),
        units.add_machine_token(MachineToken("token_2", "machine_2", "cd" * 32, NOW - HOUR), NOW),
        *(units.add_binding(binding, NOW) for binding in bindings),
        units.add_certificate(certificate, "ef" * 32, "PEM", NOW),
        units.add_bootstrap_token("12" * 32, cluster.id, NOW + HOUR),
        units.add_credential(credential, "machine_1"),
        units.add_credential(replace_id(credential, "credential_2"), "machine_1"),
        units.revoke_credential("credential_2", "lost", NOW),
    ):
        yield from unit


SPACES = Scope(ScopeKind.NAMESPACES, "cluster_1", namespaces=("blue", "green"))


def replace_id(it: Credential, identity: str) -> Credential:
    return Credential(identity, it.person_id, it.cluster_id, it.issued_at, it.expires_at)


def make_guesses_cheap(patch: Any) -> None:
    """What a guess at the passphrase costs is not the subject of most tests."""
    patch.setattr(envelope, "LOG2_N", 4)
    patch.setattr(envelope, "P", 1)
