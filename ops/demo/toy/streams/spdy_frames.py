"""SPDY/3.1 frames as values: bytes in, frames out, and back.

What always holds: no input makes the decoder keep more than MAX_CONTROL_BYTES of a frame it has not finished or expand
a header block beyond MAX_HEADER_BYTES; the payload of DATA is handed on in the pieces it came in, so a frame of 16 MiB
costs nothing. An encoder and a decoder each carry one zlib context: blocks must be sent in the order of encoding.
What a frame means for a stream is not known here (spdy_connection.py).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

from ops.demo.toy.streams.spdy_dictionary import SPDY_DICTIONARY

#: A control frame carries a header block of a few names; 64 KiB is what HTTP servers allow for a whole head.
MAX_CONTROL_BYTES: Final = 64 * 1024
#: The same, unpacked: zlib could turn 64 KiB into 64 MiB.
MAX_HEADER_BYTES: Final = 64 * 1024

FLAG_FIN: Final = 0x01
FLAG_UNIDIRECTIONAL: Final = 0x02

_VERSION = 3
_CONTROL = 0x8000_0000 | _VERSION << 16
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _HEADERS, _WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
_WORD = struct.Struct(">I")
_TWO_WORDS = struct.Struct(">II")

PROTOCOL_ERROR: Final = 1
INVALID_STREAM: Final = 2
REFUSED_STREAM: Final = 3
CANCEL: Final = 5
FLOW_CONTROL_ERROR: Final = 7

SETTING_INITIAL_WINDOW: Final = 7

#: Lower-case names; several values of one name stand in order.
Headers = tuple[tuple[str, str], ...]


class SpdyError(Exception):
    """The peer sent bytes that are not SPDY/3.1; nothing after them can be read."""


@dataclass(frozen=True, slots=True)
class SynStream:
    """Opens a stream; odd numbers are the client's."""

    stream_id: int
    headers: Headers
    fin: bool = False
    unidirectional: bool = False
    associated_to: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SynReply:
    """Accepts a stream."""

    stream_id: int
    headers: Headers = ()
    fin: bool = False


@dataclass(frozen=True, slots=True)
class HeadersFrame:
    """More headers for an open stream."""

    stream_id: int
    headers: Headers
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """A piece of a stream; `fin` on its last one."""

    stream_id: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class RstStream:
    """Ends a stream at once, both ways."""

    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Values by setting number."""

    values: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ping:
    """Comes back unchanged from the peer; odd numbers are the client's."""

    ping_id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    """No stream above `last_stream_id` will be served."""

    last_stream_id: int
    status: int = 0


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """More credit for one stream, or for the whole connection with stream 0."""

    stream_id: int
    delta: int


Frame = SynStream | SynReply | HeadersFrame | Data | RstStream | Settings | Ping | GoAway | WindowUpdate


class Encoder:
    """Frames to bytes, for one direction of one connection."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(zdict=SPDY_DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        match frame:
            case Data(stream_id, data, fin):
                return _TWO_WORDS.pack(stream_id, (FLAG_FIN if fin else 0) << 24 | len(data)) + data
            case SynStream():
                flags = (FLAG_FIN if frame.fin else 0) | (FLAG_UNIDIRECTIONAL if frame.unidirectional else 0)
                front = _TWO_WORDS.pack(frame.stream_id, frame.associated_to) + bytes((frame.priority << 5, 0))
                return _control(_SYN_STREAM, flags, front + self._pack(frame.headers))
            case SynReply(stream_id, headers, fin):
                return _control(_SYN_REPLY, FLAG_FIN if fin else 0, _WORD.pack(stream_id) + self._pack(headers))
            case HeadersFrame(stream_id, headers, fin):
                return _control(_HEADERS, FLAG_FIN if fin else 0, _WORD.pack(stream_id) + self._pack(headers))
            case RstStream(stream_id, status):
                return _control(_RST_STREAM, 0, _TWO_WORDS.pack(stream_id, status))
            case Settings(values):
                pairs = b"".join(_TWO_WORDS.pack(number, value) for number, value in sorted(values.items()))
                return _control(_SETTINGS, 0, _WORD.pack(len(values)) + pairs)
            case Ping(ping_id):
                return _control(_PING, 0, _WORD.pack(ping_id))
            case GoAway(last_stream_id, status):
                return _control(_GOAWAY, 0, _TWO_WORDS.pack(last_stream_id, status))
            case WindowUpdate(stream_id, delta):
                return _control(_WINDOW_UPDATE, 0, _TWO_WORDS.pack(stream_id, delta))

    def _pack(self, headers: Headers) -> bytes:
        """A header block: repeated names become one name with values parted by NUL."""
        merged: dict[str, list[str]] = {}
        for name, value in headers:
            merged.setdefault(name.lower(), []).append(value)
        block = bytearray(_WORD.pack(len(merged)))
        for name, values in merged.items():
            for text in (name, "\0".join(values)):
                raw = text.encode("latin-1")
                block += _WORD.pack(len(raw)) + raw
        return self._zlib.compress(bytes(block)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class Decoder:
    """Bytes to frames, for one direction of one connection. After a SpdyError it is spent."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=SPDY_DICTIONARY)
        self._buffer = bytearray()
        self._data_stream = 0
        self._data_left = 0
        self._data_fin = False

    def receive(self, data: bytes) -> list[Frame]:
        """All frames, and all pieces of DATA, that `data` completes."""
        self._buffer += data
        frames: list[Frame] = []
        at = 0
        buffer = self._buffer
        while True:
            if self._data_left:
                piece = bytes(buffer[at : at + self._data_left])
                if not piece:
                    break
                at += len(piece)
                self._data_left -= len(piece)
                frames.append(Data(self._data_stream, piece, self._data_fin and not self._data_left))
                continue
            if len(buffer) - at < 8:
                break
            first, second = _TWO_WORDS.unpack_from(buffer, at)
            length, flags = second & 0xFF_FFFF, second >> 24
            if not first & 0x8000_0000:
                at += 8
                self._data_stream, self._data_left, self._data_fin = first, length, bool(flags & FLAG_FIN)
                if not length:
                    frames.append(Data(first, b"", self._data_fin))
                continue
            if length > MAX_CONTROL_BYTES:
                raise SpdyError(f"a control frame of {length} bytes")
            if len(buffer) - at < 8 + length:
                break
            frame = self._control_frame(first, flags, bytes(buffer[at + 8 : at + 8 + length]))
            at += 8 + length
            if frame is not None:
                frames.append(frame)
        del buffer[:at]
        return frames

    def _control_frame(self, first: int, flags: int, body: bytes) -> Frame | None:
        version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
        if version != _VERSION:
            raise SpdyError(f"SPDY version {version}")
        fin = bool(flags & FLAG_FIN)
        match kind:
            case 1 if len(body) >= 10:
                stream_id, associated = _TWO_WORDS.unpack_from(body)
                headers = self._unpack(body[10:])
                one_way = bool(flags & FLAG_UNIDIRECTIONAL)
                return SynStream(stream_id & 0x7FFF_FFFF, headers, fin, one_way, associated, body[8] >> 5)
            case 2 if len(body) >= 4:
                return SynReply(_stream_id(body), self._unpack(body[4:]), fin)
            case 8 if len(body) >= 4:
                return HeadersFrame(_stream_id(body), self._unpack(body[4:]), fin)
            case 3 if len(body) == 8:
                return RstStream(_stream_id(body), _WORD.unpack_from(body, 4)[0])
            case 4 if len(body) >= 4 and len(body) == 4 + 8 * _WORD.unpack_from(body)[0]:
                pairs = (_TWO_WORDS.unpack_from(body, at) for at in range(4, len(body), 8))
                return Settings({number & 0xFF_FFFF: value for number, value in pairs})
            case 6 if len(body) == 4:
                return Ping(_WORD.unpack(body)[0])
            case 7 if len(body) == 8:
                return GoAway(_stream_id(body), _WORD.unpack_from(body, 4)[0])
            case 9 if len(body) == 8:
                return WindowUpdate(_stream_id(body), _WORD.unpack_from(body, 4)[0] & 0x7FFF_FFFF)
        if 1 <= kind <= 9 and kind != 5:
            raise SpdyError(f"a frame of type {kind} with {len(body)} bytes")
        return None  # unknown types are skipped, as the draft asks (section 2.2.1)

    def _unpack(self, block: bytes) -> Headers:
        try:
            plain = self._zlib.decompress(block, MAX_HEADER_BYTES + 1)
        except zlib.error:
            raise SpdyError("a header block that zlib cannot read") from None
        if len(plain) > MAX_HEADER_BYTES or self._zlib.unconsumed_tail:
            raise SpdyError("a header block too large")
        return _header_pairs(plain)


def _header_pairs(plain: bytes) -> Headers:
    headers: list[tuple[str, str]] = []
    try:
        (count,) = _WORD.unpack_from(plain)
        at = 4
        for _ in range(count):
            texts: list[str] = []
            for _ in range(2):
                (length,) = _WORD.unpack_from(plain, at)
                at += 4 + length
                if at > len(plain):
                    raise SpdyError("a header block that ends early")
                texts.append(plain[at - length : at].decode("latin-1"))
            headers.extend((texts[0].lower(), value) for value in texts[1].split("\0"))
    except struct.error:
        raise SpdyError("a header block that ends early") from None
    if at != len(plain):
        raise SpdyError("a header block with bytes left over")
    return tuple(headers)


def _control(kind: int, flags: int, body: bytes) -> bytes:
    return _TWO_WORDS.pack(_CONTROL | kind, flags << 24 | len(body)) + body


def _stream_id(body: bytes) -> int:
    (number,) = _WORD.unpack_from(body)
    return int(number) & 0x7FFF_FFFF
