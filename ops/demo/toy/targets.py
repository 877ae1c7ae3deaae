"""What a path means: which kind, namespace, object and sub-resource a request is about, and the verb it stands for."""

from __future__ import annotations

from dataclasses import dataclass

from ops.demo.toy import resources
from ops.demo.toy.exchange import Exchange
from ops.demo.toy.resources import NAMESPACES, Resource
from ops.demo.toy.statuses import ApiError, method_not_allowed

_OF_OBJECT = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
_OF_COLLECTION = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}


@dataclass(frozen=True, slots=True)
class Target:
    """A request's place in the API."""

    resource: Resource
    namespace: str | None  # None: all namespaces, or a kind without one
    name: str
    subresource: str
    verb: str

    @property
    def place(self) -> str:
        """The namespace under which objects are stored."""
        return self.namespace or ""


def read(exchange: Exchange) -> Target | None:
    """The target of a resource request; None for any other path. Raises 405 for a verb the resource has not."""
    steps = exchange.path.strip("/").split("/")
    if steps[:2] == ["api", "v1"] and len(steps) > 2:
        group, version, rest = "", "v1", steps[2:]
    elif steps[0] == "apis" and len(steps) > 3:
        group, version, rest = steps[1], steps[2], steps[3:]
    else:
        return None
    if rest[0] == "watch":  # the old form of ?watch=1
        rest = rest[1:]
        exchange.query["watch"] = ["1"]
    namespace = None
    if len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    resource = resources.find(group, version, rest[0]) if rest else None
    if resource is None or len(rest) > 3 or (namespace is not None and not resource.namespaced):
        return None
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if resource is NAMESPACES and name:
        namespace = name  # as the API server does: rights on a namespace are asked in it
    verb = _verb(exchange, name)
    if resource.namespaced and namespace is None and (name or verb not in {"list", "watch"}) and resource.stored:
        raise method_not_allowed()
    target = Target(resource, namespace, name, subresource, verb)
    _check_verb(target)
    return target


def _verb(exchange: Exchange, name: str) -> str:
    verb = (_OF_OBJECT if name else _OF_COLLECTION).get(exchange.method)
    if verb is None:
        raise method_not_allowed()
    if verb == "list" and exchange.flag("watch"):
        return "watch"
    return verb


def _check_verb(target: Target) -> None:
    if target.subresource:
        sub = target.resource.subresource(target.subresource)
        if sub is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource", {})
        if target.verb not in sub.verbs:
            raise method_not_allowed()
    elif target.verb not in target.resource.verbs or (target.verb == "create" and target.name):
        raise method_not_allowed()
