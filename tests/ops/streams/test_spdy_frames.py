"""Frames against bytes made by hand, cut anywhere, and garbage that must end in SpdyError and nothing else."""

from __future__ import annotations

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.demo.toy.streams.spdy_dictionary import SPDY_DICTIONARY
from ops.demo.toy.streams.spdy_frames import (
    MAX_CONTROL_BYTES,
    MAX_HEADER_BYTES,
    Data,
    Decoder,
    Encoder,
    Frame,
    GoAway,
    HeadersFrame,
    Ping,
    RstStream,
    Settings,
    SpdyError,
    SynReply,
    SynStream,
    WindowUpdate,
)

GOLDEN: list[tuple[Frame, str]] = [
    (Data(1, b"hi"), "00000001 00000002 6869"),
    (Data(1, b"", fin=True), "00000001 01000000"),
    (RstStream(3, 5), "80030003 00000008 00000003 00000005"),
    (Settings({7: 65536}), "80030004 0000000c 00000001 00000007 00010000"),
    (Ping(1), "80030006 00000004 00000001"),
    (GoAway(9, 0), "80030007 00000008 00000009 00000000"),
    (WindowUpdate(0, 32768), "80030009 00000008 00000000 00008000"),
]


def test_the_dictionary_is_the_one_of_the_protocol() -> None:
    assert len(SPDY_DICTIONARY) == 1423
    assert zlib.adler32(SPDY_DICTIONARY) == 0xE3C6A7C2


@pytest.mark.parametrize(("frame", "golden"), GOLDEN)
def test_golden_bytes_both_ways(frame: Frame, golden: str) -> None:
    raw = bytes.fromhex(golden)
    assert Encoder().encode(frame) == raw
    assert Decoder().receive(raw) == [frame]


def test_a_header_block_is_length_prefixed_text_under_zlib_with_the_dictionary() -> None:
    raw = Encoder().encode(SynStream(1, (("streamtype", "error"), ("port", "80"))))
    assert raw[:4] == bytes.fromhex("80030001")
    assert raw[8:18] == bytes.fromhex("00000001 00000000 0000")
    assert raw[18:20] == b"\x78\xbb"  # zlib, with FDICT
    assert raw[20:24] == bytes.fromhex("e3c6a7c2")
    plain = zlib.decompressobj(zdict=SPDY_DICTIONARY).decompress(raw[18:])
    assert plain == (b"\0\0\0\x02" + b"\0\0\0\x0astreamtype" + b"\0\0\0\x05error" + b"\0\0\0\x04port" + b"\0\0\0\x0280")


def test_names_become_lower_case_and_repeated_names_keep_their_values_in_order() -> None:
    raw = Encoder().encode(SynReply(1, (("X-A", "1"), ("x-b", "2"), ("x-a", "3"))))
    assert Decoder().receive(raw) == [SynReply(1, (("x-a", "1"), ("x-a", "3"), ("x-b", "2")))]


numbers = st.integers(1, 2**31 - 1)
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
blocks = st.dictionaries(names, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20), max_size=5)
headers = blocks.map(lambda block: tuple(block.items()))
frames = st.one_of(
    st.builds(Data, numbers, st.binary(max_size=300), st.booleans()),
    st.builds(SynStream, numbers, headers, st.booleans(), st.booleans(), st.integers(0, 2**31 - 1), st.integers(0, 7)),
    st.builds(SynReply, numbers, headers, st.booleans()),
    st.builds(HeadersFrame, numbers, headers, st.booleans()),
    st.builds(RstStream, numbers, st.integers(1, 11)),
    st.builds(Settings, st.dictionaries(st.integers(1, 8), st.integers(0, 2**32 - 1), max_size=4)),
    st.builds(Ping, numbers),
    st.builds(GoAway, numbers, st.integers(0, 2)),
    st.builds(WindowUpdate, st.integers(0, 2**31 - 1), numbers),
)


def joined(pieces: list[Frame]) -> list[Frame]:
    """DATA arrives in pieces when it was cut; put the pieces of a frame together again."""
    whole: list[Frame] = []
    for piece in pieces:
        match piece, whole[-1] if whole else None:
            case Data(number, data, fin), Data(last, before, False) if number == last and before and data:
                whole[-1] = Data(number, before + data, fin)
            case _:
                whole.append(piece)
    return whole


@given(sent=st.lists(frames, max_size=8), cuts=st.lists(st.integers(1, 40), max_size=30))
def test_any_frames_survive_any_cut(sent: list[Frame], cuts: list[int]) -> None:
    encoder, decoder = Encoder(), Decoder()
    raw = b"".join(encoder.encode(frame) for frame in sent)
    received: list[Frame] = []
    for cut in cuts:
        received += decoder.receive(raw[:cut])
        raw = raw[cut:]
    received += decoder.receive(raw)
    assert joined(received) == joined(sent)


@given(st.lists(frames, max_size=4), st.binary(max_size=200))
def test_garbage_ends_in_spdy_error_and_nothing_else(sent: list[Frame], junk: bytes) -> None:
    encoder, decoder = Encoder(), Decoder()
    decoder.receive(b"".join(encoder.encode(frame) for frame in sent))
    with contextlib.suppress(SpdyError):
        decoder.receive(junk)


def test_a_frame_of_unknown_type_is_skipped() -> None:
    assert Decoder().receive(bytes.fromhex("80030063 00000002 ffff 80030006 00000004 00000001")) == [Ping(1)]


@pytest.mark.parametrize(
    "raw",
    [
        bytes.fromhex("80020006 00000004 00000001"),  # SPDY/2
        bytes.fromhex("80030006 00000003 000000"),  # a short PING
        bytes.fromhex("80030004 00000004 00000009"),  # SETTINGS that promise more than they hold
        struct.pack(">II", 0x80030001, MAX_CONTROL_BYTES + 1),
        bytes.fromhex("80030002 00000008 00000001 78bb0000"),  # another dictionary
    ],
)
def test_what_is_not_spdy_is_refused(raw: bytes) -> None:
    with pytest.raises(SpdyError):
        Decoder().receive(raw)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\0\0\0\x01",
        b"\0\0\0\x01\0\0\0\x05ab",
        b"\0\0\0\x00trailing",
        b"\xff\xff\xff\xff\0\0\0\x01a\0\0\0\x01b",
        b"\0\0\0\x01\0\0\0\x01a" + struct.pack(">I", MAX_HEADER_BYTES * 4) + bytes(MAX_HEADER_BYTES * 4),
    ],
)
def test_a_header_block_that_lies_about_its_size_is_refused(plain: bytes) -> None:
    packer = zlib.compressobj(zdict=SPDY_DICTIONARY)
    block = packer.compress(plain) + packer.flush(zlib.Z_SYNC_FLUSH)
    raw = struct.pack(">III", 0x80030002, 4 + len(block), 1) + block
    with pytest.raises(SpdyError):
        Decoder().receive(raw)
