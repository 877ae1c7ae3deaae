"""Frames: every layout, cut anywhere, mangled anywhere, and every refusal."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import frames
from wire.fields import UnsafeField
from wire.frames import Decoder, FrameError
from wire.heads import Identity, RequestHead, ResponseHead

HEADERS = ((b"Accept", b"*/*"), (b"X-Twice", b"1"), (b"X-Twice", b"2"))
OPEN = frames.Open(
    3,
    True,
    False,
    262144,
    RequestHead(b"POST", b"/api/v1/pods", HEADERS),
    Identity(b"a", b"1", (b"g",), ((b"k", b"v"),)),
)
HELLO = frames.Hello(1, 1, (), 262144, 2048, b"agent 1")

TRANSCRIPT: list[tuple[bytes, frames.Frame]] = [
    (frames.encode_hello(HELLO), HELLO),
    (frames.encode_open(OPEN), OPEN),
    (
        frames.encode_head(3, ResponseHead(200, HEADERS), b"{}", end=True),
        frames.Head(3, ResponseHead(200, HEADERS), b"{}", True),
    ),
    (frames.encode_data(3, b"x" * 16384), frames.Data(3, b"x" * 16384)),
    (frames.encode_end(3, HEADERS), frames.End(3, HEADERS)),
    (frames.encode_credit(3, 2**40), frames.Credit(3, 2**40)),
    (frames.encode_stop(3), frames.Stop(3)),
    (frames.encode_reset(3, 9, b"truncated"), frames.Reset(3, 9, b"truncated")),
    (frames.encode_ping(b"12345678"), frames.Ping(b"12345678")),
    (frames.encode_pong(b"12345678"), frames.Pong(b"12345678")),
    (frames.encode_drain(3), frames.Drain(3)),
    (frames.encode_note(b"\x80"), frames.Note(b"\x80")),
]
WIRE = b"".join(encoded for encoded, _ in TRANSCRIPT)
FRAMES = [frame for _, frame in TRANSCRIPT]


def decode(*pieces: bytes) -> list[frames.Frame]:
    decoder = Decoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)]


def test_read_whole() -> None:
    assert decode(WIRE) == FRAMES


def test_read_byte_by_byte() -> None:
    assert decode(*(WIRE[i : i + 1] for i in range(len(WIRE)))) == FRAMES


@given(st.lists(st.integers(0, len(WIRE)), max_size=12))
def test_read_cut_anywhere(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WIRE)]
    assert decode(*(WIRE[a:b] for a, b in zip(edges, edges[1:], strict=False))) == FRAMES


@given(st.integers(0, len(WIRE) - 1), st.binary(min_size=1, max_size=4))
def test_mangled_anywhere_is_frames_or_a_frame_error(position: int, junk: bytes) -> None:
    try:
        decode(WIRE[:position] + junk + WIRE[position + len(junk) :])
    except FrameError:
        pass


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_a_frame_error(junk: bytes) -> None:
    try:
        decode(junk)
    except FrameError:
        pass


def test_extra_elements_are_room_for_later_versions() -> None:
    assert decode(msgpack.packb((7, 3, "later", 1))) == [frames.Stop(3)]


def test_optional_kinds_are_skipped() -> None:
    assert decode(msgpack.packb((65, 3, b"?")), msgpack.packb((127, 0)), frames.encode_stop(3)) == [frames.Stop(3)]


def opening(
    *, method: bytes = b"GET", headers: bytes = b"", identity: bytes = msgpack.packb((b"u", b"", (), ()))
) -> bytes:
    return bytes(msgpack.packb((2, 3, 0, 65536, method, b"/", headers, identity)))


def test_a_block_is_read_alike_the_first_and_every_other_time() -> None:
    for _ in range(3):
        assert decode(opening(headers=b"a: b\r\nA:c \r\n")) == [
            frames.Open(3, False, False, 65536, RequestHead(b"GET", b"/", ((b"a", b"b"), (b"A", b"c"))), Identity(b"u"))
        ]


def test_more_blocks_than_are_remembered() -> None:
    for number in range(3000):
        assert decode(frames.encode_head(1, ResponseHead(200, ((b"X-Number", b"%d" % number),)), b"", end=True)) == [
            frames.Head(1, ResponseHead(200, ((b"X-Number", b"%d" % number),)), b"", True)
        ]
        user = Identity(b"user %d" % number)
        opened = frames.Open(3, False, False, 65536, RequestHead(b"GET", b"/", ((b"X", b"%d" % number),)), user)
        assert decode(frames.encode_open(opened)) == [opened]


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\x90"


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"\xc1", "not a frame"),
        (msgpack.packb(7), "array"),
        (msgpack.packb((7,)), "array"),
        (msgpack.packb({}), "frame"),
        (msgpack.packb({1: 2}), "not a frame"),
        (msgpack.packb(("7", 3)), "whole numbers"),
        (msgpack.packb((7.0, 3)), "whole numbers"),
        (msgpack.packb((True, 3)), "whole numbers"),
        (msgpack.packb((7, -1)), "whole numbers"),
        (msgpack.packb((7, 2**63)), "whole numbers"),
        (msgpack.packb((12, 3)), "unknown frame kind 12"),
        (msgpack.packb((128, 3)), "unknown frame kind 128"),
        (msgpack.packb((4, 3)), "cut short"),
        (msgpack.packb((4, 0, b"x")), "exchange 0"),
        (msgpack.packb((9, 1, b"x")), "exchange 1"),
        (msgpack.packb((4, 3, 5)), "wrong type"),
        (msgpack.packb((4, 3, b"")), "DATA empty"),
        (msgpack.packb((4, 3, b"x" * 16385)), "too long"),
        (msgpack.packb((64, 0, b"x" * 4097)), "note that long"),
        (msgpack.packb((64, 3, b"x")), "exchange 3"),
        (msgpack.packb((6, 3, -1)), "out of range"),
        (msgpack.packb((6, 3, True)), "wrong type"),
        (msgpack.packb((3, 3, 100, b"", b"", False)), "status 100"),
        (msgpack.packb((3, 3, 600, b"", b"", False)), "status 600"),
        (msgpack.packb((3, 3, 200, ((b"a", b"b"),), b"", False)), "wrong type"),
        (msgpack.packb((3, 3, 200, b"a", b"", False)), "line break"),
        (msgpack.packb((3, 3, 200, b"\r\n", b"", False)), "field lines"),
        (msgpack.packb((3, 3, 200, b"a: b\r\n\r\nHTTP/1.1 200 OK\r\n", b"", False)), "field lines"),
        (msgpack.packb((3, 3, 200, b"a: b\nc: d\r\n", b"", False)), "bare"),
        (msgpack.packb((3, 3, 200, b"a: \0\r\n", b"", False)), "control"),
        (msgpack.packb((3, 3, 200, b"a: b\r\n c\r\n", b"", False)), "field lines"),
        (msgpack.packb((5, 3, b"a b: c\r\n")), "field lines"),
        (opening(method=b""), "without method"),
        (opening(headers=b"a: b\r\n" * 257), "256"),
        (opening(identity=b""), "not msgpack"),
        (opening(identity=b"\xc1"), "not msgpack"),
        (opening(identity=msgpack.packb(7)), "array"),
        (opening(identity=msgpack.packb((b"u", b""))), "array"),
        (opening(identity=msgpack.packb((b"u", b"", (), {}))), "array"),
        (opening(identity=msgpack.packb((7, b"", (), ()))), "array"),
        (opening(identity=msgpack.packb((b"", b"", (), ()))), "user"),
        (opening(identity=msgpack.packb((b"u", b"", (b"g",) * 201, ()))), "groups"),
        (opening(identity=msgpack.packb((b"u", b"", (7,), ()))), "groups"),
        (opening(identity=msgpack.packb((b"u", b"", (), ((b"k",),)))), "extra"),
        (opening(identity=msgpack.packb((b"u", b"", (), (7,)))), "extra"),
        (opening(identity=nested(500)), "not msgpack|array"),
        (opening(identity=msgpack.packb((b"u", b"", (), ())) * 2), "not msgpack"),
        (msgpack.packb((9, 0, b"")), "token"),
        (msgpack.packb((9, 0, b"x" * 17)), "token"),
        (msgpack.packb((8, 3, 1, b"x" * 1025)), "sentence"),
        (msgpack.packb(msgpack.ExtType(4, b"x")), "frame"),
        (msgpack.packb(msgpack.ExtType(4, b"")), "array"),
        (nested(500), "frame"),
        (nested(100_000), "frame"),
        (b"\xdd\x7f\xff\xff\xff", "frame"),
    ],
)
def test_refused(wire: bytes, why: str) -> None:
    with pytest.raises(FrameError, match=why):
        decode(wire)


def test_an_unfinished_frame_is_bounded() -> None:
    """A head that never ends costs what a frame may be, and no more."""
    decoder = Decoder()
    headers = b"\xdc\x00\xff\x03\x03\xcc\xc8" + (b"\xc5\x80\x00" + bytes(32768)) * 8
    with pytest.raises(FrameError, match="longer"):
        for _ in range(10):
            list(decoder.feed(headers))


def test_an_open_without_a_user_is_not_encoded() -> None:
    nobody = frames.Open(1, False, False, 65536, RequestHead(b"GET", b"/"), Identity(b""))
    with pytest.raises(FrameError, match="user"):
        frames.encode_open(nobody)


@pytest.mark.parametrize(
    "pair", [(b"", b"v"), (b"A B", b"v"), (b"content_length", b"5"), (b"A", b"\x01"), (b"A", b"a\x7f")]
)
def test_what_a_receiver_would_not_take_is_not_encoded(pair: tuple[bytes, bytes]) -> None:
    """It would end the whole session there; here it ends one exchange."""
    opened = frames.Open(1, False, False, 65536, RequestHead(b"GET", b"/", (pair,)), Identity(b"u"))
    with pytest.raises(FrameError):
        frames.encode_open(opened)
    with pytest.raises(UnsafeField):
        frames.encode_head(1, ResponseHead(200, (pair,)), b"", end=True)
    with pytest.raises(UnsafeField):
        frames.encode_end(1, (pair,))


def test_more_headers_than_a_receiver_takes_are_not_encoded() -> None:
    many = tuple((b"A", b"%d" % number) for number in range(257))
    with pytest.raises(UnsafeField):
        frames.encode_head(1, ResponseHead(200, many), b"", end=True)
    with pytest.raises(UnsafeField):
        frames.encode_end(1, many)
