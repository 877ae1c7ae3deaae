"""Machines: make one with its token, list, remove. By itself a machine may do nothing; bindings give it rights."""

from __future__ import annotations

from appliance.api import bodies, readers, render
from appliance.api.bodies import Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.events import EventType
from appliance.core.people import Machine
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.store import granting, ids

SECOND = 1_000_000
MIN_SECONDS = 60
MAX_SECONDS = 365 * 86400  # as the command on the host: a token nobody has renewed for a year is forgotten
DEFAULT_SECONDS = 30 * 86400


async def listed(call: Call) -> Answer:
    machines = sorted(call.parts.snapshot().machines.values(), key=lambda it: it.name)
    return Answer(200, {"items": [render.machine(it) for it in machines]})


async def create(call: Call) -> Answer:
    """The token is shown this once, and kept as its SHA-256 only."""
    token = ids.new_token("flm")
    expires_at = call.now + call.body["ttl_seconds"] * SECOND
    made = Machine(
        ids.new_id("machine"), call.body["name"], ids.token_hash(token), expires_at, call.now, call.caller.id
    )
    await call.parts.write(granting.add_machine(call.caller.subject, made, call.now))
    expires = render.moment(expires_at) or ""
    await note(call, EventType.MACHINE_CREATED, machine=made.name, machine_id=made.id, expires_at=expires)
    return Answer(201, {**render.machine(made), "token": token})


async def remove(call: Call) -> Answer:
    """With its bindings; its token opens nothing from the next call on."""
    machine = call.parts.snapshot().machines.get(call.path["machine"])
    if machine is None:
        raise ProblemError(problem(Code.MACHINE_NOT_FOUND))
    await call.parts.write(granting.remove_machine(call.caller.subject, machine.id, call.now))
    await note(call, EventType.MACHINE_DELETED, machine=machine.name, machine_id=machine.id)
    return Answer(204)


ROUTES = (
    Route("GET", "machines", (Permission.MACHINES_READ,), listed),
    Route(
        "POST",
        "machines",
        (Permission.MACHINES_WRITE,),
        create,
        body=(
            Field("name", readers.kubernetes_name),
            Field("ttl_seconds", bodies.whole(MIN_SECONDS, MAX_SECONDS), required=False, default=DEFAULT_SECONDS),
        ),
    ),
    Route("DELETE", "machines/<machine>", (Permission.MACHINES_WRITE,), remove),
)
