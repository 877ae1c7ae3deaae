"""Kubernetes protobuf, as bytes."""

from __future__ import annotations

import pytest

from ops.demo.toy.protobuf import decode
from ops.demo.toy.statuses import ApiError


def part(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def envelope(kind: bytes, message: bytes) -> bytes:
    return b"k8s\0" + part(1, part(1, b"v1") + part(2, kind)) + part(2, message)


def test_a_config_map() -> None:
    entry = part(1, b"high") + part(2, b"6")
    body = envelope(b"ConfigMap", part(1, part(1, b"tides") + part(3, b"") + part(8, b"")) + part(2, entry))
    expected = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tides"}, "data": {"high": "6"}}
    assert decode(body) == expected


def test_a_zero_that_could_be_absent_is_kept() -> None:
    assert decode(envelope(b"DeleteOptions", b"\x08\x00"))["gracePeriodSeconds"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"kind":"Pod"}',
        envelope(b"Unheard", b""),
        envelope(b"ConfigMap", part(1, part(1, b"tides"))[:-1]),
        envelope(b"ConfigMap", part(15, b"\x08\x01")),  # a field nobody knows, and it says something
    ],
)
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decode(body)
    assert refused.value.code == 400
