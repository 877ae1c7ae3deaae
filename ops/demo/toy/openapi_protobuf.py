"""Encodes an OpenAPI 2 document as the protobuf message `openapi.v2.Document`, which kubectl asks for.

Only what `openapi` writes is encoded. Field numbers are those of the gnostic project's OpenAPIv2.proto.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_VARINT, _LENGTH = 0, 2


def encode(document: Mapping[str, Any]) -> bytes:
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    paths = b"".join(_part(2, _named(path, _path_item(item))) for path, item in document["paths"].items())
    definitions = b"".join(_part(1, _named(name, _schema(one))) for name, one in document["definitions"].items())
    return _text(1, document["swagger"]) + _part(2, info) + _part(8, paths) + _part(9, definitions)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _part(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(content)) + content


def _text(number: int, content: str) -> bytes:
    return _part(number, content.encode())


def _true(number: int) -> bytes:
    return _varint(number << 3 | _VARINT) + b"\x01"


def _named(name: str, value: bytes) -> bytes:
    return _text(1, name) + _part(2, value)


def _any(value: Any) -> bytes:
    return _text(2, json.dumps(value))  # the message holds YAML, of which JSON is a part


def _extensions(number: int, source: Mapping[str, Any]) -> bytes:
    return b"".join(_part(number, _named(key, _any(value))) for key, value in source.items() if key.startswith("x-"))


_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}


def _path_item(item: Mapping[str, Any]) -> bytes:
    return b"".join(_part(_METHODS[method], _operation(operation)) for method, operation in item.items())


def _operation(operation: Mapping[str, Any]) -> bytes:
    parameters = b"".join(_part(8, _query_parameter(one)) for one in operation["parameters"])
    answers = b""
    for code, answer in operation["responses"].items():
        response = _part(1, _text(1, answer["description"]))
        answers += _part(1, _named(code, response))
    return _text(5, operation["operationId"]) + parameters + _part(9, answers) + _extensions(13, operation)


def _query_parameter(parameter: Mapping[str, Any]) -> bytes:
    query = _text(2, parameter["in"]) + _text(4, parameter["name"]) + _text(6, parameter["type"])
    if parameter.get("uniqueItems"):
        query += _true(20)
    # ParametersItem.parameter > Parameter.non_body_parameter > NonBodyParameter.query_parameter_sub_schema
    return _part(1, _part(2, _part(3, query)))


def _schema(schema: Mapping[str, Any]) -> bytes:
    out = b""
    for key, number in (("$ref", 1), ("format", 2), ("description", 4)):
        if key in schema:
            out += _text(number, schema[key])
    out += b"".join(_text(19, name) for name in schema.get("required", ()))
    if "additionalProperties" in schema:
        out += _part(21, _part(1, _schema(schema["additionalProperties"])))
    if "type" in schema:
        out += _part(22, _text(1, schema["type"]))
    if "items" in schema:
        out += _part(23, _part(1, _schema(schema["items"])))
    if "properties" in schema:
        entries = schema["properties"].items()
        out += _part(25, b"".join(_part(1, _named(name, _schema(one))) for name, one in entries))
    return out + _extensions(31, schema)
