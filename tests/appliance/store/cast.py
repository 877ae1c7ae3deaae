"""A store with people, machines and clusters in it, and a way to let units race on it."""

from __future__ import annotations

from typing import Any

import trio

from appliance.core.access import PENDING_SECONDS, SECOND, AccessRequest, RequestPolicy
from appliance.core.clusters import Cluster
from appliance.core.machines import MachineToken
from appliance.core.people import Machine, Person
from appliance.core.problems import Code, ProblemError
from appliance.core.rights import Principal
from appliance.core.roles import EVERYWHERE, Binding, Permission, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.store import ids, units
from appliance.store.store import Store
from appliance.store.unit import Unit

NOW = 1_800_000_000_000_000
HOUR = 3600 * SECOND
ISSUER = "https://login.example.com"
PROD = Cluster("cluster_prod", "prod", (("env", "prod"),), created_at=NOW)
DEV = Cluster("cluster_dev", "dev", created_at=NOW)
ANN = Person("person_ann", ISSUER, "1", "ann@example.com", "ann@example.com", ("dev",), created_at=NOW)
BEN = Person("person_ben", ISSUER, "2", "ben@example.com", "ben@example.com", created_at=NOW)
ON_PROD = Scope(ScopeKind.CLUSTER, PROD.id)
ON_DEV = Scope(ScopeKind.CLUSTER, DEV.id)
BY_LABEL = Scope(ScopeKind.LABELS, labels=(("env", "prod"),))
BLUE = Scope(ScopeKind.NAMESPACES, PROD.id, namespaces=("blue",))

ADMIN = Role("role_admin", "admin", permissions=tuple(Permission))
VIEWER = Role("role_viewer", "viewer", groups=("viewers",), rules=(Rule(("get",), ("",), ("pods",)),))
OPERATOR = Role("role_operator", "operator", groups=("operators",))


def person(it: Person) -> Subject:
    return Subject(SubjectKind.PERSON, it.id)


def group(name: str) -> Subject:
    return Subject(SubjectKind.GROUP, name, ISSUER)


async def cast(store: Store) -> None:
    """Two clusters, two people, three roles."""
    for unit in (
        units.add_cluster(PROD, NOW),
        units.add_cluster(DEV, NOW),
        units.add_person(ANN, NOW),
        units.add_person(BEN, NOW),
        units.add_role(ADMIN, NOW),
        units.add_role(VIEWER, NOW),
        units.add_role(OPERATOR, NOW),
    ):
        await store.write(unit)


async def machine(store: Store, name: str, *held: tuple[Role, Scope], until: int | None = None) -> Principal:
    """A machine with these roles in these scopes, given past every check."""
    made = Machine(f"machine_{name}", name, created_at=NOW)
    await store.write(units.add_machine(made, NOW))
    token = MachineToken(f"token_{name}", made.id, ids.token_hash(name), NOW * 2, created_at=NOW)
    await store.write(units.add_machine_token(token, NOW))
    subject = Subject(SubjectKind.MACHINE, made.id)
    for role, scope in held:
        if role.id not in store.snapshot.roles:
            await store.write(units.add_role(role, NOW))
        await store.write(units.add_binding(bound(subject, role, scope, until), NOW))
    return Principal(subject, name)


def may(*permissions: Permission) -> Role:
    """A role of these permissions whose holder may do nothing on a cluster."""
    name = "-".join(it.replace(":", "-") for it in permissions)
    nothing = (Rule(("none",), ("",), ("none",)),)
    return Role(f"role_{name}", name, rules=nothing, permissions=permissions)


def bound(subject: Subject, role: Role, scope: Scope = EVERYWHERE, until: int | None = None) -> Binding:
    return Binding(ids.new_id("binding"), subject, role.id, scope, until, created_at=NOW)


def policy(role: Role = VIEWER, scope: Scope = ON_PROD, **fields: Any) -> RequestPolicy:
    given: dict[str, Any] = {"askers": (person(ANN),), "max_seconds": 3600, "created_at": NOW, **fields}
    return RequestPolicy(ids.new_id("policy"), role.id, scope, **given)


def wish(of: RequestPolicy, asked_by: Principal, subject: Subject | None = None, **fields: Any) -> AccessRequest:
    given: dict[str, Any] = {
        "scope": of.scope,
        "seconds": 1800,
        "expires_at": NOW + PENDING_SECONDS * SECOND,
        "created_at": NOW,
        **fields,
    }
    return AccessRequest(ids.new_id("request"), of.id, subject or person(ANN), asked_by.subject, of.role_id, **given)


async def refused(store: Store, unit: Unit[Any]) -> Code:
    """With which code the unit was refused; that it left nothing is the caller's to look at."""
    try:
        await store.write(unit)
    except ProblemError as error:
        return error.problem.code
    raise AssertionError("it was not refused")


async def race(*rivals: tuple[Store, Unit[Any]]) -> list[Any]:
    """Starts them at the same moment; what each returned, or the code it was refused with, in their order."""
    outcomes: list[Any] = [None] * len(rivals)
    start = trio.Event()

    async def run(place: int, store: Store, unit: Unit[Any]) -> None:
        await start.wait()
        try:
            outcomes[place] = await store.write(unit)
        except ProblemError as error:
            outcomes[place] = error.problem.code

    async with trio.open_nursery() as nursery:
        for place, (store, unit) in enumerate(rivals):
            nursery.start_soon(run, place, store, unit)
        start.set()
    for store in {id(store): store for store, _ in rivals}.values():
        await store.poll()
    return outcomes
