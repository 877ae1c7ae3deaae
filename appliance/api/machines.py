"""Machines and their tokens: make, list, remove; and what a machine gets for itself: a kubeconfig credential.

By itself a machine may do nothing; bindings give it rights, and each of its tokens is worth all of them. So whoever
gives out another token of a machine gives what it holds. What always holds: a token is shown once, and kept as its
SHA-256.
"""

from __future__ import annotations

from appliance.api import bodies, pages, readers, render, shapes
from appliance.api.bodies import Field
from appliance.api.credentials import FORM, issue_own
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Proof, Route
from appliance.core.events import EventType
from appliance.core.machines import (
    DEFAULT_TOKEN_SECONDS,
    MAX_TOKEN_SECONDS,
    MIN_TOKEN_SECONDS,
    SECOND,
    MachineToken,
)
from appliance.core.people import Machine
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.core.snapshot import Entity
from appliance.store import granting, ids
from appliance.store import machines as units


def find(call: Call, name_or_id: str) -> Machine:
    """The machine a path or a body names."""
    machines = call.parts.snapshot().machines
    found = machines.get(name_or_id) or next((it for it in machines.values() if it.name == name_or_id), None)
    if found is None:
        raise ProblemError(problem(Code.MACHINE_NOT_FOUND))
    return found


async def listed(call: Call) -> Answer:
    """By name."""
    return await pages.page(
        call,
        Entity.MACHINE,
        call.parts.snapshot().machines.values(),
        lambda it: (it.name,),
        str,
        seen=lambda _: True,
        shown=render.machine,
    )


async def one(call: Call) -> Answer:
    return Answer(200, render.machine(find(call, call.path["machine"])))


async def create(call: Call) -> Answer:
    """With a first token, or without any, for one that comes by a trust rule."""
    made = Machine(ids.new_id("machine"), call.body["name"], call.now, call.caller.id)
    text, token = _fresh(call, made, "") if call.body["with_token"] else (None, None)
    await call.parts.write(granting.add_machine(call.caller.subject, made, call.now, token))
    expires = (render.moment(token.expires_at) if token is not None else None) or ""
    await note(call, EventType.MACHINE_CREATED, machine=made.name, machine_id=made.id, expires_at=expires)
    answer = render.machine(made)
    if token is None:
        return Answer(201, answer)
    return Answer(201, {**answer, "token": text, "token_id": token.id, "expires_at": expires})


async def remove(call: Call) -> Answer:
    """With its bindings; its tokens open nothing from the next call on, and its streams end."""
    machine = find(call, call.path["machine"])
    await call.parts.write(granting.remove_machine(call.caller.subject, machine.id, call.now))
    await note(call, EventType.MACHINE_DELETED, machine=machine.name, machine_id=machine.id)
    return Answer(204)


async def tokens(call: Call) -> Answer:
    """Its tokens and sessions, the newest first. Those that expired stay for a day."""
    machine = find(call, call.path["machine"])
    known = call.parts.snapshot().machine_tokens
    return await pages.page(
        call,
        Entity.MACHINE_TOKEN,
        known.values(),
        lambda it: (-it.created_at, it.id),
        int,
        str,
        seen=lambda it: it.machine_id == machine.id and it.id in known,  # which the clock has taken away meanwhile
        shown=render.machine_token,
    )


async def add_token(call: Call) -> Answer:
    machine = find(call, call.path["machine"])
    text, token = _fresh(call, machine, call.body["label"])
    await call.parts.write(units.add_token(call.caller.subject, token, call.now))
    await _note_token(call, EventType.MACHINE_TOKEN_CREATED, machine, token)
    return Answer(201, {**render.machine_token(token), "token": text})


async def remove_token(call: Call) -> Answer:
    machine = find(call, call.path["machine"])
    by, named = call.caller.subject, call.path["token"]
    removed = await call.parts.write(units.remove_token(by, machine.id, named, call.now))
    await _note_token(call, EventType.MACHINE_TOKEN_DELETED, machine, removed)
    return Answer(204)


async def credential(call: Call) -> Answer:
    """For the machine that asks. It expires with the token that was shown, at the latest."""
    assert call.token is not None
    holder = call.parts.snapshot().holders[call.caller.id]
    return await issue_own(call, holder, call.token.expires_at, machine_id=call.caller.id)


def _fresh(call: Call, machine: Machine, label: str) -> tuple[str, MachineToken]:
    text = ids.new_token("flm")
    token = MachineToken(
        ids.new_id("token"),
        machine.id,
        ids.token_hash(text),
        call.now + call.body["ttl_seconds"] * SECOND,
        label,
        created_at=call.now,
        created_by=call.caller.id,
    )
    return text, token


async def _note_token(call: Call, event: EventType, machine: Machine, token: MachineToken) -> None:
    await note(
        call,
        event,
        machine=machine.name,
        machine_id=machine.id,
        token_id=token.id,
        label=token.label,
        expires_at=render.moment(token.expires_at),
    )


_TTL = Field(
    "ttl_seconds",
    bodies.whole(MIN_TOKEN_SECONDS, MAX_TOKEN_SECONDS),
    required=False,
    default=DEFAULT_TOKEN_SECONDS,
)

ROUTES = (
    Route("GET", "machines", (Permission.MACHINES_READ,), listed, query=pages.QUERY, gives=shapes.Machine),
    Route(
        "GET",
        "machines/<machine>",
        (Permission.MACHINES_READ,),
        one,
        gives=shapes.Machine,
        refuses=(Code.MACHINE_NOT_FOUND,),
    ),
    Route(
        "POST",
        "machines",
        (Permission.MACHINES_WRITE,),
        create,
        body=(
            Field("name", readers.kubernetes_name),
            Field("with_token", bodies.boolean, required=False, default=True),
            _TTL,
        ),
        gives=shapes.NewMachine,
        status=201,
        refuses=(Code.DUPLICATE_MACHINE_NAME,),
    ),
    Route(
        "DELETE",
        "machines/<machine>",
        (Permission.MACHINES_WRITE,),
        remove,
        status=204,
        refuses=(Code.MACHINE_NOT_FOUND, Code.LAST_ADMINISTRATOR),
    ),
    Route(
        "GET",
        "machines/<machine>/tokens",
        (Permission.MACHINES_READ,),
        tokens,
        query=pages.QUERY,
        gives=shapes.MachineToken,
        refuses=(Code.MACHINE_NOT_FOUND,),
    ),
    Route(
        "POST",
        "machines/<machine>/tokens",
        (Permission.MACHINES_WRITE,),
        add_token,
        body=(Field("label", bodies.text, required=False, default=""), _TTL),
        gives=shapes.NewMachineToken,
        status=201,
        refuses=(Code.MACHINE_NOT_FOUND, Code.TOO_MANY_MACHINE_TOKENS, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "DELETE",
        "machines/<machine>/tokens/<token>",
        (Permission.MACHINES_WRITE,),
        remove_token,
        status=204,
        refuses=(Code.MACHINE_NOT_FOUND, Code.MACHINE_TOKEN_NOT_FOUND, Code.LAST_ADMINISTRATOR),
    ),
    Route(
        "POST",
        "machines/self/credentials",
        (),
        credential,
        body=(
            Field("cluster", bodies.text),
            *FORM,
        ),
        proof=Proof.MACHINE,
        gives=shapes.NewCredential,
        status=201,
        refuses=(Code.CLUSTER_NOT_FOUND, Code.MACHINE_NOT_FOUND),
    ),
)
