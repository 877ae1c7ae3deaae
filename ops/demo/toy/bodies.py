"""Request bodies: what object, patch or options a client sent, and which of its fields nobody knows."""

from __future__ import annotations

import json
from typing import Any

import yaml

from ops.demo.toy import protobuf
from ops.demo.toy.admission import unknown_fields
from ops.demo.toy.exchange import Exchange, Headers
from ops.demo.toy.resources import Resource
from ops.demo.toy.statuses import Object, bad_request, unsupported_media_type

_OBJECT_TYPES = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)


def media_type(exchange: Exchange) -> str:
    return exchange.header("content-type").partition(";")[0].strip().lower()


async def read_object(exchange: Exchange, kind: str, api_version: str) -> Object:
    """The body as an object of the expected kind; kind and version may be left out."""
    got = media_type(exchange) or "application/json"
    if got not in _OBJECT_TYPES:
        raise unsupported_media_type(got, _OBJECT_TYPES)
    body = await exchange.body()
    obj = protobuf.decode(body) if got == protobuf.MEDIA_TYPE else decode(body, yaml_too=got == "application/yaml")
    if not isinstance(obj, dict):
        raise bad_request("the object provided is not an object")
    for key, expected in (("kind", kind), ("apiVersion", api_version)):
        if obj.get(key, expected) != expected:
            message = f"the {key} in the data ({obj[key]}) does not match the expected {key} ({expected})"
            raise bad_request(message)
    return obj


async def read_options(exchange: Exchange) -> Object:
    """DeleteOptions from the body, if it has one, and from the query."""
    body = await exchange.body()
    if media_type(exchange) == protobuf.MEDIA_TYPE and body:
        options = protobuf.decode(body)
    else:
        options = decode(body) if body.strip() else {}
    if not isinstance(options, dict):
        raise bad_request("DeleteOptions is not an object")
    grace = exchange.number("gracePeriodSeconds")
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    for key in ("propagationPolicy", "dryRun"):
        if key in exchange.query:
            options[key] = exchange.query[key] if key == "dryRun" else exchange.parameter(key)
    return options


def decode(body: bytes, *, yaml_too: bool = False) -> Any:
    try:
        return yaml.safe_load(body) if yaml_too else json.loads(body)
    except (ValueError, yaml.YAMLError) as bad:
        raise bad_request(f"the object provided is not valid: {str(bad).splitlines()[0]}") from bad


def is_dry_run(exchange: Exchange) -> bool:
    given = exchange.query.get("dryRun", [])
    if given not in ([], ["All"]):
        raise bad_request(f'dryRun: Unsupported value: {given}: supported values: "All"')
    return bool(given)


def validate_fields(exchange: Exchange, resource: Resource, obj: Object) -> Headers:
    """Warnings for unknown fields, as the request's fieldValidation wants; raises 400 when it is Strict."""
    how = exchange.parameter("fieldValidation", "Warn")
    unknown = [] if how == "Ignore" else unknown_fields(resource, obj)
    if unknown and how == "Strict":
        raise bad_request("strict decoding error: " + ", ".join(unknown))
    return [("warning", f"299 - {json.dumps(text)}") for text in unknown]


def manager_of(exchange: Exchange) -> str:
    """Who a write is recorded under in managedFields."""
    return exchange.parameter("fieldManager") or exchange.header("user-agent").partition("/")[0] or "unknown"
