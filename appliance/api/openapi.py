"""The OpenAPI 3.1 document of the admin API, made of the table of routes and nothing else.

Bodies and filters are described by the very declarations that check them, answers by the types in `shapes`, refusals by
the catalogue. `python -m appliance.api.openapi` prints what stands in docs/openapi.json; a test holds that they agree.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from appliance.api import bodies
from appliance.api.examples import BODIES
from appliance.api.routes import PREFIX, Proof, Route
from appliance.api.schemas import COMPONENTS, schema
from appliance.core.problems import CATALOGUE, Code

OPENAPI: Final = "3.1.0"
API_VERSION: Final = "1"  # of the API, which is in its path; the program's own version is in the discovery document

#: What any route may answer: the edge refuses it before the route's own function is asked.
EVERYWHERE: Final = (
    Code.BAD_REQUEST,
    Code.VALIDATION_ERROR,
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.PAYLOAD_TOO_LARGE,
    Code.REQUEST_TIMEOUT,
    Code.RATE_LIMITED,
    Code.AUDIT_UNAVAILABLE,
    Code.STORE_STALE,
    Code.SHUTTING_DOWN,
)
WITH_TOKEN: Final = (
    Code.AUTHENTICATION_REQUIRED,
    Code.INVALID_TOKEN,
    Code.SESSION_ENDED,
    Code.SESSION_EXPIRED,
    Code.PERSON_DISABLED,
    Code.FORBIDDEN,
)
OF_LISTS: Final = (Code.INVALID_CURSOR,)
OF_CHANGES: Final = (Code.OUTCOME_UNKNOWN,)
CONDITIONAL: Final = (Code.PRECONDITION_REQUIRED, Code.PRECONDITION_FAILED)

#: What stands in each place of a path, with a value that looks like one.
PLACES: Final = {
    "cluster": ("The cluster's name or id.", "prod-eu"),
    "person": ("The person's name or id.", "ann@example.com"),
    "machine": ("The machine's name or id.", "backup"),
    "token": ("The id of one of its tokens.", "token_5d1c0e2f7a9b4c3d8e6f"),
    "rule": ("The trust rule's id.", "trust_5d1c0e2f7a9b4c3d8e6f"),
    "role": ("The role's name or id.", "viewer"),
    "binding": ("The binding's id.", "binding_5d1c0e2f7a9b4c3d8e6f"),
    "policy": ("The request policy's id.", "policy_5d1c0e2f7a9b4c3d8e6f"),
    "request": ("The access request's id.", "request_5d1c0e2f7a9b4c3d8e6f"),
    "credential": ("The credential's id.", "credential_5d1c0e2f7a9b4c3d8e6f"),
    "record": ("The audit record's id.", "1-1"),
    "provider": ("The provider's id.", "provider_5d1c0e2f7a9b4c3d8e6f"),
    "webhook": ("The webhook's id.", "webhook_5d1c0e2f7a9b4c3d8e6f"),
    "session": ("The session's id.", "session_5d1c0e2f7a9b4c3d8e6f"),
}

_PLACE: Final = re.compile(r"<(\w+)>")
_DONE: Final = {200: "As asked.", 201: "It was made.", 204: "It is done."}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document, always in the same order."""
    components: dict[str, Any] = {"Problem": _problem()}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(f"{PREFIX}/{_places(route.path)}", {})[route.method.lower()] = operation(route, components)
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "Fairlead admin API",
            "version": API_VERSION,
            "description": (
                "Times are RFC 3339 in UTC. A list answers page by page: `next` is the `cursor` of what follows, null "
                "at the end. Unknown members and unknown query parameters are refused. What a caller may not see "
                "looks like what is not there."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "the appliance that serves this document"}],
        "security": [{"token": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(_tag(route) for route in routes)],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "a session's access token, or a machine's"}
            },
            "schemas": dict(sorted(components.items())),
        },
    }


def refusals(route: Route) -> tuple[Code, ...]:
    """Every code that a call of this route may be refused with."""
    found = [*EVERYWHERE, *route.refuses]
    if route.proof is not Proof.SHOWN_IN_BODY:
        found += WITH_TOKEN
    if route.pages:
        found += OF_LISTS
    if route.conditional:
        found += CONDITIONAL
    if route.method != "GET":
        found += OF_CHANGES
    if "<" in route.path:
        found.append(Code.ROUTE_NOT_FOUND)
    return tuple(sorted(set(found)))


def operation(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    """What a route takes and gives. The schemas it names are added to `components`."""
    summary, description = _words(route)
    made: dict[str, Any] = {
        "operationId": f"{route.answer.__module__.rpartition('.')[2]}.{route.answer.__name__}",
        "tags": [_tag(route)],
        "summary": summary,
        "description": " ".join(part for part in (description, _rights(route)) if part),
        "parameters": [*_parameters(route)],
        "responses": _responses(route, components),
    }
    if route.body is not None:
        content: dict[str, Any] = {"schema": bodies.object_schema(route.body)}
        example = BODIES.get((route.method, route.path))
        if example is not None:
            content["example"] = example
        made["requestBody"] = {"required": True, "content": {"application/json": content}}
    if route.proof is Proof.SHOWN_IN_BODY:
        made["security"] = []
    return made


def _parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in _PLACE.findall(route.path):
        words, example = PLACES[name]
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": words,
            "schema": {"type": "string", "minLength": 1},
            "example": example,
        }
    for field in route.query:
        shown = {"name": field.name, "in": "query", "required": field.required, "schema": _with_default(field)}
        yield {**shown, "description": field.about} if field.about else shown
    if route.conditional:
        yield {
            "name": "If-Match",
            "in": "header",
            "required": True,
            "description": "The `etag` of what was read, or `*` for whatever is there.",
            "schema": {"type": "string"},
            "example": "*",
        }


def _with_default(field: bodies.Field) -> dict[str, Any]:
    plain = isinstance(field.default, str | int) and not field.required
    return {**field.read.schema, "default": field.default} if plain else dict(field.read.schema)


def _responses(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": _DONE[route.status]}
    if route.gives is not None:
        given = schema(route.gives, components)
        done["content"] = {"application/json": {"schema": _page(given) if route.pages and not _whole(route) else given}}
    found = {str(route.status): done}
    by_status: dict[int, list[Code]] = {}
    for code in refusals(route):
        by_status.setdefault(CATALOGUE[code][0], []).append(code)
    for status, codes in sorted(by_status.items()):
        found[str(status)] = {
            "description": ", ".join(codes),
            "content": {"application/problem+json": {"schema": {"$ref": f"{COMPONENTS}Problem"}}},
        }
    return found


def _whole(route: Route) -> bool:
    """Whether the type is that of the whole page, and not of what it lists."""
    return "items" in getattr(route.gives, "__annotations__", {})


def _page(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["items", "next"],
        "additionalProperties": False,
    }


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "RFC 9457. `code` is for programs and never changes; further members belong to the code.",
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "a page about the code"},
            "title": text,
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "what happened and what to do, for people"},
            "code": {"type": "string", "enum": sorted(CATALOGUE)},
            "correlation_id": text,
            "field": {"type": "string", "description": "the field at fault; `?name` is one of the query"},
        },
        "required": ["type", "title", "status", "detail", "code", "correlation_id"],
    }


def _tag(route: Route) -> str:
    return route.path.partition("/")[0]


def _words(route: Route) -> tuple[str, str]:
    """What the route is, and what its function says about itself."""
    return f"{route.method} {_places(route.path)}", " ".join((inspect.getdoc(route.answer) or "").split())


def _places(path: str) -> str:
    """With the places of a path as OpenAPI writes them."""
    return _PLACE.sub(r"{\1}", path)


def _rights(route: Route) -> str:
    match route.proof:
        case None:
            where = "in a scope that holds what it is about" if route.scoped else "everywhere"
            return f"Needs {' and '.join(f'`{it}`' for it in route.permissions)} {where}."
        case Proof.SIGNED_IN:
            return "For whoever signed in, about themselves."
        case Proof.MACHINE:
            return "For the machine whose token is shown."
        case Proof.SHOWN_IN_BODY:
            return "Takes no token but the one in the body."


def text(routes: Sequence[Route]) -> str:
    """The document as it is served and checked in."""
    return json.dumps(document(routes), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    from appliance.api.table import ROUTES

    sys.stdout.write(text(ROUTES))
