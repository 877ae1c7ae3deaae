"""Why may or may not someone do something on a cluster, and who may: `explain` and `who-can`.

A question names a verb and a resource as kubectl does, or the path of a non-resource request; it is turned into the
request kubectl would send and read by the same code as such a request, so that the answer is about what would happen.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from urllib.parse import quote

import trio

from appliance.api import bodies, clusters, pages, people, readers, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.routes import Answer, Call, Route
from appliance.core import explain
from appliance.core.people import Person
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.core.snapshot import Entity
from wire.kube import Ask, BadTarget, understand


class Verb(StrEnum):
    """What kubectl may be asked to do."""

    GET = "get"
    LIST = "list"
    WATCH = "watch"
    CREATE = "create"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"
    DELETE_COLLECTION = "deletecollection"


_METHODS: Final = {
    Verb.CREATE: "POST",
    Verb.UPDATE: "PUT",
    Verb.PATCH: "PATCH",
    Verb.DELETE: "DELETE",
    Verb.DELETE_COLLECTION: "DELETE",
}
_NOUNS: Final = ("group", "resource", "subresource", "namespace", "name", "path")
_TARGET: Final = (
    Field("cluster", bodies.text),
    Field("verb", readers.one_of(Verb)),
    *(Field(name, bodies.text, required=False) for name in _NOUNS),
)


async def why(call: Call) -> Answer:
    """One person, one request, every binding that was looked at."""
    cluster = clusters.find(call, call.query["cluster"])
    ask = _ask(call)
    person = _person(call, cluster.id)
    told = explain.explain(call.parts.snapshot(), person, cluster, ask, call.now)
    # A binding that does not reach this cluster is shown to those who may see it anyway.
    shown = [it for it in told.considered if it.binding.scope.covers(cluster) or call.within(it.binding.scope)]
    return Answer(
        200,
        {
            "allowed": told.allowed,
            "reason": told.reason,
            "person": person.name,
            "cluster": cluster.name,
            "request": render.ask(ask),
            "groups": list(told.groups),
            "bindings": [
                {
                    **render.binding(it.binding),
                    "role": it.role.name if it.role is not None else "",
                    "allows": it.allows,
                    "verdict": str(it.verdict),
                }
                for it in shown
            ],
        },
    )


async def who(call: Call) -> Answer:
    """Everyone who may do it, and through which binding; of a large group not all are named (`truncated`)."""
    cluster, snapshot = clusters.find(call, call.query["cluster"]), call.parts.snapshot()
    ask = _ask(call)
    order = pages.order(call, Entity.BINDING, snapshot.bindings.values(), lambda it: (it.id,))
    letting, following = await pages.cut(
        call, pages.asked(call, "who-can", str), order, lambda it: explain.lets(snapshot, it, cluster, ask, call.now)
    )
    found = []
    for it in letting:
        await trio.lowlevel.checkpoint()  # a group is looked for among all people
        if it.role_id in snapshot.roles:  # meanwhile it may have been deleted
            found.append(explain.able(snapshot, it, cluster))
    return Answer(
        200,
        {
            "cluster": cluster.name,
            "request": render.ask(ask),
            "items": [
                {
                    **render.binding(it.binding),
                    "role": it.role.name,
                    "people": [{"id": person.id, "name": person.name} for person in it.people],
                    "truncated": it.truncated,
                }
                for it in found
            ],
            "next": following,
        },
    )


def _person(call: Call, cluster_id: str) -> Person:
    """Who may not list people is told only about those who hold something on the cluster."""
    person = people.find(call, call.query["person"])
    if not call.rights.everywhere(Permission.PEOPLE_READ) and not call.parts.snapshot().bindings_for(
        person.id, cluster_id
    ):
        raise ProblemError(problem(Code.USER_NOT_FOUND))
    return person


def _ask(call: Call) -> Ask:
    query = {name: value for name, value in call.query.items() if name in _NOUNS and value is not None}
    verb: Verb = call.query["verb"]
    method = _METHODS.get(verb, "GET")
    if "path" in query:
        if query.keys() & {"group", "resource", "subresource", "namespace", "name"}:
            raise BodyError("?path", "path stands alone: it is of a request that names no resource.")
        target = quote(query["path"], safe="/")
    else:
        target = _target(query, verb)
    try:
        ask = understand(method.encode(), target.encode())
    except BadTarget as error:
        raise BodyError("?path" if "path" in query else "?resource", error.sentence) from None
    if ask.is_resource is ("path" in query):
        raise BodyError("?path" if "path" in query else "?resource", "That is not what the request would be.")
    return ask


def _target(query: dict[str, str], verb: Verb) -> str:
    """The path kubectl would ask. The version does not matter to any decision."""
    resource = query.get("resource", "")
    if not resource:
        raise BodyError("?resource", "resource is required, or path.")
    group = query.get("group", "")
    parts = ["apis", group, "v1"] if group else ["api", "v1"]
    if "namespace" in query:
        parts += ["namespaces", query["namespace"]]
    parts.append(resource)
    if "name" in query:
        parts.append(query["name"])
    if "subresource" in query:
        if "name" not in query:
            raise BodyError("?name", "name is required with subresource.")
        parts.append(query["subresource"])
    target = "/" + "/".join(quote(part, safe="") for part in parts)
    return f"{target}?watch=true" if verb is Verb.WATCH else target


ROUTES = (
    Route(
        "GET",
        "explain",
        (Permission.BINDINGS_READ,),
        why,
        query=(*_TARGET, Field("person", bodies.text)),
        scoped=True,
        gives=shapes.Explanation,
        refuses=(Code.CLUSTER_NOT_FOUND, Code.USER_NOT_FOUND),
    ),
    Route(
        "GET",
        "who-can",
        (Permission.BINDINGS_READ,),
        who,
        query=(*pages.QUERY, *_TARGET),
        scoped=True,
        gives=shapes.WhoCan,
        refuses=(Code.CLUSTER_NOT_FOUND,),
    ),
)
