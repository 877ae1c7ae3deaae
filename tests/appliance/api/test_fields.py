"""Every field of every body wrong in turn, as its declaration says what is right: refused by name, nothing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from appliance.api import bodies
from appliance.api.examples import BODIES
from appliance.api.table import ROUTES
from tests.appliance.api.rig import rig
from tests.appliance.api.world import contents, furnished, path

Schema = Mapping[str, Any]


def right(schema: Schema) -> Any:
    """Something small that fits, as far as a schema can say."""
    if "enum" in schema:
        return schema["enum"][0]
    if "oneOf" in schema:
        return right(schema["oneOf"][0])
    match schema["type"]:
        case "object":
            return {name: right(schema["properties"][name]) for name in schema.get("required", ())}
        case "array":
            return [right(schema["items"])] if schema.get("minItems") else []
        case "integer":
            return schema["minimum"]
        case "boolean":
            return True
    return "x"


def wrong(schema: Schema, example: Any = None) -> Iterator[Any]:
    """Values that the schema refuses, one for each thing it says; `example` is one that it does not."""
    if "oneOf" in schema:
        yield from (1, "", [1], [""], ["x"] * 9, {})
        return
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "null" not in kinds:
        yield None
    yield from (1.5, {"no": "such"} if "object" not in kinds or "properties" in schema else 7)
    match kinds[0]:
        case "string":
            yield from _wrong_texts(schema)
        case "integer":
            yield from (True, str(schema["minimum"]), schema["minimum"] - 1, schema["maximum"] + 1, 1 << 80)
        case "boolean":
            yield from (0, "true")
        case "array":
            yield from _wrong_lists(schema, example)
        case "object":
            yield from _wrong_objects(schema, example if isinstance(example, Mapping) else right(schema))


def _wrong_texts(schema: Schema) -> Iterator[Any]:
    yield from (7, ["x"], "x" * (schema.get("maxLength", 100) + 1))
    if schema.get("minLength") or "enum" in schema:
        yield ""
    if {"enum", "pattern", "format"} & schema.keys():
        yield from ("No such thing", "\x00")
    if "maxLength" in schema:
        yield "line\nline"


def _wrong_lists(schema: Schema, example: Any) -> Iterator[Any]:
    item = example[0] if example else right(schema["items"])
    yield from ("x", [item] * (schema["maxItems"] + 1))
    if schema.get("minItems"):
        yield []
    for value in wrong(schema["items"], item):
        yield [item, value]


def _wrong_objects(schema: Schema, example: Mapping[str, Any]) -> Iterator[Any]:
    yield [example]
    for name, part in schema.get("properties", {}).items():
        for value in wrong(part, example.get(name)):
            yield {**example, name: value}
    for name in schema.get("required", ()):
        yield {key: value for key, value in example.items() if key != name}
    if isinstance(schema.get("additionalProperties"), Mapping):
        for value in wrong(schema["additionalProperties"]):
            yield {"key": value}
        yield {"": "x"}


@pytest.mark.real_clock
async def test_every_field_wrong_in_turn(tmp_path: Path) -> None:
    missed: list[str] = []
    tried = 0
    async with rig(tmp_path) as api:
        world = await furnished(api)
        before = contents(api)
        for route in ROUTES:
            if not route.body:
                continue
            example = BODIES[route.method, route.path]
            whole = bodies.object_schema(route.body)
            tries = [({**example, "no_such_field": 1}, "no_such_field")]
            tries += [({k: v for k, v in example.items() if k != it}, it) for it in whole.get("required", ())]
            for name, schema in whole["properties"].items():
                tries += [({**example, name: value}, name) for value in wrong(schema, example.get(name))]
            for body, name in tries:
                tried += 1
                reply = await api.call(route.method, path(route), body, token=world.holder(route))
                field = str((reply.body or {}).get("field", ""))
                if reply.status not in {400, 422} or not (field == name or field.startswith((f"{name}.", f"{name}["))):
                    missed.append(
                        f"{route.method} {route.path} {str(body)[:120]} -> {reply.status} {field!r}, not {name}"
                    )
        assert not missed, "\n".join(missed[:40])
        assert tried > 700
        assert contents(api) == before
        assert not [it for it in api.recorded if it.type.name != "CREDENTIAL_ISSUE_FAILED"]


@pytest.mark.real_clock
async def test_a_body_that_is_none_changes_nothing_either(tmp_path: Path) -> None:
    async with rig(tmp_path) as api:
        world = await furnished(api)
        before = contents(api)
        for route in ROUTES:
            if route.method in {"GET", "DELETE"}:
                continue
            for raw, status in ((b"", 422), (b"[]", 422), (b"{", 422), (b'{"a":NaN}', 422), (b"x" * 70_000, 413)):
                asked = status if route.body is not None else (422 if raw and status != 413 else None)
                if asked is None:
                    continue
                reply = await api.call(route.method, path(route), raw=raw, token=world.holder(route))
                assert reply.status == asked, (route.path, raw[:10], reply.body)
            if route.body:
                form = await api.call(
                    route.method, path(route), raw=b"a=b", token=world.holder(route),
                    headers={"Content-Type": "application/x-www-form-urlencoded"},
                )  # fmt: skip
                assert form.status == 415
        assert contents(api) == before
