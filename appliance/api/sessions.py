"""Sessions of everybody: list them, end one. A person lies in no cluster, so this needs its permission everywhere."""

from __future__ import annotations

from typing import Any

from appliance.api import pages, people, readers, render, shapes
from appliance.api.bodies import Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.events import EventType
from appliance.core.people import Person
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.core.sessions import Login, Session
from appliance.store import refusing, sessions

ENDED = "an administrator ended it"


def shown(it: Session, login: Login, person: Person | None) -> dict[str, Any]:
    """A session without its tokens, of which only digests are kept."""
    return {
        "id": it.id,
        "person_id": it.person_id,
        "person": person.name if person is not None else None,
        "client": str(it.client),
        "label": it.label,
        "address": it.address,
        "created_at": render.moment(it.created_at),
        "used_at": render.moment(it.used_at),
        "provider_id": login.provider_id or None,
        "provider_asked_at": render.moment(login.read_at),
        "ends_at": render.moment(login.ends_at),
    }


async def live(call: Call, person_id: str) -> Answer:
    """A page of those that are good now, the latest first; of one person, or (without an id) of all."""
    ask = pages.asked(call, "sessions", int, str)
    limit: int = call.query["limit"]
    held = await call.parts.read(sessions.page(person_id, ask.position(call.query["cursor"]), limit + 1))
    known = call.parts.snapshot().people
    page = [(it, login, known.get(it.person_id)) for it, login in held[:limit]]
    items = [shown(it, login, who) for it, login, who in page if it.fault(login, who, call.now) is None]
    following = ask.cursor((page[-1][0].created_at, page[-1][0].id)) if len(held) > limit else None
    return pages.answer(items, following)


async def listed(call: Call) -> Answer:
    """Of one person, or of all."""
    given = call.query["person"]
    return await live(call, people.find(call, given).id if given is not None else "")


async def end(call: Call) -> Answer:
    """With the credentials got in it; streams that rest on those end within two seconds."""
    found = await call.parts.read(sessions.one(call.path["session"]))
    if found is None or not await call.parts.write(
        refusing.end_session(call.caller.subject, found.id, ENDED, call.now)
    ):
        raise ProblemError(problem(Code.SESSION_NOT_FOUND))
    await note(call, EventType.SESSION_ENDED, session=found.id, person_id=found.person_id, why=ENDED)
    return Answer(204)


ROUTES = (
    Route(
        "GET",
        "sessions",
        (Permission.PEOPLE_READ,),
        listed,
        query=(*pages.QUERY, Field("person", readers.query_text, required=False)),
        gives=shapes.Session,
        refuses=(Code.USER_NOT_FOUND,),
    ),
    Route(
        "DELETE", "sessions/<session>", (Permission.PEOPLE_WRITE,), end, status=204, refuses=(Code.SESSION_NOT_FOUND,)
    ),
)
