"""Reviews as kubectl writes them, in both forms."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.core.review_bodies import JSON, PROTOBUF, read


def field(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def envelope(kind: bytes, raw: bytes) -> bytes:
    return b"k8s\0" + field(1, field(1, b"authorization.k8s.io/v1") + field(2, kind)) + field(2, raw)


RESOURCE = b"".join(
    field(number, text)
    for number, text in enumerate((b"blue", b"get", b"apps", b"v1", b"deployments", b"scale", b"web"), start=1)
)
IGNORED = field(1, field(1, b"name")) + bytes([0x18, 0x96, 0x01]) + bytes([0x21]) + bytes(8) + bytes([0x2D]) + bytes(4)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (
            envelope(b"SelfSubjectAccessReview", IGNORED + field(2, field(1, RESOURCE)) + field(3, b"")),
            {
                "kind": "SelfSubjectAccessReview",
                "spec": {
                    "resourceAttributes": {
                        "namespace": "blue",
                        "verb": "get",
                        "group": "apps",
                        "version": "v1",
                        "resource": "deployments",
                        "subresource": "scale",
                        "name": "web",
                    }
                },
            },
        ),
        (
            envelope(b"SelfSubjectAccessReview", field(2, field(2, field(1, b"/metrics") + field(2, b"get")))),
            {
                "kind": "SelfSubjectAccessReview",
                "spec": {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}},
            },
        ),
        (
            envelope(b"SelfSubjectRulesReview", field(2, field(1, b"blue"))),
            {"kind": "SelfSubjectRulesReview", "spec": {"namespace": "blue"}},
        ),
    ],
)
def test_protobuf(body: bytes, document: dict[str, object]) -> None:
    assert read(body, PROTOBUF) == {"apiVersion": "authorization.k8s.io/v1", **document}
    assert read(body, b"Application/vnd.kubernetes.protobuf;stream=watch") == read(body, PROTOBUF)
    assert read(body, JSON) == {}
    for end in range(1, len(body)):
        assert set(read(body[:end], PROTOBUF)) <= {"apiVersion", "kind", "spec"}


def test_json() -> None:
    document = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": {"verb": "get"}}}
    body = json.dumps(document).encode()
    assert read(body, JSON) == read(body, b"application/json; charset=utf-8") == document
    assert read(body, b"application/yaml") == read(body, PROTOBUF) == {}


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 16_000, b'{"a":' * 3000])
def test_what_is_no_document(body: bytes) -> None:
    assert read(body, JSON) == {}


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff" * 40)
@example(field(1, field(2, b"SelfSubjectAccessReview")) + field(2, b"\x12\xff"))
@example(field(1, field(2, b"SelfSubjectAccessReview")) + field(2, field(2, field(1, field(2, b"\xff")))))
def test_nothing_is_raised(body: bytes) -> None:
    assert isinstance(read(b"k8s\0" + body, PROTOBUF), dict)
    assert isinstance(read(body, JSON), dict)
