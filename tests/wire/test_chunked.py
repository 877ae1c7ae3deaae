"""Chunked bodies: the same body however the bytes are cut, and a bound on everything that is not body."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.chunked import (
    LAST_CHUNK,
    MAX_EXTENSION_BYTES,
    MAX_SIZE_LINE_BYTES,
    MAX_TRAILER_BYTES,
    MAX_TRAILERS,
    ChunkedReader,
    chunk,
    last_chunk,
)
from wire.fields import BadHead
from wire.heads import Headers


def read(*pieces: bytes) -> tuple[bytes, bool, bytes, Headers]:
    reader = ChunkedReader()
    body = b"".join([reader.feed(piece) for piece in pieces])
    return body, reader.done, reader.rest, reader.trailers


def cut_everywhere(raw: bytes) -> list[bytes]:
    return [raw[at : at + 1] for at in range(len(raw))]


BODIES = {
    "one chunk": (b"5\r\nhello\r\n0\r\n\r\n", b"hello", ()),
    "no chunk": (b"0\r\n\r\n", b"", ()),
    "two chunks": (b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc", ()),
    "hexadecimal in both cases": (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, ()),
    "leading zeros": (b"0003\r\nabc\r\n000\r\n\r\n", b"abc", ()),
    "CRLF in the body": (b"6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", b"\r\n0\r\n\r", ()),
    "extensions": (b'3;a=b;c="d e"\r\nabc\r\n0;last\r\n\r\n', b"abc", ()),
    "space before an extension": (b"3 ;a\r\nabc\r\n0\t;b\r\n\r\n", b"abc", ()),
    "trailers": (b"1\r\na\r\n0\r\nX-Sum: 1\r\nX-Two:  2 \r\n\r\n", b"a", ((b"X-Sum", b"1"), (b"X-Two", b"2"))),
    "forbidden trailers": (
        b"0\r\nContent-Length: 3\r\nHost: x\r\nTrailer: y\r\nAuthorization: z\r\nA: b\r\n\r\n",
        b"",
        ((b"A", b"b"),),
    ),
}


@pytest.mark.parametrize(("raw", "body", "trailers"), BODIES.values(), ids=BODIES)
def test_whole_byte_by_byte_and_with_bytes_behind(raw: bytes, body: bytes, trailers: Headers) -> None:
    assert read(raw) == (body, True, b"", trailers)
    assert read(*cut_everywhere(raw)) == (body, True, b"", trailers)
    assert read(raw + b"GET / HTTP/1.1\r\n") == (body, True, b"GET / HTTP/1.1\r\n", trailers)
    assert read(*cut_everywhere(raw + b"GET")) == (body, True, b"GET", trailers)


@pytest.mark.parametrize(("raw", "body", "trailers"), BODIES.values(), ids=BODIES)
def test_a_body_that_stops_early_is_not_done(raw: bytes, body: bytes, trailers: Headers) -> None:
    for length in range(len(raw)):
        got, done, rest, _ = read(raw[:length])
        assert body.startswith(got)
        assert (done, rest) == (False, b"")


REFUSED = {
    "no size": b"\r\n",
    "empty size with extension": b";a\r\n",
    "sign": b"+3\r\nabc\r\n",
    "minus": b"-3\r\nabc\r\n",
    "0x": b"0x3\r\nabc\r\n",
    "underscore": b"1_0\r\n",
    "not hexadecimal": b"g\r\n",
    "leading space": b" 3\r\nabc\r\n",
    "trailing space": b"3 \r\nabc\r\n",
    "sixteen digits": b"1" * 16 + b"\r\n",
    "bare LF after the size": b"3\nabc\r\n",
    "bare CR after the size": b"3\rabc\r\n",
    "bare LF in an extension": b"3;a\nb\r\nabc\r\n",
    "NUL in an extension": b"3;\0\r\nabc\r\n",
    "data longer than its size": b"3\r\nabcd\r\n",
    "bare LF after the data": b"3\r\nabc\n0\r\n\r\n",
    "data end begins wrong": b"3\r\nabc\rX",
    "long extension": b"3;" + b"a" * MAX_SIZE_LINE_BYTES + b"\r\n",
    "endless extension": b"3;" + b"a" * MAX_SIZE_LINE_BYTES,
    "endless zeros": b"0" * 2000,
    "trailer folded": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer without colon": b"0\r\nA\r\n\r\n",
    "trailer with a bare LF": b"0\r\nA: b\nC: d\r\n\r\n",
    "endless trailers": b"0\r\n" + b"A: " + b"b" * MAX_TRAILER_BYTES,
    "many trailers": b"0\r\n" + b"A: b\r\n" * (MAX_TRAILERS + 1) + b"\r\n",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_a_refused_body(raw: bytes) -> None:
    with pytest.raises(BadHead):
        read(raw)
    with pytest.raises(BadHead):
        read(*cut_everywhere(raw))


def test_extensions_are_bounded_in_sum() -> None:
    extension = b";" + b"a" * 999
    reader = ChunkedReader()
    for _ in range(MAX_EXTENSION_BYTES // 1000):
        assert reader.feed(b"1" + extension + b"\r\nx\r\n") == b"x"
    with pytest.raises(BadHead, match="extensions"):
        reader.feed(b"1" + extension + b"\r\nx\r\n")


def test_body_bytes_are_not_held_back() -> None:
    reader = ChunkedReader()
    assert reader.feed(b"ffffff\r\nabc") == b"abc"
    assert reader.feed(b"def") == b"def"


def test_what_is_written_is_read() -> None:
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert chunk(b"") == b""
    assert last_chunk(((b"X-Sum", b"1"),)) == b"0\r\nX-Sum: 1\r\n\r\n"
    assert last_chunk(()) == LAST_CHUNK
    with pytest.raises(ValueError, match="header"):
        last_chunk(((b"X", b"1\r\n\r\nGET / HTTP/1.1"),))


@given(st.lists(st.binary(max_size=40), max_size=8), st.binary(max_size=10), st.data())
def test_cut_anywhere(parts: list[bytes], behind: bytes, data: st.DataObject) -> None:
    raw = b"".join([chunk(part) for part in parts]) + last_chunk(((b"A", b"b"),)) + behind
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert read(*pieces) == (b"".join(parts), True, behind, ((b"A", b"b"),))


@given(st.lists(st.one_of(st.binary(max_size=8), st.sampled_from([b"\r\n", b"0\r\n", b"3;x\r\n", b"A: b\r\n"]))))
def test_noise_is_read_the_same_whole_and_in_bytes(noise: list[bytes]) -> None:
    raw = b"".join(noise)
    outcomes = []
    for pieces in ([raw], cut_everywhere(raw)):
        outcome = None
        with contextlib.suppress(BadHead):
            outcome = read(*pieces)
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]
