"""The body of a self-review as a document, from JSON or from Kubernetes' protobuf, which kubectl sends since 1.32.

Pure. Of protobuf only the few messages of the two reviews are known, and of those only texts; what else stands in them
is skipped. Nothing is raised: a body that cannot be read is an empty document, and the API server says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

JSON: Final = b"application/json"
PROTOBUF: Final = b"application/vnd.kubernetes.protobuf"

Document = dict[str, Any]
Shape = Mapping[int, tuple[str, "Shape | None"]]

_MAGIC = b"k8s\0"
_NAMES = {1: ("apiVersion", None), 2: ("kind", None)}
_RESOURCE = {
    1: ("namespace", None),
    2: ("verb", None),
    3: ("group", None),
    4: ("version", None),
    5: ("resource", None),
    6: ("subresource", None),
    7: ("name", None),
}
_PATH = {1: ("path", None), 2: ("verb", None)}
_SHAPES: Mapping[str, Shape] = {
    "SelfSubjectAccessReview": {
        2: ("spec", {1: ("resourceAttributes", _RESOURCE), 2: ("nonResourceAttributes", _PATH)})
    },
    "SelfSubjectRulesReview": {2: ("spec", {1: ("namespace", None)})},
}

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def read(body: bytes, content_type: bytes) -> Document:
    """Return the document, empty if there is none."""
    kind = content_type.partition(b";")[0].strip().lower()
    try:
        document = _json(body) if kind == JSON else _protobuf(body) if kind == PROTOBUF else {}
    except (ValueError, RecursionError, IndexError):
        return {}
    return document if isinstance(document, dict) else {}


def _json(body: bytes) -> Any:
    return json.loads(body)


def _protobuf(body: bytes) -> Document:
    if not body.startswith(_MAGIC):
        return {}
    names: Document = {}
    raw = b""
    for number, value in _fields(body[len(_MAGIC) :]):
        if number == 1:
            names = _message(value, _NAMES)
        elif number == 2:
            raw = value
    shape = _SHAPES.get(names.get("kind", ""))
    return {} if shape is None else {**names, **_message(raw, shape)}


def _message(data: bytes, shape: Shape) -> Document:
    found: Document = {}
    for number, value in _fields(data):
        if number in shape:
            name, inner = shape[number]
            found[name] = value.decode("utf-8") if inner is None else _message(value, inner)
    return found


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and value of every field with a length; numbers are skipped."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            _, at = _varint(data, at)
            continue
        if kind == _LENGTH:
            size, at = _varint(data, at)
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(data):
            raise ValueError("a field reaches beyond its message")
        if kind == _LENGTH:
            yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for position in range(_MAX_VARINT_BYTES):
        byte = data[at + position]
        value |= (byte & 127) << (7 * position)
        if byte < 128:
            return value, at + position + 1
    raise ValueError("a number is too long")
