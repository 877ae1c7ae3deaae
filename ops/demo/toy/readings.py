"""What an API server's authorizer is asked about a request, before anybody looks whether such a resource exists.

The toy's own reading of a URL, shared with nobody: tests hold it against Fairlead's.
"""

from __future__ import annotations

from collections import deque

from ops.demo.toy.exchange import Exchange
from ops.demo.toy.people import Action
from ops.demo.toy.selectors import exact_name, parse_labels
from ops.demo.toy.statuses import ApiError

_SEGMENTS_WANTED = {"api": 2, "apis": 3}
"""After the prefix, for a request to be about a resource: version and resource, or group, version and resource."""

_BY_METHOD = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_WORDS = {"watch", "proxy"}
_OF_NAMESPACE = {"status", "finalize"}


def action(exchange: Exchange) -> Action:
    """The question for the authorizer. Raises 500, as an API server does, for a path that stops at a verb."""
    steps = deque(exchange.path.strip("/").split("/"))
    prefix = steps.popleft()
    if len(steps) < _SEGMENTS_WANTED.get(prefix, 1 << 31):
        return Action(exchange.method.lower(), path=exchange.path)
    group = steps.popleft() if prefix == "apis" else ""
    steps.popleft()  # the version is no part of the question
    verb = _BY_METHOD.get(exchange.method, "")
    if steps[0] in _WORDS:
        verb = steps.popleft()
        if not steps:
            raise ApiError(500, "InternalError", f"unable to determine kind and namespace from url, {exchange.path}")
    namespace = ""
    if steps[0] == "namespaces" and len(steps) >= 2:
        namespace = steps[1]
        if len(steps) >= 3 and steps[2] not in _OF_NAMESPACE:
            steps.popleft()
            steps.popleft()
    resource = steps.popleft()
    name = steps.popleft() if steps else ""
    subresource = steps.popleft() if steps and verb != "proxy" else ""
    if not name and verb == "delete":
        verb = "deletecollection"
    if not name and verb == "get":
        verb = "watch" if exchange.flag("watch") else "list"
        name = _selected(exchange)
    return Action(verb, group, resource, subresource, namespace, name)


def _selected(exchange: Exchange) -> str:
    """The one name a list is limited to; none unless all of its options can be read."""
    for option in ("limit", "timeoutSeconds"):
        if option in exchange.query and not exchange.parameter(option).lstrip("+-").isdecimal():
            return ""
    try:
        parse_labels(exchange.parameter("labelSelector"))
    except ApiError:
        return ""
    name = exact_name(exchange.parameter("fieldSelector"))
    return "" if name in {".", ".."} or "/" in name or "%" in name else name
