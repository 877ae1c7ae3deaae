"""OpenAPI documents made from the table of kinds and their schemas: version 3 as JSON, version 2 as JSON or protobuf.

They say enough for kubectl to explain kinds, to find out that the server validates fields, and to make patches; they
do not describe answers.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from ops.demo.toy import openapi_protobuf, resources
from ops.demo.toy.exchange import Exchange, dump
from ops.demo.toy.resources import Resource
from ops.demo.toy.schema import TYPES, Field, Shape, Type
from ops.demo.toy.statuses import Object, no_such_path

V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""Clients ask for it with an `@`, which is no legal media type; it is answered without, as API servers do."""

QUERY_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force", "pretty")

_SCALARS: dict[str, Object] = {
    "string": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "bool": {"type": "boolean"},
    "time": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
    "quantity": {"type": "string"},
    "intstr": {"type": "string", "format": "int-or-string"},
    "any": {"type": "object"},
}


async def serve(exchange: Exchange) -> None:
    """Answer /openapi/v2, /openapi/v3 and /openapi/v3/{group version}."""
    if exchange.path == "/openapi/v2":
        if "protobuf" in exchange.header("accept"):
            await exchange.answer(200, _v2_protobuf(), V2_PROTOBUF)
        else:
            await exchange.answer_json(200, _v2())
        return
    if exchange.path == "/openapi/v3":
        paths = {}
        for group in resources.groups():
            digest = hashlib.sha256(_v3(group)).hexdigest()[:32]
            paths[_prefix(group)[1:]] = {"serverRelativeURL": f"/openapi/v3{_prefix(group)}?hash={digest}"}
        await exchange.answer_json(200, {"paths": paths})
        return
    wanted = exchange.path.removeprefix("/openapi/v3")
    for group in resources.groups():
        if wanted == _prefix(group):
            await exchange.answer(200, _v3(group), "application/json")
            return
    raise no_such_path()


def _prefix(group: str) -> str:
    return f"/apis/{group}/v1" if group else "/api/v1"


@functools.cache
def _v3(group: str) -> bytes:
    schemas = {known.full_name: _schema(known, "#/components/schemas/", wrap=True) for known in TYPES.values()}
    document = {
        "openapi": "3.0.0",
        "info": {"title": "Toy cluster", "version": "v1.31.0"},
        "paths": _paths(group, v3=True),
        "components": {"schemas": schemas},
    }
    return dump(document)


@functools.cache
def _v2() -> Object:
    paths: Object = {}
    for group in resources.groups():
        paths |= _paths(group, v3=False)
    return {
        "swagger": "2.0",
        "info": {"title": "Toy cluster", "version": "v1.31.0"},
        "paths": paths,
        "definitions": {known.full_name: _schema(known, "#/definitions/", wrap=False) for known in TYPES.values()},
    }


@functools.cache
def _v2_protobuf() -> bytes:
    return openapi_protobuf.encode(_v2())


def _paths(group: str, *, v3: bool) -> Object:
    paths: Object = {}
    for resource in resources.of_group(group):
        base = _prefix(group) + ("/namespaces/{namespace}" if resource.namespaced else "")
        collection: Object = {"post": _operation(resource, "post", v3=v3)}
        if resource.stored:
            collection |= {"get": _operation(resource, "list", v3=v3)}
            paths[f"{base}/{resource.plural}/{{name}}"] = {
                "get": _operation(resource, "get", v3=v3),
                "put": _operation(resource, "put", v3=v3),
                "patch": _operation(resource, "patch", v3=v3),
                "delete": _operation(resource, "delete", v3=v3),
            }
            if resource.namespaced:
                everywhere = f"{_prefix(group)}/{resource.plural}"
                paths[everywhere] = {"get": _operation(resource, "list", v3=v3)}
        paths[f"{base}/{resource.plural}"] = collection
    return paths


def _operation(resource: Resource, action: str, *, v3: bool) -> Object:
    def parameter(name: str) -> Object:
        kind = {"type": "string", "uniqueItems": True}
        return {"name": name, "in": "query"} | ({"schema": kind} if v3 else kind)

    writes = action in {"post", "put", "patch"}
    return {
        "operationId": f"{action}{resource.kind}",
        "parameters": [parameter(name) for name in QUERY_PARAMETERS] if writes else [],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(resource),
    }


def _gvk(resource: Resource) -> Object:
    return {"group": resource.group, "kind": resource.kind, "version": resource.version}


def _schema(known: Type, prefix: str, *, wrap: bool) -> Object:
    properties = {name: _property(entry, prefix, wrap=wrap) for name, entry in sorted(known.fields.items())}
    schema: Object = {"description": known.text, "type": "object", "properties": properties}
    required = sorted(name for name, entry in known.fields.items() if entry.required)
    if required:
        schema["required"] = required
    kinds = [_gvk(resource) for resource in resources.STORED if resource.kind == known.name]
    if kinds:
        schema["x-kubernetes-group-version-kind"] = kinds
    return schema


def _property(entry: Field, prefix: str, *, wrap: bool) -> Object:
    shape = entry.shape
    if shape.form == "map":
        value: Object = {"type": "object", "additionalProperties": _value(shape.item(), prefix, wrap=wrap)}
    elif shape.form in {"list", "set", "keyed"}:
        value = {"type": "array", "items": _value(shape.item(), prefix, wrap=wrap)} | _list_kind(shape)
    else:
        value = _value(shape, prefix, wrap=wrap)
    if shape.retains:
        kept = value.get("x-kubernetes-patch-strategy")
        value = {**value, "x-kubernetes-patch-strategy": f"{kept},retainKeys" if kept else "retainKeys"}
    return {**value, "description": entry.text}


def _list_kind(shape: Shape) -> Object:
    if shape.form == "keyed":
        keyed: Object = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(shape.keys)}
        return keyed | {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": shape.keys[0]}
    if shape.form == "set":
        return {"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}
    return {"x-kubernetes-list-type": "atomic"}


def _value(shape: Shape, prefix: str, *, wrap: bool) -> dict[str, Any]:
    if shape.form == "object":
        reference = {"$ref": prefix + TYPES[shape.of].full_name}
        return {"allOf": [reference], "default": {}} if wrap else reference
    return dict(_SCALARS[shape.of])
