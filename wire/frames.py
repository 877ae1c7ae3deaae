"""The frames of the tunnel: their layouts, encoding, and a bounded incremental decoder. Pure.

Every frame is a msgpack array `[kind, exchange, ...]`; SPEC.md is the normative text. All text is raw bytes. The
decoder checks exact types and counts, ignores extra trailing elements of a known kind (room for later versions),
skips kinds 64-127 (optional by definition) and refuses everything else.

    HELLO  [1, 0, lowest, highest, capabilities, window, max_exchanges, name]
    OPEN   [2, id, flags, window, method, target, headers, identity]      headers, identity: blocks.py
    HEAD   [3, id, status, headers, body, end]
    DATA   [4, id, bytes]
    END    [5, id, trailers]
    CREDIT [6, id, offset]
    STOP   [7, id]
    RESET  [8, id, code, sentence]        id 0: the session ends
    PING   [9, 0, token]
    PONG   [10, 0, token]
    DRAIN  [11, 0, last_id]
    NOTE   [64, 0, body]                  optional: an end that does not know it skips it
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgpack

from wire.blocks import (
    MAX_BLOCK_BYTES,
    MAX_HEADERS,
    READ_HEADERS,
    READ_IDENTITIES,
    WRITTEN_HEADERS,
    WRITTEN_IDENTITIES,
    BadBlock,
    read_block,
)
from wire.fields import UnsafeField, render_fields
from wire.heads import Headers, Identity, RequestHead, ResponseHead

VERSION_LOWEST: Final = 1
VERSION_HIGHEST: Final = 1

MAX_DATA_BYTES: Final = 16 * 1024
"""One DATA frame. Small enough that sixty-four streams in turn keep a keystroke under a few milliseconds."""

MAX_HEAD_BYTES: Final = MAX_BLOCK_BYTES
"""One OPEN: the front takes 64 KiB of text, identity and msgpack add a little."""

MAX_FRAME_BYTES: Final = MAX_HEAD_BYTES + MAX_DATA_BYTES + 1024
"""What the decoder holds of one unfinished frame before it calls the peer hostile."""

MAX_ARRAY: Final = 256
"""Longest array in a frame; ours have eight elements."""

MAX_SENTENCE_BYTES: Final = 1024
MAX_TOKEN_BYTES: Final = 16
MAX_NOTE_BYTES: Final = 4096
"""What an end says of itself beside the exchanges: a dozen short texts."""

MAX_ID: Final = 2**63 - 1
MAX_OFFSET: Final = 2**63 - 1

_FEED_BYTES: Final = 256 * 1024
"""The most one `feed` may carry: what the driver gathers in one read."""

OPTIONAL_KINDS: Final = range(64, 128)


class ResetCode(IntEnum):
    """Why an exchange ended before its time. The sentence beside it is for people."""

    CANCELLED = 1  # the reader went away
    BUSY = 2  # not started: the peer holds as many exchanges as it will
    DRAINING = 3  # not started: the peer is leaving
    REFUSED = 4  # the cluster's guard said no
    UPSTREAM_UNREACHABLE = 5
    UPSTREAM_TLS = 6
    UPSTREAM_TIMEOUT = 7
    UPSTREAM_LOST = 8
    TRUNCATED = 9  # fewer or more bytes than promised
    INTERNAL = 10  # a defect of the sender's
    PROTOCOL = 11  # the receiver of this broke the protocol
    UPSTREAM_CREDENTIAL = 12  # the agent cannot read its own credential for the API server
    BAD_REQUEST = 13
    SESSION = 14  # the session ended under it


NOT_STARTED: Final = frozenset({ResetCode.BUSY, ResetCode.DRAINING})


class FrameError(Exception):
    """The peer sent something that is not a frame of this protocol. The session cannot go on."""


class Hello(NamedTuple):
    """First frame each way: which versions are spoken, the first window, and how many exchanges may be open."""

    lowest: int
    highest: int
    capabilities: tuple[bytes, ...]
    window: int
    max_exchanges: int
    name: bytes


@dataclass(init=False)
class Open:
    """The appliance asks for one exchange. `window`: how many body bytes of the answer may come before any CREDIT."""

    id: int
    has_body: bool
    upgrade: bool
    window: int
    head: RequestHead
    identity: Identity

    def __init__(
        self, number: int, has_body: bool, upgrade: bool, window: int, head: RequestHead, identity: Identity
    ) -> None:
        self.id = number
        self.has_body = has_body
        self.upgrade = upgrade
        self.window = window
        self.head = head
        self.identity = identity


@dataclass(init=False)
class Head:
    """The answer begins; a small answer is whole in it."""

    id: int
    head: ResponseHead
    body: bytes
    end: bool

    def __init__(self, number: int, head: ResponseHead, body: bytes, end: bool) -> None:
        self.id = number
        self.head = head
        self.body = body
        self.end = end


class Data(NamedTuple):
    """A piece of a body, or of raw bytes after an upgrade."""

    id: int
    payload: bytes


class End(NamedTuple):
    """Half-close. Trailers only with an answer."""

    id: int
    trailers: Headers


class Credit(NamedTuple):
    """The peer may send up to this absolute offset."""

    id: int
    offset: int


class Stop(NamedTuple):
    """The sender of this wants no more of the other direction."""

    id: int


class Reset(NamedTuple):
    """The exchange is over at once; id 0 is the session."""

    id: int
    code: int
    sentence: bytes


class Ping(NamedTuple):
    token: bytes


class Pong(NamedTuple):
    token: bytes


class Drain(NamedTuple):
    """The sender accepts no exchange above this id."""

    last_id: int


class Note(NamedTuple):
    """What the sender says of itself; `calls.decode` reads it. It asks for nothing, and is not answered."""

    body: bytes


Frame = Hello | Open | Head | Data | End | Credit | Stop | Reset | Ping | Pong | Drain | Note

_FLAG_BODY: Final = 1
_FLAG_UPGRADE: Final = 2

_pack = msgpack.Packer(use_bin_type=True, autoreset=True).pack


def encode_hello(hello: Hello) -> bytes:
    return _packed(
        (1, 0, hello.lowest, hello.highest, hello.capabilities, hello.window, hello.max_exchanges, hello.name)
    )


def encode_open(frame: Open) -> bytes:
    """Return an OPEN; FrameError when a receiver would not take it, because that would end the whole session."""
    head = frame.head
    flags = (_FLAG_BODY if frame.has_body else 0) | (_FLAG_UPGRADE if frame.upgrade else 0)
    try:
        who, headers = WRITTEN_IDENTITIES[frame.identity], WRITTEN_HEADERS[head.headers]
    except (BadBlock, UnsafeField) as error:
        raise FrameError(f"OPEN with {error}") from error
    packed = _packed((2, frame.id, flags, frame.window, head.method, head.target, headers, who))
    if len(packed) > MAX_HEAD_BYTES or len(head.headers) > MAX_HEADERS:
        raise FrameError("OPEN larger than a receiver takes")
    return packed


def encode_head(exchange_id: int, head: ResponseHead, body: bytes, end: bool) -> bytes:
    return _packed((3, exchange_id, head.status, _block(head.headers), body, end))


def encode_data(exchange_id: int, payload: bytes | bytearray | memoryview) -> bytes:
    return _packed((4, exchange_id, payload))


def encode_end(exchange_id: int, trailers: Headers = ()) -> bytes:
    return _packed((5, exchange_id, _block(trailers)))


def encode_credit(exchange_id: int, offset: int) -> bytes:
    return _packed((6, exchange_id, offset))


def encode_stop(exchange_id: int) -> bytes:
    return _packed((7, exchange_id))


def encode_reset(exchange_id: int, code: int, sentence: bytes) -> bytes:
    return _packed((8, exchange_id, code, sentence[:MAX_SENTENCE_BYTES]))


def encode_ping(token: bytes) -> bytes:
    return _packed((9, 0, token))


def encode_pong(token: bytes) -> bytes:
    return _packed((10, 0, token))


def encode_drain(last_id: int) -> bytes:
    return _packed((11, 0, last_id))


def encode_note(body: bytes) -> bytes:
    """Return a NOTE; FrameError when a receiver would not take it."""
    if len(body) > MAX_NOTE_BYTES:
        raise FrameError("a note longer than a receiver takes")
    return _packed((64, 0, body))


def _block(headers: Headers) -> bytes:
    """What a receiver would not take would end the whole session, so it is refused here."""
    block = render_fields(headers)
    if len(headers) > MAX_HEADERS or len(block) > MAX_HEAD_BYTES:
        raise UnsafeField("More headers than a receiver takes.")
    return block


def _packed(value: tuple[Any, ...]) -> bytes:
    packed: bytes = _pack(value)
    return packed


class Decoder:
    """Bytes in, frames out. After a FrameError nothing more may be asked of it."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(
            raw=True,
            use_list=False,
            strict_map_key=True,
            max_buffer_size=MAX_FRAME_BYTES + _FEED_BYTES,
            max_str_len=MAX_HEAD_BYTES,
            max_bin_len=MAX_HEAD_BYTES,
            max_array_len=MAX_ARRAY,
            max_map_len=0,
            max_ext_len=0,
        )
        self._fed = 0
        self._frame_start = 0  # offset at which the unfinished frame began

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes.

        Raises:
            FrameError: not a frame, too long, of an unknown kind, or of the wrong shape.

        """
        unpacker = self._unpacker
        view = memoryview(data)
        for start in range(0, len(view), _FEED_BYTES):
            piece = view[start : start + _FEED_BYTES]
            try:
                unpacker.feed(piece)
            except msgpack.BufferFull as full:
                raise FrameError("a frame is longer than any frame may be") from full
            self._fed += len(piece)
            while self._frame_start < self._fed:
                try:
                    value = unpacker.unpack()
                except msgpack.OutOfData:
                    break
                except (ValueError, msgpack.UnpackException, RecursionError) as error:
                    # msgpack has no common root for "malformed": FormatError, StackError and ExtraData are ValueErrors.
                    raise FrameError("bytes that are not a frame") from error
                self._frame_start = unpacker.tell()
                frame = _frame(value)
                if frame is not None:
                    yield frame
            if self._fed - self._frame_start > MAX_FRAME_BYTES:
                raise FrameError("a frame is longer than any frame may be")


def _frame(value: object) -> Frame | None:
    """Read one msgpack value as a frame; None is an optional kind we do not know."""
    if type(value) is not tuple or len(value) < 2:
        raise FrameError("a frame is an array of kind, exchange and more")
    kind, exchange_id = value[0], value[1]
    if type(kind) is not int or type(exchange_id) is not int or not 0 <= exchange_id <= MAX_ID:
        raise FrameError("kind and exchange are whole numbers")
    reader = _READERS.get(kind)
    if reader is None:
        if kind in OPTIONAL_KINDS:
            return None
        raise FrameError(f"unknown frame kind {kind}")
    shape, of_session, build = reader
    if len(value) < len(shape) + 2:
        raise FrameError(f"frame kind {kind} is cut short")
    if of_session is not None and (exchange_id == 0) is not of_session:
        raise FrameError(f"frame kind {kind} with exchange {exchange_id}")
    elements = value[2 : len(shape) + 2]
    if tuple(map(type, elements)) != shape:
        raise FrameError(f"frame kind {kind} has an element of the wrong type")
    for element in elements:
        if type(element) is int and not 0 <= element <= MAX_OFFSET:
            raise FrameError(f"frame kind {kind} has a number out of range")
    try:
        return build(value)
    except BadBlock as error:
        raise FrameError(f"frame kind {kind}: {error}") from error


def _hello(v: tuple[Any, ...]) -> Hello:
    if len(v[7]) > MAX_SENTENCE_BYTES:
        raise FrameError("a name that long is no name")
    return Hello(v[2], v[3], _byte_strings(v[4]), v[5], v[6], v[7])


def _open(v: tuple[Any, ...]) -> Open:
    if not v[4] or not v[5]:
        raise FrameError("OPEN without method or target")
    head = RequestHead(v[4], v[5], READ_HEADERS[v[6]])
    identity = READ_IDENTITIES[v[7]]
    return Open(v[1], bool(v[2] & _FLAG_BODY), bool(v[2] & _FLAG_UPGRADE), v[3], head, identity)


def _head(v: tuple[Any, ...]) -> Head:
    if v[2] != 101 and not 200 <= v[2] <= 599:
        raise FrameError(f"HEAD with status {v[2]}")
    if len(v[4]) > MAX_DATA_BYTES:
        raise FrameError("HEAD with a body longer than a DATA frame")
    return Head(v[1], ResponseHead(v[2], read_block(v[3])), v[4], v[5])


def _data(v: tuple[Any, ...]) -> Data:
    if not 0 < len(v[2]) <= MAX_DATA_BYTES:
        raise FrameError("DATA empty or too long")
    return Data(v[1], v[2])


def _reset(v: tuple[Any, ...]) -> Reset:
    if len(v[3]) > MAX_SENTENCE_BYTES:
        raise FrameError("a sentence that long is no sentence")
    return Reset(v[1], v[2], v[3])


def _token(v: tuple[Any, ...]) -> bytes:
    token: bytes = v[2]
    if not 0 < len(token) <= MAX_TOKEN_BYTES:
        raise FrameError("a token is 1 to 16 bytes")
    return token


def _note(v: tuple[Any, ...]) -> Note:
    if len(v[2]) > MAX_NOTE_BYTES:
        raise FrameError("a note that long is no note")
    return Note(v[2])


def _byte_strings(values: tuple[Any, ...]) -> tuple[bytes, ...]:
    for value in values:
        if type(value) is not bytes:
            raise FrameError("a list of byte strings holds something else")
    return values


_READERS: Final[dict[int, tuple[tuple[type, ...], bool | None, Callable[[tuple[Any, ...]], Frame]]]] = {
    # kind: element types after [kind, id]; must the id be 0 (True), not 0 (False), either (None); builder
    1: ((int, int, tuple, int, int, bytes), True, _hello),
    2: ((int, int, bytes, bytes, bytes, bytes), False, _open),
    3: ((int, bytes, bytes, bool), False, _head),
    4: ((bytes,), False, _data),
    5: ((bytes,), False, lambda v: End(v[1], read_block(v[2]))),
    6: ((int,), False, lambda v: Credit(v[1], v[2])),
    7: ((), False, lambda v: Stop(v[1])),
    8: ((int, bytes), None, _reset),
    9: ((bytes,), True, lambda v: Ping(_token(v))),
    10: ((bytes,), True, lambda v: Pong(_token(v))),
    11: ((int,), True, lambda v: Drain(v[2])),
    64: ((bytes,), True, _note),
}
