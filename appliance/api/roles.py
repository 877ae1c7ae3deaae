"""Roles and bindings: make, list, remove.

Whoever makes or removes one decides what others may do, so these routes also ask for `roles:escalate`: a machine
holds no groups and no rules of its own that it could pass on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from appliance.api import bodies, render
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.people import kubernetes_name
from appliance.api.routes import Answer, Call, Route
from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Binding, Permission, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.store import ids, units

K = TypeVar("K", ScopeKind, SubjectKind, Permission)


def _one_of(kind: type[K]) -> Callable[[str, Any], K]:
    def read(where: str, value: Any) -> K:
        try:
            return kind(value)
        except ValueError:
            raise BodyError(where, f"{where} must be one of {', '.join(kind)}.") from None

    return read


def _resource(where: str, value: Any) -> str:
    """A resource, group or verb of a rule; the core group is the empty text."""
    return "" if value == "" else bodies.text(where, value)


_TEXTS = bodies.listed(bodies.text)
_RULE = bodies.obj(
    (
        Field("verbs", _TEXTS),
        Field("apiGroups", bodies.listed(_resource), required=False, default=()),
        Field("resources", _TEXTS, required=False, default=()),
        Field("resourceNames", _TEXTS, required=False, default=()),
        Field("nonResourceURLs", _TEXTS, required=False, default=()),
    )
)


def _rule(where: str, value: Any) -> Rule:
    read = _RULE(where, value)
    rule = Rule(read["verbs"], read["apiGroups"], read["resources"], read["resourceNames"], read["nonResourceURLs"])
    resources, urls = bool(rule.resources and rule.api_groups), bool(rule.non_resource_urls)
    if not rule.verbs or resources == urls or (urls and (rule.resources or rule.api_groups or rule.resource_names)):
        raise BodyError(where, f"{where} needs verbs, and either apiGroups with resources or nonResourceURLs.")
    return rule


_SUBJECT = bodies.obj(
    (
        Field("kind", _one_of(SubjectKind)),
        Field("id", bodies.text),
        Field("issuer", bodies.text, required=False, default=""),
    )
)
_SCOPE = bodies.obj(
    (
        Field("kind", _one_of(ScopeKind)),
        Field("cluster_id", bodies.text, required=False, default=""),
        Field("labels", bodies.labels, required=False, default={}),
        Field("namespaces", _TEXTS, required=False, default=()),
    )
)


def _subject(where: str, value: Any) -> Subject:
    try:
        return Subject(**_SUBJECT(where, value))
    except BodyError:
        raise
    except ValueError as error:
        raise BodyError(where, f"{error}.") from None


def _scope(where: str, value: Any) -> Scope:
    read = _SCOPE(where, value)
    try:
        return Scope(**{**read, "labels": tuple(sorted(read["labels"].items()))})
    except ValueError as error:
        raise BodyError(where, f"{error}.") from None


async def list_roles(call: Call) -> Answer:
    roles = sorted(call.parts.snapshot().roles.values(), key=lambda it: it.name)
    return Answer(200, {"items": [render.role(it) for it in roles]})


async def create_role(call: Call) -> Answer:
    made = Role(ids.new_id("role"), **call.body, created_at=call.now)
    await call.parts.write(units.add_role(made, call.now))
    await note(
        call,
        EventType.ROLE_CREATED,
        role=made.name,
        role_id=made.id,
        groups=",".join(made.groups),
        permissions=",".join(made.permissions),
    )
    return Answer(201, render.role(made))


async def remove_role(call: Call) -> Answer:
    role = call.parts.snapshot().roles.get(call.path["role"])
    if role is None:
        raise ProblemError(problem(Code.ROLE_NOT_FOUND))
    await call.parts.write(units.remove_role(role.id, call.now))
    await note(call, EventType.ROLE_DELETED, role=role.name, role_id=role.id)
    return Answer(204)


async def list_bindings(call: Call) -> Answer:
    bindings = sorted(call.parts.snapshot().bindings.values(), key=lambda it: it.id)
    return Answer(200, {"items": [render.binding(it) for it in bindings]})


async def create_binding(call: Call) -> Answer:
    made = Binding(ids.new_id("binding"), **call.body, created_at=call.now)
    await call.parts.write(units.add_binding(made, call.now))
    await _note(call, EventType.ROLE_ASSIGNED, made)
    return Answer(201, render.binding(made))


async def remove_binding(call: Call) -> Answer:
    binding = call.parts.snapshot().bindings.get(call.path["binding"])
    if binding is None:
        raise ProblemError(problem(Code.ASSIGNMENT_NOT_FOUND))
    await call.parts.write(units.remove_binding(binding.id, call.now))
    await _note(call, EventType.ROLE_UNASSIGNED, binding)
    return Answer(204)


async def _note(call: Call, kind: EventType, binding: Binding) -> None:
    await note(
        call,
        kind,
        cluster=call.parts.snapshot().clusters.get(binding.scope.cluster_id),
        binding_id=binding.id,
        subject=f"{binding.subject.kind}:{binding.subject.id}",
        role_id=binding.role_id,
        scope=binding.scope.kind,
    )


ROUTES = (
    Route("GET", "roles", (Permission.ROLES_READ,), list_roles),
    Route(
        "POST",
        "roles",
        (Permission.ROLES_WRITE, Permission.ROLES_ESCALATE),
        create_role,
        body=(
            Field("name", bodies.name),
            Field("description", bodies.text, required=False, default=""),
            Field("groups", bodies.listed(kubernetes_name), required=False, default=()),
            Field("rules", bodies.listed(_rule), required=False, default=()),
            Field("permissions", bodies.listed(_one_of(Permission)), required=False, default=()),
        ),
    ),
    Route("DELETE", "roles/<role>", (Permission.ROLES_WRITE, Permission.ROLES_ESCALATE), remove_role),
    Route("GET", "bindings", (Permission.BINDINGS_READ,), list_bindings),
    Route(
        "POST",
        "bindings",
        (Permission.BINDINGS_WRITE, Permission.ROLES_ESCALATE),
        create_binding,
        body=(
            Field("subject", _subject),
            Field("role_id", bodies.text),
            Field("scope", _scope),
            Field("until", render.read_moment, required=False, default=None),
        ),
    ),
    Route("DELETE", "bindings/<binding>", (Permission.BINDINGS_WRITE, Permission.ROLES_ESCALATE), remove_binding),
)
