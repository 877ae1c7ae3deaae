"""A record's final form: ASCII JSON with the fields that are not empty, in three runs, of which most records share two.

`head` is who asks for what, `tail` by which right, `own` what is new each time: when, and what came of it. Rendering
never fails and never yields more than MAX_BODY_CHARS: a record that cannot be kept would stop the work. What a client
sent (paths, names, argv) is cut where a run would exceed its part of that, and the cut is visible.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from json.encoder import encode_basestring_ascii
from typing import Any

from appliance.core.events import AuditEvent, EventType

MAX_HEAD_CHARS = 8 * 1024  # ordinary ones have 300; only hostile paths come near
MAX_TAIL_CHARS = 16 * 1024  # ordinary ones have 200; only exec's argv and a thousand bindings come near
MAX_BODY_CHARS = (
    MAX_HEAD_CHARS + MAX_TAIL_CHARS + 4 * 1024
)  # two texts of its own, six characters each as JSON, and more
MAX_CUT_CHARS = 256  # what is left of each text of a record that was too long
LEAST_CUT_CHARS = 16  # if that is not enough, because what was sent takes six characters each as JSON
MAX_CUT_ITEMS = 16  # and of each list
CUT_MARK = "..."
MAX_REMEMBERED = 4_096  # rendered lists, and runs of fields that one client's requests share
MAX_REMEMBERED_CHARS = 1024 * 1024  # of each kind; with what they were made from four times as much

_ENCODE = json.JSONEncoder(ensure_ascii=True, check_circular=False, separators=(",", ":"), default=str).encode
_LOOKED_UP = ("actor_id", "cluster_id")  # cut no shorter than a filter may ask for
_KEYS = tuple(f'"{name}":' for name in AuditEvent._fields)


def body(head: str, own: str, tail: str) -> str:
    """The whole record as JSON."""
    return "{" + ",".join([run for run in (head, own, tail) if run]) + "}"


def own_text(event: AuditEvent) -> str:
    """The time, and from status to correlation_id."""
    time, status, code = event[0], event[14], event[15]
    bytes_in, bytes_out, duration, correlation_id = event[16], event[17], event[18], event[19]
    text = f'"time":{time}'
    if status:
        text += f',"status":{status}'
    if code:
        text += ',"code":' + encode_basestring_ascii(_cut_text(code))
    if bytes_in:
        text += f',"bytes_in":{bytes_in}'
    if bytes_out:
        text += f',"bytes_out":{bytes_out}'
    if duration:
        text += f',"duration":{duration}'
    if correlation_id:
        text += ',"correlation_id":' + encode_basestring_ascii(_cut_text(correlation_id))
    return text


def head_text(values: tuple[object, ...]) -> tuple[str, int]:
    """From type to path: who asks for what. With it, how long it was before it was cut."""
    return _bounded(1, values, MAX_HEAD_CHARS)


def tail_text(values: tuple[object, ...]) -> tuple[str, int]:
    """From credential_id to tunnel_session: by which right. With it, how long it was before it was cut."""
    return _bounded(20, values, MAX_TAIL_CHARS)


def _bounded(start: int, values: tuple[object, ...], most: int) -> tuple[str, int]:
    text = _run(start, values)
    whole = len(text)
    names = AuditEvent._fields[start : start + len(values)]
    for chars in (MAX_CUT_CHARS, LEAST_CUT_CHARS):
        if len(text) > most:
            kept = [
                _cut(value, MAX_CUT_CHARS if name in _LOOKED_UP else chars)
                for name, value in zip(names, values, strict=True)
            ]
            text = _run(start, tuple(kept))
    return text, whole


def _run(start: int, values: tuple[object, ...]) -> str:
    """The fields from number `start` on, those that are not empty."""
    return ",".join([_KEYS[start + place] + _value(value) for place, value in enumerate(values) if value])


def _value(value: object) -> str:
    """One field as `_ENCODE` would have it, at half the cost: most are plain texts, numbers, or lists seen before."""
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)  # type: ignore[arg-type]  # `kind` says that it is one
    if kind is int:
        return repr(value)
    if kind is EventType:
        return f'"{value}"'
    return _lists.text(value)


class _Remembered:
    """What was rendered before; of what no body has room for, enough to see that."""

    def __init__(self, render: Callable[[Any], str]) -> None:
        self._render = render
        self._known: dict[object, str] = {}
        self._chars = 0

    def text(self, value: object) -> str:
        known = self._known.get(value)
        if known is None:
            text = self._render(value)
            self._chars += len(text)
            if len(self._known) >= MAX_REMEMBERED or self._chars > MAX_REMEMBERED_CHARS:
                self._known.clear()
                self._chars = len(text)
            known = self._known[value] = text[: MAX_BODY_CHARS + 1]
        return known


_lists = _Remembered(_ENCODE)


def parse(text: str) -> AuditEvent:
    """The event of a body. Raises ValueError for anything that is none."""
    try:
        found = json.loads(text)
        found["type"] = EventType(found["type"])
        for name in ("binding_ids", "groups", "command"):
            found[name] = tuple(found.get(name, ()))
        found["details"] = tuple((str(key), str(value)) for key, value in found.get("details", ()))
        event = AuditEvent(**found)
        if type(event.time) is not int:
            raise TypeError("its time is no number")
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not an audit record: {error}") from None
    return event


def _cut_text(text: str) -> str:
    return text if len(text) <= MAX_CUT_CHARS else text[:MAX_CUT_CHARS] + CUT_MARK


def _cut(value: Any, chars: int) -> Any:
    if isinstance(value, EventType):
        return value
    if isinstance(value, str) and len(value) > chars:
        return value[:chars] + CUT_MARK
    if isinstance(value, tuple) and value:
        kept = tuple([_cut(item, chars) for item in value[:MAX_CUT_ITEMS]])
        if len(value) <= MAX_CUT_ITEMS:
            return kept
        return (*kept, CUT_MARK if isinstance(value[0], str) else (CUT_MARK, ""))
    return value
