"""Bodies in chunks (RFC 9112 §7.1): an incremental, bounded reader, and the writer.

Pure. The reader takes bytes cut anywhere and gives the same body however they were cut. It never holds back body
bytes, and holds at most one unfinished size line or the unfinished trailer section. Extensions are skipped; their sum
is bounded, because a body of one-byte chunks with long extensions is work without content.

One call's work grows with its input, also for one-byte chunks (about a microsecond each): callers feed what one read
gave, at most 64 KiB, and checkpoint between.
"""

from __future__ import annotations

import re
from typing import Final

from wire.fields import BadHead, parse_fields, render_fields, split_lines
from wire.heads import Headers

MAX_SIZE_LINE_BYTES: Final = 1024
"""One size line with its extensions. Nobody is known to send extensions; Go's limit is 4 KiB, llhttp's 16 KiB."""

MAX_EXTENSION_BYTES: Final = 16 * 1024
"""All extensions of one body."""

MAX_TRAILER_BYTES: Final = 16 * 1024
"""The whole trailer section. gRPC-like trailers are a few hundred bytes."""

MAX_TRAILERS: Final = 32

LAST_CHUNK: Final = b"0\r\n\r\n"

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})([ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
"""Fifteen hexadecimal digits stay below 2**60: no sum of offsets anywhere can overflow 64 bits."""

_SIZE_LINE_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,15}(?:[ \t]*|[ \t]*;[\t\x20-\x7e\x80-\xff]*)\r?)?")
"""The same line cut anywhere before its LF."""

_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)

_TRAILERS_END = b"\r\n\r\n"
_NEVER_TRAILERS = frozenset({b"trailer", b"authorization", b"content-encoding", b"content-type", b"content-range"})


def chunk(data: bytes) -> bytes:
    """Return one chunk; nothing for no data, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def last_chunk(trailers: Headers) -> bytes:
    """Return the end of a body with trailers."""
    return b"0\r\n" + render_fields(trailers) + b"\r\n"


class ChunkedReader:
    """Feed it what came off the wire; it returns the body bytes in it, until `done`.

    After the end, `trailers` holds the trailer fields without those that must not stand there, and `rest` the bytes
    that belong to whatever follows. After BadHead the connection is of no further use.
    """

    __slots__ = ("_extensions", "_held", "_left", "_state", "done", "rest", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.trailers: Headers = ()
        self._state = _SIZE
        self._held = b""  # an unfinished size line, chunk end or trailer section
        self._left = 0  # body bytes of the current chunk not yet seen
        self._extensions = 0

    def feed(self, data: bytes) -> bytes:
        """Return the body bytes that `data` completes. Raises BadHead on anything that is not strict framing."""
        if self.done:
            self.rest += data
            return b""
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self._state is _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = _DATA_END
            elif self._state is _DATA_END:
                if not b"\r\n".startswith(data[at : at + 2]):
                    raise BadHead("A chunk is longer than its size says.")
                if end - at < 2:
                    break
                at += 2
                self._state = _SIZE
            elif self._state is _SIZE:
                after = self._size_line(data, at)
                if after is None:
                    break
                at = after
            else:
                at = self._trailer_section(data, at)
                break
        if at < end:
            self._keep(data[at:])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _size_line(self, data: bytes, at: int) -> int | None:
        """Return the offset after the size line at `at`, or None when it is not complete."""
        match = _SIZE_LINE.match(data, at)
        if match is None:
            line_end = data.find(b"\n", at, at + MAX_SIZE_LINE_BYTES)
            if line_end >= 0 or not _SIZE_LINE_BEGUN.fullmatch(data, at, at + MAX_SIZE_LINE_BYTES):
                raise BadHead("A chunk does not begin with its size in hexadecimal digits and CRLF.")
            if len(data) - at >= MAX_SIZE_LINE_BYTES:
                raise BadHead("A chunk's size line is too long.")
            return None
        if match.end() - at > MAX_SIZE_LINE_BYTES:
            raise BadHead("A chunk's size line is too long.")
        if match.group(2):
            self._extensions += len(match.group(2))
            if self._extensions > MAX_EXTENSION_BYTES:
                raise BadHead("The chunk extensions are too long.")
        self._left = int(match.group(1), 16)
        self._state = _DATA if self._left else _TRAILERS
        return match.end()

    def _trailer_section(self, data: bytes, at: int) -> int:
        """Return the offset after the trailer section at `at`, or `at` when it is not complete."""
        if data.startswith(b"\r\n", at):
            after = at + 2
        else:
            found = data.find(_TRAILERS_END, at, at + MAX_TRAILER_BYTES)
            if found < 0:
                if len(data) - at >= MAX_TRAILER_BYTES:
                    raise BadHead("The trailers are too long.")
                return at
            self.trailers = _trailers(data[at:found])
            after = found + len(_TRAILERS_END)
        self.done = True
        return after

    def _keep(self, tail: bytes) -> None:
        if self.done:
            self.rest = tail
        else:
            self._held = tail


def _trailers(section: bytes) -> Headers:
    pairs, framing = parse_fields(split_lines(section), MAX_TRAILERS)
    if framing:
        pairs = tuple(pair for pair in pairs if pair[0].lower() not in framing)
    # RFC 9110 §6.5.1: framing, routing and content fields have no meaning after the body; they are dropped.
    return tuple(pair for pair in pairs if pair[0].lower() not in _NEVER_TRAILERS)
