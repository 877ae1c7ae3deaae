"""Whether an answer is one that the API's document promises: its status, its type, every member, and the code."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jsonschema_rs import Draft202012Validator

from appliance.api import openapi
from appliance.api.table import ROUTES

DOCUMENT = openapi.document(ROUTES)
BY_PATTERN = [(route, re.compile(re.sub(r"<\w+>", "[^/]+", f"/fairlead/v1/{route.path}"))) for route in ROUTES]


@cache
def validator(method: str, path: str, status: int) -> Draft202012Validator | None:
    responses = DOCUMENT["paths"][re.sub(r"<(\w+)>", r"{\1}", f"/fairlead/v1/{path}")][method.lower()]["responses"]
    assert str(status) in responses, f"{method} {path} does not say that it answers {status}"
    content = responses[str(status)].get("content")
    if content is None:
        return None
    ((_, found),) = content.items()
    return Draft202012Validator({**found["schema"], "components": DOCUMENT["components"]}, validate_formats=True)


def held_to_the_document(method: str, path: str, status: int, content_type: str | None, body: Any) -> None:
    """Raises AssertionError, or ValidationError, when it is not."""
    asked = path.partition("?")[0]
    route = next((it for it, pattern in BY_PATTERN if it.method == method and pattern.fullmatch(asked)), None)
    if route is None or status == 500:  # no route of ours, or our own fault, which a test asks for on purpose
        return
    check = validator(method, route.path, status)
    if check is None:
        assert body is None
        return
    check.validate(body)
    if status < 300:
        assert (content_type, status) == ("application/json", route.status)
    else:
        assert content_type == "application/problem+json"
        assert body["code"] in openapi.refusals(route), f"{method} {route.path} does not say {body['code']}"
