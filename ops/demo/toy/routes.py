"""One request from head to answer: who asks, what for, may they, and who serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ops.demo.toy import discovery, logs, openapi, people, probes, readings, reads, reviews, scales, targets, writes
from ops.demo.toy.bodies import read_object
from ops.demo.toy.cluster import Cluster
from ops.demo.toy.exchange import Exchange
from ops.demo.toy.people import Action, Caller
from ops.demo.toy.statuses import ApiError, bad_request, no_such_path
from ops.demo.toy.streams import serve_upgrade
from ops.demo.toy.targets import Target
from ops.demo.toy.upgrade_seam import UPGRADED_SUBRESOURCES, UpgradeRequest

_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
_VERBS = {
    "create": writes.create,
    "get": reads.get,
    "list": reads.list_objects,
    "watch": reads.watch,
    "update": writes.update,
    "patch": writes.patch,
    "delete": writes.delete,
    "deletecollection": writes.delete_collection,
}


async def serve(exchange: Exchange, cluster: Cluster) -> bool:
    """Answer one request. True: the connection was handed to an upgrade and is over."""
    if exchange.path in _HEALTH:
        await exchange.answer(200, b"ok", "text/plain; charset=utf-8")
        return False
    caller = people.authenticate(exchange.headers, cluster.token)
    exchange.record.acts_as(caller)
    people.demand(caller, readings.action(exchange))  # before anything is said of what exists
    target = targets.read(exchange)
    if target is None:
        await _plain(exchange, cluster)
        return False
    if target.subresource in UPGRADED_SUBRESOURCES:
        people.demand(caller, _to_create(target))
        return await _upgrade(exchange, cluster, target)
    if not target.resource.stored:
        await _review(exchange, target, caller)
    elif target.subresource == "log":
        await logs.serve(exchange, cluster.storage, cluster.storage.get(target.resource, target.place, target.name))
    elif target.subresource == "eviction":
        await writes.evict(exchange, cluster.storage, target)
    elif target.subresource == "scale" and target.verb == "get":
        obj = cluster.storage.get(target.resource, target.place, target.name)
        await exchange.answer_json(200, scales.scale_of(obj))
    else:
        await _VERBS[target.verb](exchange, cluster.storage, target)
    return False


def _to_create(target: Target) -> Action:
    """exec, attach and port-forward also need the right to create, whatever the method, as from Kubernetes 1.35."""
    resource = target.resource
    return Action("create", resource.group, resource.plural, target.subresource, target.place, target.name)


async def _plain(exchange: Exchange, cluster: Cluster) -> None:
    path = exchange.path
    serve_path: dict[str, Callable[[Exchange], Awaitable[None]]] = {
        "api": discovery.serve,
        "apis": discovery.serve,
        "openapi": openapi.serve,
    }
    first = path.strip("/").split("/")[0]
    if first == "toy":
        await probes.serve(exchange, cluster.requests, cluster.storage)
    elif exchange.method not in {"GET", "HEAD"}:
        raise no_such_path()
    elif path == "/version":
        await exchange.answer_json(200, discovery.VERSION)
    elif first in serve_path:
        await serve_path[first](exchange)
    elif path == "/":
        await exchange.answer_json(200, {"paths": ["/api", "/apis", "/openapi/v2", "/openapi/v3", "/version"]})
    elif first in {"healthz", "livez", "readyz"}:
        await exchange.answer(200, b"ok", "text/plain; charset=utf-8")
    else:
        raise no_such_path()


async def _review(exchange: Exchange, target: Target, caller: Caller) -> None:
    resource = target.resource
    review = await read_object(exchange, resource.kind, resource.api_version)
    review = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": {}, **review}
    await exchange.answer_json(201, reviews.answer(resource.kind, review, caller))


async def _upgrade(exchange: Exchange, cluster: Cluster, target: Target) -> bool:
    pod = cluster.storage.get(target.resource, target.place, target.name)
    if pod["status"].get("phase") != "Running":
        raise ApiError(500, "InternalError", f"pod {target.name} is not running; its phase is {pod['status']['phase']}")
    connection = exchange.connection
    request = UpgradeRequest(
        method=exchange.method,
        target=exchange.target,
        headers=exchange.headers,
        query=exchange.query,
        namespace=target.place,
        name=target.name,
        subresource=target.subresource,
        pod=pod,
        already_read=await connection.hand_over(),
    )
    exchange.record.status = 101
    if await serve_upgrade(request, connection.stream, cluster.containers):
        return True
    raise bad_request("Upgrade request required")
