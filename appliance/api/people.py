"""People: make known, list, disable and enable again, delete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from appliance.api import bodies, render
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.events import EventType
from appliance.core.people import Person, name_fault
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.store import ids, issuing, units


def kubernetes_name(where: str, value: Any) -> str:
    """A user or group name that Kubernetes will see."""
    name = bodies.text(where, value)
    fault = name_fault(name)
    if fault is not None:
        raise BodyError(where, f"{fault}.")
    return name


def find(call: Call, name_or_id: str) -> Person:
    """The person a path or a body names."""
    snapshot = call.parts.snapshot()
    found = snapshot.people.get(name_or_id) or snapshot.person_by_name.get(name_or_id)
    if found is None:
        raise ProblemError(problem(Code.USER_NOT_FOUND))
    return found


async def listed(call: Call) -> Answer:
    people = sorted(call.parts.snapshot().people.values(), key=lambda it: it.name)
    return Answer(200, {"items": [render.person(it) for it in people]})


async def create(call: Call) -> Answer:
    body = call.body
    made = Person(
        ids.new_id("person"),
        body["issuer"],
        body["subject"],
        body["name"],
        email=body["email"],
        groups=body["groups"],
        created_at=call.now,
    )
    await call.parts.write(units.add_person(made, call.now))
    await note(call, EventType.PERSON_CREATED, person=made.name, person_id=made.id)
    return Answer(201, render.person(made))


async def disable(call: Call) -> Answer:
    """The person's credentials are refused from now on, those issued before for good; running streams end."""
    person = find(call, call.path["person"])
    edited = await call.parts.write(issuing.refuse_person(person.id, call.now, disable=True))
    await note(call, EventType.PERSON_DISABLED, person=edited.name, person_id=edited.id)
    return Answer(200, render.person(edited))


async def enable(call: Call) -> Answer:
    """New credentials may be issued again; the old ones stay refused."""
    person = find(call, call.path["person"])
    edited = await call.parts.write(units.set_person(person.id, lambda it: replace(it, enabled=True), call.now))
    await note(call, EventType.PERSON_ENABLED, person=edited.name, person_id=edited.id)
    return Answer(200, render.person(edited))


async def remove(call: Call) -> Answer:
    """With all that was bound to the person. Whoever takes the name afterwards is somebody else."""
    person = find(call, call.path["person"])
    await call.parts.write(units.remove_person(person.id, call.now))
    await note(call, EventType.PERSON_DELETED, person=person.name, person_id=person.id)
    return Answer(204)


ROUTES = (
    Route("GET", "people", (Permission.PEOPLE_READ,), listed),
    Route(
        "POST",
        "people",
        (Permission.PEOPLE_WRITE,),
        create,
        body=(
            Field("issuer", bodies.text),
            Field("subject", bodies.text),
            Field("name", kubernetes_name),
            Field("email", bodies.text, required=False, default=""),
            Field("groups", bodies.listed(bodies.text), required=False, default=()),
        ),
    ),
    Route("POST", "people/<person>/disable", (Permission.PEOPLE_WRITE,), disable, body=()),
    Route("POST", "people/<person>/enable", (Permission.PEOPLE_WRITE,), enable, body=()),
    Route("DELETE", "people/<person>", (Permission.PEOPLE_WRITE,), remove),
)
