"""Answers as bytes: status lines, header blocks and chunks for HTTP/1.1 clients.

Pure. A header that could split an answer in two (CR, LF or NUL in a name or value) is refused here, whoever sent it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from wire.fields import render_fields
from wire.heads import Headers

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CLOSE: Final = b"Connection: close\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_UPGRADE: Final = b"Connection: Upgrade\r\n"


class UnsafeHeader(ValueError):
    """A header would have split the answer."""


def render(
    status: int,
    headers: Headers,
    *,
    close: bool = False,
    http10: bool = False,
    chunked: bool = False,
    upgrade: bool = False,
) -> bytes:
    """Return an answer's head. Framing headers are ours alone: `headers` hold none but Content-Length."""
    parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    try:
        parts.append(render_fields(headers))
    except ValueError as error:
        raise UnsafeHeader(f"{error} in this answer") from None
    if chunked:
        parts.append(_CHUNKED)
    if upgrade:
        parts.append(_UPGRADE)
    elif close:
        parts.append(_CLOSE)
    elif http10:
        parts.append(b"Connection: keep-alive\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def chunk(data: bytes) -> bytes:
    """Return one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Headers) -> bytes:
    """Return the last chunk with trailers."""
    block = b"".join(b"%b: %b\r\n" % pair for pair in trailers)
    if block.count(b"\n") != len(trailers) or block.count(b"\r") != len(trailers) or b"\0" in block:
        raise UnsafeHeader("a trailer of this answer holds a line break or NUL")
    return b"0\r\n" + block + b"\r\n"
