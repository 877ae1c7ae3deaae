"""What a person who signed in may see and do about themselves: who they are, their sessions, their own credentials.

It takes no permission but their session. A cluster on which they hold nothing looks like one that is not there.
"""

from __future__ import annotations

from typing import Any

from appliance.api import bodies, credentials, pages, render, shapes
from appliance.api.bodies import Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Proof, Route
from appliance.api.sessions import live, shown
from appliance.core.clusters import Cluster
from appliance.core.events import EventType
from appliance.core.paging import ordered
from appliance.core.people import Person
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Binding, ScopeKind
from appliance.core.sessions import Login, Session
from appliance.store import sessions


async def who(call: Call) -> Answer:
    """The person, what they may do to the appliance somewhere, and the clusters they can reach."""
    person, (session, login) = _person(call), _held(call)
    permissions = sorted({str(it) for held in call.rights.held for it in held.role.permissions})
    return Answer(
        200,
        {
            **render.person(person),
            "permissions": permissions,
            "clusters": [it.name for it in _clusters(call, person)],
            "session": shown(session, login, person),
        },
    )


async def reachable(call: Call) -> Answer:
    """By name."""
    states, registered = call.parts.states(), call.parts.snapshot().registered

    def shown(it: Cluster) -> dict[str, Any]:
        return render.cluster(it, states.get(it.id), registered=it.id in registered, now=call.now)

    order = ordered(_clusters(call, _person(call)), lambda it: (it.name,))
    found, following = await pages.cut(call, pages.asked(call, "me/clusters", str), order, lambda _: True)
    live = _live(call, _person(call))
    return pages.answer([{**shown(it), "namespaces": _namespaces(live, it)} for it in found], following)


async def issue(call: Call) -> Answer:
    """A credential of their own, which ends with the session."""
    person, (session, login) = _person(call), _held(call)
    return await credentials.issue_own(call, person, login.ends_at, session.id, person=person.name)


async def listed(call: Call) -> Answer:
    return await live(call, call.caller.id)


async def end(call: Call) -> Answer:
    """One of their sessions, this one included, with the credentials got in it."""
    found = await call.parts.read(sessions.one(call.path["session"]))
    ended = False
    if found is not None and found.person_id == call.caller.id:
        ended = await call.parts.write(sessions.end(found.id, sessions.SIGNED_OUT, call.now))
    if not ended:
        raise ProblemError(problem(Code.SESSION_NOT_FOUND))
    await note(call, EventType.SESSION_ENDED, session=call.path["session"], why=sessions.SIGNED_OUT)
    return Answer(204)


def _person(call: Call) -> Person:
    found = call.parts.snapshot().people.get(call.caller.id)
    if found is None:
        raise ProblemError(problem(Code.USER_NOT_FOUND))
    return found


def _held(call: Call) -> tuple[Session, Login]:
    assert call.held is not None  # the edge has seen to it
    return call.held


def _clusters(call: Call, person: Person) -> list[Cluster]:
    """Those on which the person has a binding that has not ended, by name."""
    live = _live(call, person)
    known = call.parts.snapshot().clusters.values()
    return sorted((it for it in known if any(binding.scope.covers(it) for binding in live)), key=lambda it: it.name)


def _live(call: Call, person: Person) -> list[Binding]:
    return [it for it in call.parts.snapshot().bindings_of_person(person) if it.live(call.now)]


def _namespaces(live: list[Binding], cluster: Cluster) -> list[str] | None:
    """Those that the person's bindings reach there; None: all of them."""
    scopes = [it.scope for it in live if it.scope.covers(cluster)]
    if any(it.kind is not ScopeKind.NAMESPACES for it in scopes):
        return None
    return sorted({name for it in scopes for name in it.namespaces})


ROUTES = (
    Route("GET", "me", (), who, proof=Proof.SIGNED_IN, gives=shapes.Me),
    Route("GET", "me/clusters", (), reachable, query=pages.QUERY, proof=Proof.SIGNED_IN, gives=shapes.ReachableCluster),
    Route(
        "POST",
        "me/credentials",
        (),
        issue,
        body=(Field("cluster", bodies.text), *credentials.FORM),
        proof=Proof.SIGNED_IN,
        gives=shapes.NewCredential,
        status=201,
        refuses=(Code.CLUSTER_NOT_FOUND,),
    ),
    Route("GET", "me/sessions", (), listed, query=pages.QUERY, proof=Proof.SIGNED_IN, gives=shapes.Session),
    Route(
        "DELETE", "me/sessions/<session>", (), end, proof=Proof.SIGNED_IN, status=204, refuses=(Code.SESSION_NOT_FOUND,)
    ),
)
