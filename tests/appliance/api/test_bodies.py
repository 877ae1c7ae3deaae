"""Bodies of the admin API: what passes, and which field each refusal names."""

from __future__ import annotations

import json

import pytest

from appliance.api import bodies
from appliance.api.bodies import BodyError, Field, parse

FIELDS = (
    Field("name", bodies.name),
    Field("note", bodies.text, required=False, default="none"),
    Field("count", bodies.whole(1, 10), required=False),
    Field("on", bodies.boolean, required=False, default=True),
    Field("labels", bodies.labels, required=False),
    Field("items", bodies.listed(bodies.obj((Field("id", bodies.text),))), required=False, default=()),
)


def test_a_minimal_body_gets_the_defaults() -> None:
    assert parse(b'{"name":"prod-eu"}', FIELDS) == {
        "name": "prod-eu", "note": "none", "count": None, "on": True, "labels": None, "items": (),
    }  # fmt: skip


def test_everything_given() -> None:
    given = {"name": "a", "note": "Größe", "count": 10, "on": False, "labels": {"env": "prod"}, "items": [{"id": "x"}]}

    assert parse(json.dumps(given).encode(), FIELDS) == {**given, "items": ({"id": "x"},)}


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b"[" * 60_000, ""),
        (b'{"name":"a","count":NaN}', ""),
        (b"{}", "name"),
        (b'{"name":"a","name":"b"}', "name"),
        (b'{"name":"a","colour":1}', "colour"),
        (b'{"name":"A"}', "name"),
        (b'{"name":"-a"}', "name"),
        (b'{"name":"a\\n"}', "name"),
        (b'{"name":1}', "name"),
        (b'{"name":"' + b"a" * 64 + b'"}', "name"),
        (b'{"name":"a","note":""}', "note"),
        (b'{"name":"a","note":"\\u0000"}', "note"),
        (b'{"name":"a","note":"\\u202e"}', "note"),
        (b'{"name":"a","count":true}', "count"),
        (b'{"name":"a","count":11}', "count"),
        (b'{"name":"a","count":1.0}', "count"),
        (b'{"name":"a","on":1}', "on"),
        (b'{"name":"a","labels":{"k":1}}', "labels.k"),
        (b'{"name":"a","items":{}}', "items"),
        (b'{"name":"a","items":[{"id":"x"},{}]}', "items[1].id"),
        (b'{"name":"a","items":[{"id":"x","more":1}]}', "items[0].more"),
    ],
)
def test_a_refusal_names_the_field(raw: bytes, field: str) -> None:
    with pytest.raises(BodyError) as caught:
        parse(raw, FIELDS)

    assert caught.value.field == field
    assert str(caught.value).endswith(".")
