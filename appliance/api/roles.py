"""Roles: make, list, change, remove.

A role is one thing wherever it is bound, so these routes need their permission everywhere. What is put into a role the
caller holds, everywhere and for good, or may escalate; the unit checks that in its transaction.
"""

from __future__ import annotations

from dataclasses import replace

from appliance.api import bodies, pages, readers, render, shapes
from appliance.api.bodies import Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission, Role
from appliance.core.snapshot import Entity
from appliance.core.versions import Guarded
from appliance.store import granting, ids


async def listed(call: Call) -> Answer:
    """By name."""
    return await pages.page(
        call,
        Entity.ROLE,
        call.parts.snapshot().roles.values(),
        lambda it: (it.name,),
        str,
        seen=lambda _: True,
        shown=render.role,
    )


async def one(call: Call) -> Answer:
    return Answer(200, render.role(_find(call)))


async def create(call: Call) -> Answer:
    made = Role(ids.new_id("role"), **call.body, created_at=call.now)
    await call.parts.write(granting.add_role(call.caller.subject, made, call.now))
    await _note(call, EventType.ROLE_CREATED, made)
    return Answer(201, render.role(made))


async def update(call: Call) -> Answer:
    """The fields that are given; running streams that rest on what goes end."""
    role = _find(call)
    changes = {name: value for name, value in call.body.items() if value is not None}
    edit: Guarded[Role] = call.guarded(lambda it: render.role(it)["etag"], lambda it: replace(it, **changes))
    edited = await call.parts.write(granting.set_role(call.caller.subject, role.id, edit, call.now))
    await _note(call, EventType.ROLE_UPDATED, edited)
    return Answer(200, render.role(edited))


async def remove(call: Call) -> Answer:
    role = _find(call)
    await call.parts.write(granting.remove_role(call.caller.subject, role.id, call.now))
    await note(call, EventType.ROLE_DELETED, role=role.name, role_id=role.id)
    return Answer(204)


def _find(call: Call) -> Role:
    snapshot, named = call.parts.snapshot(), call.path["role"]
    role = snapshot.roles.get(named) or snapshot.role_by_name.get(named)
    if role is None:
        raise ProblemError(problem(Code.ROLE_NOT_FOUND))
    return role


async def _note(call: Call, kind: EventType, role: Role) -> None:
    await note(
        call,
        kind,
        role=role.name,
        role_id=role.id,
        groups=",".join(role.groups),
        rules=len(role.rules),
        permissions=",".join(role.permissions),
    )


_GROUPS = bodies.listed(readers.kubernetes_name)
_RULES = bodies.listed(readers.rule)
_PERMISSIONS = bodies.listed(readers.one_of(Permission))

ROUTES = (
    Route("GET", "roles", (Permission.ROLES_READ,), listed, query=pages.QUERY, gives=shapes.Role),
    Route("GET", "roles/<role>", (Permission.ROLES_READ,), one, gives=shapes.Role, refuses=(Code.ROLE_NOT_FOUND,)),
    Route(
        "POST",
        "roles",
        (Permission.ROLES_WRITE,),
        create,
        body=(
            Field("name", bodies.name),
            Field("description", bodies.text, required=False, default=""),
            Field("groups", _GROUPS, required=False, default=()),
            Field("rules", _RULES, required=False, default=()),
            Field("permissions", _PERMISSIONS, required=False, default=()),
        ),
        gives=shapes.Role,
        status=201,
        refuses=(Code.DUPLICATE_ROLE_NAME, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "PATCH",
        "roles/<role>",
        (Permission.ROLES_WRITE,),
        update,
        body=(
            Field("name", bodies.name, required=False),
            Field("description", bodies.text, required=False),
            Field("groups", _GROUPS, required=False),
            Field("rules", _RULES, required=False),
            Field("permissions", _PERMISSIONS, required=False),
        ),
        gives=shapes.Role,
        refuses=(Code.ROLE_NOT_FOUND, Code.DUPLICATE_ROLE_NAME, Code.LAST_ADMINISTRATOR, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "DELETE",
        "roles/<role>",
        (Permission.ROLES_WRITE,),
        remove,
        status=204,
        refuses=(Code.ROLE_NOT_FOUND, Code.ROLE_IN_USE),
    ),
)
