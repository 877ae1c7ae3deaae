"""Tokens for the admin API, made on the appliance's own host by whoever may read its data directory.

This is how the first caller gets in, and the way back in when nobody is left. What always holds: the token is returned
once and kept as its SHA-256 only; it expires; that it was made is in the audit trail, once. The record is written here,
before the machine exists; but while an appliance runs on SQLite, the ledger is its own: it sees the new machine within
a second and records it (`record_new`).
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from appliance import database
from appliance.audit.ledger import Ledger
from appliance.config import Config
from appliance.core.events import AuditEvent, EventType
from appliance.core.machines import MachineToken
from appliance.core.people import Machine, name_fault
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import EVERYWHERE, Binding, Subject, SubjectKind
from appliance.core.snapshot import Entity
from appliance.host_record import record_unless_running, told_as
from appliance.layout import Layout
from appliance.store import administrator, ids, units
from appliance.store.clock import utc_micros
from appliance.store.store import Applied, Store
from appliance.store.unit import Unit


class MachineTokenError(Exception):
    """No token was made; the text is one sentence."""


async def mint(config: Config, name: str, seconds: int, clock: Callable[[], int] = utc_micros) -> str:
    """Make a machine of that name that may do everything the admin API offers, and return its token."""
    fault = name_fault(name)
    if fault is not None:
        raise MachineTokenError(f"--name {name!r}: {fault}.")
    Layout(config.data_dir).make()
    now = clock()
    token = ids.new_token("flm")
    machine = Machine(ids.new_id("machine"), name, now)
    kept = MachineToken(
        ids.new_id("token"), machine.id, ids.token_hash(token), now + seconds * 1_000_000, created_at=now
    )
    try:
        with told_as(MachineTokenError):
            async with database.opened(config, migrate=False, clock=clock) as store:
                if any(it.name == name for it in store.snapshot.machines.values()):
                    raise ProblemError(problem(Code.DUPLICATE_MACHINE_NAME, name=name))  # before it is on record
                await record_unless_running(config, store, _event(machine, now))
                await store.write(_unit(machine, kept, now))
    except ProblemError as error:
        raise MachineTokenError(error.problem.message) from None
    return token


def record_new(store: Store, ledger: Ledger, clock: Callable[[], int]) -> Callable[[Applied], None]:
    """What the one appliance on a ledger does about machines that appear: record them. For `store.on_change`."""

    def look(applied: Applied) -> None:
        for entity, identity in applied:
            machine = store.snapshot.machines.get(identity) if entity is Entity.MACHINE else None
            if machine is None or machine.created_by:  # the API records those it makes
                continue
            if ledger.try_reserve():
                ledger.close(_event(machine, clock()))
            else:
                structlog.get_logger().error("a new machine could not be recorded", machine_id=machine.id)

    return look


def _unit(machine: Machine, token: MachineToken, now: int) -> Unit[None]:
    role = yield from administrator.role(ids.new_id("role"), now)
    yield from units.add_machine(machine, now)
    yield from units.add_machine_token(token, now)
    subject = Subject(SubjectKind.MACHINE, machine.id)
    binding = Binding(ids.new_id("binding"), subject, role.id, EVERYWHERE, until=token.expires_at, created_at=now)
    yield from units.add_binding(binding, now)


def _event(machine: Machine, now: int) -> AuditEvent:
    details = (("machine", machine.name), ("machine_id", machine.id))
    return AuditEvent(now, EventType.MACHINE_CREATED, actor="host", details=details)
