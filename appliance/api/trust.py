"""Trust rules: whose tokens make their bearer one of our machines. Make, list, remove; changing one is making another.

Making one gives whoever the issuer may name all that the machine holds, which the unit checks in its transaction.
"""

from __future__ import annotations

import json
from typing import Any, Final

from appliance.api import bodies, machines, pages, readers, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.events import EventType
from appliance.core.machines import (
    DEFAULT_SESSION_SECONDS,
    MAX_JWKS_BYTES,
    MAX_SESSION_SECONDS,
    MIN_SESSION_SECONDS,
    Condition,
    TrustRule,
    conditions_fault,
)
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.core.snapshot import Entity
from appliance.store import ids
from appliance.store import machines as units


@bodies.reads({"type": "object"})
def key_set(where: str, value: Any) -> str:
    """A JSON Web Key Set; what it holds is looked at later."""
    if not isinstance(value, dict):
        raise BodyError(where, f"{where} must be a JSON Web Key Set.")
    text = json.dumps(value, separators=(",", ":"))
    if len(text) > MAX_JWKS_BYTES:
        raise BodyError(where, f"{where} must have at most {MAX_JWKS_BYTES // 1024} KiB.")
    return text


_CONDITION: Final = bodies.obj((Field("claim", bodies.text), Field("values", bodies.listed(bodies.text))))


@bodies.reads(_CONDITION)
def condition(where: str, value: Any) -> Condition:
    read = _CONDITION(where, value)
    return Condition(read["claim"], read["values"])


async def listed(call: Call) -> Answer:
    """The oldest first."""
    wanted = call.query["machine"]
    machine = machines.find(call, wanted) if wanted is not None else None
    return await pages.page(
        call,
        Entity.TRUST_RULE,
        call.parts.snapshot().trust_rules.values(),
        lambda it: (it.created_at, it.id),
        int,
        str,
        seen=lambda it: machine is None or it.machine_id == machine.id,
        shown=render.trust_rule,
    )


async def one(call: Call) -> Answer:
    found = call.parts.snapshot().trust_rules.get(call.path["rule"])
    if found is None:
        raise ProblemError(problem(Code.TRUST_RULE_NOT_FOUND))
    return Answer(200, render.trust_rule(found))


async def create(call: Call) -> Answer:
    """Without `audience`, tokens must be for this appliance by its public URL; without `jwks`, keys are fetched."""
    body = call.body
    fault = conditions_fault(body["conditions"])
    if fault is not None:
        raise BodyError("conditions", f"conditions: {fault}.")
    fault = call.parts.key_set_fault(body["jwks"]) if body["jwks"] else None
    if fault is not None:
        raise BodyError("jwks", fault)
    made = TrustRule(
        ids.new_id("trust"),
        machines.find(call, body["machine"]).id,
        body["issuer"],
        body["audience"] or call.parts.public_url,
        body["conditions"],
        body["jwks"],
        body["single_use"],
        body["session_seconds"],
        call.now,
        call.caller.id,
    )
    await call.parts.write(units.add_rule(call.caller.subject, made, call.now))
    await _note(call, EventType.TRUST_RULE_CREATED, made)
    return Answer(201, render.trust_rule(made))


async def remove(call: Call) -> Answer:
    """Its sessions end with it, and the credentials its machine has got so far."""
    removed = await call.parts.write(units.remove_rule(call.caller.subject, call.path["rule"], call.now))
    await _note(call, EventType.TRUST_RULE_DELETED, removed)
    return Answer(204)


async def _note(call: Call, kind: EventType, rule: TrustRule) -> None:
    conditions = " and ".join(f"{it.claim} in {','.join(it.patterns)}" for it in rule.conditions)
    await note(
        call,
        kind,
        rule_id=rule.id,
        machine_id=rule.machine_id,
        issuer=rule.issuer,
        audience=rule.audience,
        conditions=conditions,
        keys="given" if rule.jwks else "fetched",
        single_use=rule.single_use,
    )


_SECONDS = bodies.whole(MIN_SESSION_SECONDS, MAX_SESSION_SECONDS)

ROUTES = (
    Route(
        "GET",
        "trust-rules",
        (Permission.TRUST_READ,),
        listed,
        query=(*pages.QUERY, Field("machine", readers.query_text, required=False)),
        gives=shapes.TrustRule,
        refuses=(Code.MACHINE_NOT_FOUND,),
    ),
    Route(
        "GET",
        "trust-rules/<rule>",
        (Permission.TRUST_READ,),
        one,
        gives=shapes.TrustRule,
        refuses=(Code.TRUST_RULE_NOT_FOUND,),
    ),
    Route(
        "POST",
        "trust-rules",
        (Permission.TRUST_WRITE,),
        create,
        body=(
            Field("machine", bodies.text),
            Field("issuer", readers.issuer),
            Field("audience", bodies.text, required=False, default=""),
            Field("conditions", bodies.listed(condition)),
            Field("jwks", key_set, required=False, default=""),
            Field("single_use", bodies.boolean, required=False, default=True),
            Field("session_seconds", _SECONDS, required=False, default=DEFAULT_SESSION_SECONDS),
        ),
        gives=shapes.TrustRule,
        status=201,
        refuses=(Code.MACHINE_NOT_FOUND, Code.TOO_MANY_TRUST_RULES, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "DELETE",
        "trust-rules/<rule>",
        (Permission.TRUST_WRITE,),
        remove,
        status=204,
        refuses=(Code.TRUST_RULE_NOT_FOUND, Code.LAST_ADMINISTRATOR),
    ),
)
