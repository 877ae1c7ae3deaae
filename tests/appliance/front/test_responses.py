"""Answers as bytes."""

from __future__ import annotations

import pytest

from appliance.front.responses import render
from wire.fields import UnsafeField
from wire.http1 import chunk, last_chunk


def test_an_answer_has_its_reason_its_headers_and_its_framing() -> None:
    assert render(200, ((b"A", b"b"),), chunked=True, close=True) == (
        b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    assert render(599, ()) == b"HTTP/1.1 599 \r\n\r\n"
    assert render(101, ((b"Upgrade", b"x"),), upgrade=True).endswith(b"Upgrade: x\r\nConnection: Upgrade\r\n\r\n")
    assert b"Connection: keep-alive" in render(200, (), http10=True)


@pytest.mark.parametrize("value", [b"a\r\nSet-Cookie: b", b"a\nb", b"a\rb", b"a\0b", b"\r\n\r\n<html>"])
def test_a_header_cannot_split_an_answer(value: bytes) -> None:
    with pytest.raises(UnsafeField):
        render(200, ((b"A", value),))
    with pytest.raises(UnsafeField):
        render(200, ((value, b"A"),))
    with pytest.raises(UnsafeField):
        last_chunk(((b"A", value),))


def test_chunks() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert last_chunk(((b"A", b"b"),)) == b"0\r\nA: b\r\n\r\n"
