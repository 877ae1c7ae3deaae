"""get and list."""

from __future__ import annotations

import base64
import binascii
import json

from ops.demo.toy.exchange import Exchange
from ops.demo.toy.negotiation import OF_LIST, OF_OBJECT, OF_WATCH, choose
from ops.demo.toy.selectors import Predicate, parse_fields, parse_labels
from ops.demo.toy.statuses import Object, bad_request, expired
from ops.demo.toy.storage import Storage, key_of, too_large_version
from ops.demo.toy.tables import show_list, show_object
from ops.demo.toy.targets import Target
from ops.demo.toy.watches import serve as serve_watch


async def get(exchange: Exchange, storage: Storage, target: Target) -> None:
    """Answer one object."""
    form = choose(exchange.header("accept"), OF_OBJECT)
    place = target.place if target.resource.namespaced else ""
    obj = storage.get(target.resource, place, target.name)
    shown = show_object(form, target.resource, obj, exchange.parameter("includeObject", "Metadata"))
    await exchange.answer_json(200, shown, kind=form.content_type)


def wanted(exchange: Exchange) -> Predicate:
    """The objects a list, watch or deletecollection is limited to."""
    labels = parse_labels(exchange.parameter("labelSelector"))
    fields = parse_fields(exchange.parameter("fieldSelector"))
    return lambda obj: labels(obj) and fields(obj)


async def watch(exchange: Exchange, storage: Storage, target: Target) -> None:
    form = choose(exchange.header("accept"), OF_WATCH)
    await serve_watch(exchange, storage, target.resource, target.namespace, wanted(exchange), form)


async def list_objects(exchange: Exchange, storage: Storage, target: Target) -> None:
    """Answer a list, or a page of one."""
    form = choose(exchange.header("accept"), OF_LIST)
    _check_version(exchange, storage)
    chosen = [obj for obj in storage.list(target.resource, target.namespace) if wanted(exchange)(obj)]
    metadata: Object = {"resourceVersion": str(storage.version)}
    limit, token = exchange.number("limit"), exchange.parameter("continue")
    if token:
        version, after = _read_token(token)
        if version < storage.oldest_version(target.resource):
            raise expired("The provided continue parameter is too old to display a consistent list result.")
        metadata["resourceVersion"] = str(version)
        chosen = [obj for obj in chosen if key_of(obj) > after]
    if limit and len(chosen) > limit:
        rest = len(chosen) - limit
        chosen = chosen[:limit]
        metadata["continue"] = _token(int(metadata["resourceVersion"]), key_of(chosen[-1]))
        if not exchange.parameter("labelSelector") and not exchange.parameter("fieldSelector"):
            metadata["remainingItemCount"] = rest
    include = exchange.parameter("includeObject", "Metadata")
    shown = show_list(form, target.resource, chosen, metadata, include)
    await exchange.answer_json(200, shown, kind=form.content_type)


def _check_version(exchange: Exchange, storage: Storage) -> None:
    version = exchange.number("resourceVersion")
    if version is not None and version > storage.version:
        raise too_large_version(version, storage.version)


def _token(version: int, after: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *after]).encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(version), (str(namespace), str(name))
    except (ValueError, binascii.Error) as bad:
        raise bad_request("continue key is not valid") from bad
