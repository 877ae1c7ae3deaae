"""People: make known, list, change their e-mail and groups, disable and enable again, delete.

A person lies in no cluster, so these routes need their permission everywhere. Groups, and a verified e-mail that
something was bound to beforehand, give rights: whoever sets them gives what is bound to them.
"""

from __future__ import annotations

from dataclasses import replace

from appliance.api import bodies, pages, readers, render, shapes
from appliance.api.bodies import Field
from appliance.api.journal import note
from appliance.api.readers import kubernetes_name
from appliance.api.routes import Answer, Call, Route
from appliance.core.events import EventType
from appliance.core.people import Person
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.core.snapshot import Entity
from appliance.core.versions import Guarded
from appliance.store import granting, ids, refusing


def find(call: Call, name_or_id: str) -> Person:
    """The person a path or a body names."""
    snapshot = call.parts.snapshot()
    found = snapshot.people.get(name_or_id) or snapshot.person_by_name.get(name_or_id)
    if found is None:
        raise ProblemError(problem(Code.USER_NOT_FOUND))
    return found


async def listed(call: Call) -> Answer:
    """By name."""
    enabled, issuer, email, group = (call.query[name] for name in ("enabled", "issuer", "email", "group"))

    def seen(it: Person) -> bool:
        fits = (enabled is None or it.enabled is enabled) and (issuer is None or it.issuer == issuer)
        return fits and (email is None or it.email == email) and (group is None or group in it.groups)

    return await pages.page(
        call,
        Entity.PERSON,
        call.parts.snapshot().people.values(),
        lambda it: (it.name,),
        str,
        seen=seen,
        shown=render.person,
    )


async def one(call: Call) -> Answer:
    return Answer(200, render.person(find(call, call.path["person"])))


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
    by, verified = call.caller.subject, body["email_verified"]
    claimed = await call.parts.write(granting.add_person(by, made, call.now, email_verified=verified))
    await note(call, EventType.PERSON_CREATED, person=made.name, person_id=made.id, groups=",".join(made.groups))
    for binding in claimed:
        await note(call, EventType.BINDING_CLAIMED, binding_id=binding.id, person=made.name, person_id=made.id)
    return Answer(201, render.person(made))


async def update(call: Call) -> Answer:
    person = find(call, call.path["person"])
    changes = {name: value for name, value in call.body.items() if value is not None}
    edit: Guarded[Person] = call.guarded(lambda it: render.person(it)["etag"], lambda it: replace(it, **changes))
    edited = await call.parts.write(granting.set_person(call.caller.subject, person.id, edit, call.now))
    await note(call, EventType.PERSON_UPDATED, person=edited.name, person_id=edited.id, groups=",".join(edited.groups))
    return Answer(200, render.person(edited))


async def disable(call: Call) -> Answer:
    """The person's credentials are refused from now on, those issued before for good; running streams end."""
    person = find(call, call.path["person"])
    edited = await call.parts.write(refusing.disable_person(call.caller.subject, person.id, call.now))
    await note(call, EventType.PERSON_DISABLED, person=edited.name, person_id=edited.id)
    return Answer(200, render.person(edited))


async def enable(call: Call) -> Answer:
    """New credentials may be issued again, the old ones stay refused. It gives everything the person is bound to."""
    person = find(call, call.path["person"])
    edited = await call.parts.write(
        granting.set_person(call.caller.subject, person.id, lambda it: replace(it, enabled=True), call.now)
    )
    await note(call, EventType.PERSON_ENABLED, person=edited.name, person_id=edited.id)
    return Answer(200, render.person(edited))


async def remove(call: Call) -> Answer:
    """With all that was bound to the person or asked for them. Whoever takes the name afterwards is somebody else."""
    person = find(call, call.path["person"])
    await call.parts.write(refusing.remove_person(call.caller.subject, person.id, call.now))
    await note(call, EventType.PERSON_DELETED, person=person.name, person_id=person.id)
    return Answer(204)


ROUTES = (
    Route(
        "GET",
        "people",
        (Permission.PEOPLE_READ,),
        listed,
        query=(
            *pages.QUERY,
            Field("enabled", readers.flag, required=False),
            Field("issuer", readers.query_text, required=False),
            Field("email", readers.query_text, required=False),
            Field("group", readers.query_text, required=False),
        ),
        gives=shapes.Person,
    ),
    Route(
        "GET", "people/<person>", (Permission.PEOPLE_READ,), one, gives=shapes.Person, refuses=(Code.USER_NOT_FOUND,)
    ),
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
            Field("email_verified", bodies.boolean, required=False, default=False),
            Field("groups", bodies.listed(kubernetes_name), required=False, default=()),
        ),
        gives=shapes.Person,
        status=201,
        refuses=(Code.DUPLICATE_USER_NAME, Code.RESERVED_IDENTITY, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "PATCH",
        "people/<person>",
        (Permission.PEOPLE_WRITE,),
        update,
        body=(
            Field("email", bodies.text, required=False),
            Field("groups", bodies.listed(kubernetes_name), required=False),
        ),
        gives=shapes.Person,
        refuses=(Code.USER_NOT_FOUND, Code.LAST_ADMINISTRATOR, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "POST",
        "people/<person>/disable",
        (Permission.PEOPLE_WRITE,),
        disable,
        body=(),
        gives=shapes.Person,
        refuses=(Code.USER_NOT_FOUND, Code.LAST_ADMINISTRATOR),
    ),
    Route(
        "POST",
        "people/<person>/enable",
        (Permission.PEOPLE_WRITE,),
        enable,
        body=(),
        gives=shapes.Person,
        refuses=(Code.USER_NOT_FOUND, Code.LAST_ADMINISTRATOR, Code.ESCALATION_FORBIDDEN),
    ),
    Route(
        "DELETE",
        "people/<person>",
        (Permission.PEOPLE_WRITE,),
        remove,
        status=204,
        refuses=(Code.USER_NOT_FOUND, Code.LAST_ADMINISTRATOR),
    ),
)
