"""Heads of answers as bytes, for HTTP/1.1 clients.

Pure. A header that could split an answer in two is refused (`wire.fields`), whoever sent it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from wire.fields import render_fields
from wire.heads import Headers

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CLOSE: Final = b"Connection: close\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_UPGRADE: Final = b"Connection: Upgrade\r\n"


def render(
    status: int,
    headers: Headers,
    *,
    close: bool = False,
    http10: bool = False,
    chunked: bool = False,
    upgrade: bool = False,
) -> bytes:
    """Return an answer's head. Framing headers are ours alone: `headers` hold none but Content-Length.

    Raises:
        UnsafeField: a header would have split the answer.

    """
    parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, render_fields(headers)]
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
