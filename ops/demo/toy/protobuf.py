"""Reads request bodies in Kubernetes' protobuf form, which newer kubectl sends; answers stay JSON.

Only the messages of `protobuf_text` are known. A field beyond them that says anything is refused, never dropped: a
client would believe it was stored.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

from ops.demo.toy import clock
from ops.demo.toy.protobuf_text import TEXT
from ops.demo.toy.statuses import Object, bad_request

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def _read_text() -> dict[str, dict[int, tuple[str, str]]]:
    joined = re.sub(r"\n  ", " ", TEXT).strip()
    messages = {}
    for line in joined.splitlines():
        name, _, fields = line.partition(":")
        entries = [entry.split() for entry in fields.split(",") if entry.strip()]
        messages[name] = {int(number): (field, kind) for number, field, kind in entries}
    return messages


MESSAGES = _read_text()


def decode(body: bytes) -> Object:
    """The object in a body. Raises 400 for what cannot be read."""
    if not body.startswith(_MAGIC):
        raise bad_request("the body is not Kubernetes protobuf: it does not begin with its magic number")
    try:
        api_version, kind, raw = "", "", b""
        for number, value in _fields(body[len(_MAGIC) :]):
            if number == 1:
                names = {inner: bytes(text).decode() for inner, text in _fields(value)}
                api_version, kind = names.get(1, ""), names.get(2, "")
            elif number == 2:
                raw = bytes(value)
        if kind not in MESSAGES:
            raise bad_request(f"the toy cluster does not read {kind} as protobuf")
        return {"apiVersion": api_version, "kind": kind, **_message(kind, raw)}
    except (IndexError, UnicodeDecodeError, TypeError) as bad:
        raise bad_request(f"the protobuf body cannot be read: {bad}") from bad


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _fields(data: bytes | memoryview) -> Iterator[tuple[int, Any]]:
    """(number, value) of a message; a value is an int or a piece of bytes."""
    view, at = memoryview(data), 0
    while at < len(view):
        tag, at = _varint(view, at)
        if tag & 7 == _VARINT:
            value, at = _varint(view, at)
            yield tag >> 3, value - (1 << 64) if value >> 63 else value
            continue
        if tag & 7 == _LENGTH:
            size, at = _varint(view, at)
        elif tag & 7 in {_FIXED64, _FIXED32}:
            size = 8 if tag & 7 == _FIXED64 else 4
        else:
            raise IndexError(f"wire type {tag & 7}")
        if at + size > len(view):
            raise IndexError("a field reaches beyond its message")
        yield tag >> 3, view[at : at + size]
        at += size


def _message(name: str, data: bytes | memoryview) -> Object:
    known = MESSAGES[name]
    out: Object = {}
    for number, value in _fields(data):
        if number not in known:
            if _says_anything(value):
                raise bad_request(f"the toy cluster does not read field {number} of {name}")
            continue
        field, kind = known[number]
        if kind.startswith("[]"):
            out.setdefault(field, []).append(_value(kind[2:], value))
        elif kind.startswith("{}"):
            entry = dict(_fields(value))
            out.setdefault(field, {})[bytes(entry.get(1, b"")).decode()] = _value(kind[2:], entry.get(2, b""))
        elif kind.startswith("^"):
            out |= _message(kind[1:], value)
        else:
            read = _value(kind.lstrip("*"), value)
            if kind.startswith("*") or read not in (None, "", 0, False):
                out[field] = read
    return out


def _says_anything(value: Any) -> bool:
    """Messages of a Go client hold even empty fields; those do not count."""
    if isinstance(value, int):
        return value != 0
    try:
        return bool(len(value)) and any(_says_anything(inner) for _, inner in _fields(value))
    except IndexError:
        return True  # not a message: text


def _value(kind: str, value: Any) -> Any:
    if kind in {"int", "bool"}:
        return bool(value) if kind == "bool" else int(value)
    if kind == "string":
        return bytes(value).decode()
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "quantity":
        return bytes(dict(_fields(value)).get(1, b"")).decode()
    if kind == "intstr":
        parts = dict(_fields(value))
        return bytes(parts.get(3, b"")).decode() if parts.get(1) else parts.get(2, 0)
    if kind == "time":
        seconds = dict(_fields(value)).get(1)
        return None if seconds is None else clock.text(dt.datetime.fromtimestamp(seconds, dt.UTC))
    return _message(kind, value)
