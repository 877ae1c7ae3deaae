"""HTTP/1.1 heads for both ends: the request a client sends us, the answer an API server gives us (RFC 9112).

Pure: bytes in, values out. What always holds: after `parse_request` or `parse_response` there is exactly one reading of
where the message ends and to whom it goes; a head that a second parser could read otherwise is refused (BadHead), never
repaired. Values stand in `headers` as they came, and nothing is decoded.

It does not read the network, does not decide what a target means (`kube` does), and does not choose which headers cross
the tunnel (`headers` does). Field lines are parsed in `fields`, chunked bodies in `chunked`; both are offered here too,
so that callers import one module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from wire.chunked import LAST_CHUNK, ChunkedReader, chunk, last_chunk
from wire.fields import FRAMING, BadHead, is_token, parse_fields, render_fields, split_lines, tokens
from wire.heads import Headers

__all__ = [
    "LAST_CHUNK",
    "MAX_HEADERS",
    "MAX_HEAD_BYTES",
    "BadHead",
    "ChunkedReader",
    "Request",
    "Response",
    "chunk",
    "last_chunk",
    "parse_request",
    "parse_response",
    "render_fields",
    "render_request",
    "render_response",
]

MAX_HEAD_BYTES: Final = 64 * 1024
"""One head with its last CRLF. Room for a token of several KiB and long selectors; nginx takes 32 KiB, Go 1 MiB."""

MAX_HEADERS: Final = 100
"""Header lines of one head. kubectl sends about ten; Apache's limit is 100."""

MAX_METHOD_BYTES: Final = 32

MAX_LENGTH_DIGITS: Final = 18
"""Digits of a Content-Length: an exabyte, and below 2**63 so that no sum of offsets overflows."""

UPGRADES = frozenset({b"websocket", b"spdy/3.1"})
"""What Kubernetes upgrades to. Any other offer (`h2c`) is optional by RFC 9110 §7.8 and is treated as not made."""

_VERSIONS = {b"HTTP/1.1": 11, b"HTTP/1.0": 10}
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_TARGET = re.compile(rb"/[\x21\x22\x24-\x7e]*")
"""Origin form in printable ASCII. `#` never stands in a target (RFC 9112 §3.2): someone would cut there."""

_STATUS_LINE = re.compile(rb"(HTTP/1\.[01]) ([1-5][0-9][0-9])(?: ([^\r\n]*))?")
_HEAD_END = b"\r\n\r\n"
_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
_USUAL_STATUS_LINES: Final = {
    b"HTTP/1.1 %d %b" % (status, phrase): (11, status) for status, phrase in _REASONS.items() if status >= 200
}


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request head. `version` is 10 or 11; `target` is in origin form, undecoded."""

    method: bytes
    target: bytes
    version: int
    headers: Headers
    host: bytes
    content_length: int | None
    chunked: bool
    keep_alive: bool
    upgrade: bytes | None
    """`websocket` or `spdy/3.1`, in lower case, when `Connection` names the upgrade; None otherwise."""
    expect: bytes | None
    """The value of `Expect`, in lower case. Anything but `100-continue` is to be answered with 417."""

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.content_length)

    @property
    def expect_continue(self) -> bool:
        return self.expect == b"100-continue"


@dataclass(init=False)
class Response:
    """An API server's response head. How the body ends: `no_body`, else `chunked`, `content_length`, or the close."""

    status: int
    version: int
    headers: Headers
    content_length: int | None
    """As declared. With `no_body` (HEAD, 304) it describes a body that does not follow."""
    chunked: bool
    close_delimited: bool
    keep_alive: bool
    no_body: bool

    def __init__(
        self,
        status: int,
        version: int,
        headers: Headers,
        content_length: int | None,
        chunked: bool,
        close_delimited: bool,
        keep_alive: bool,
        no_body: bool,
    ) -> None:
        self.status = status
        self.version = version
        self.headers = headers
        self.content_length = content_length
        self.chunked = chunked
        self.close_delimited = close_delimited
        self.keep_alive = keep_alive
        self.no_body = no_body

    @property
    def interim(self) -> bool:
        """A 1xx answer that another head follows. 101 is final: after it the bytes are not HTTP."""
        return self.status < 200 and self.status != 101


def parse_request(head: bytes) -> Request:
    """Read one request head that ends with its empty line. BadHead on every form that two parsers could read apart."""
    lines = _lines(head)
    method, target, version = _request_line(lines[0])
    headers, framing = parse_fields(lines[1:], MAX_HEADERS)
    hosts = framing.pop(b"host", ())
    if len(hosts) != 1:
        raise BadHead("There is more than one Host header." if hosts else "There is no Host header.")
    host = hosts[0]
    if not _HOST.fullmatch(host):
        raise BadHead("The Host header is not a name or address with an optional port.")
    if not framing:  # the usual GET: nothing else to weigh
        return Request(method, target, version, headers, host, None, False, version == 11, None, None)
    content_length, chunked = _body_framing(framing, version)
    named = _connection(framing)
    upgrade = _upgrade(framing, named) if version == 11 else None
    if upgrade is None and b"upgrade" in framing:
        headers = tuple(pair for pair in headers if pair[0].lower() != b"upgrade")
    if upgrade is not None and (chunked or content_length):
        raise BadHead("A request to upgrade the connection may not have a body.")
    expect = framing.get(b"expect")
    return Request(
        method=method,
        target=target,
        version=version,
        headers=headers,
        host=host,
        content_length=content_length,
        chunked=chunked,
        keep_alive=_keep_alive(version, named),
        upgrade=upgrade,
        # An HTTP/1.0 client cannot wait for 100 (RFC 9110 §10.1.1).
        expect=b",".join(expect).lower() if expect and version == 11 else None,
    )


def parse_response(head: bytes, request_method: bytes) -> Response:
    """Read one response head that ends with its empty line, as the answer to a request with that method."""
    lines = _lines(head)
    version, status = _USUAL_STATUS_LINES.get(lines[0]) or _status_line(lines[0])
    headers, framing = parse_fields(lines[1:], MAX_HEADERS)
    content_length, chunked = _body_framing(framing, version)
    no_body = request_method == b"HEAD" or status < 200 or status in {204, 304}
    close_delimited = not no_body and not chunked and content_length is None
    keep_alive = not close_delimited and status != 101 and _keep_alive(version, _connection(framing))
    if (status < 200 or status == 204) and (chunked or content_length):
        # These never have a body (RFC 9112 §6.3): whoever announces one may also send it.
        keep_alive = False
    return Response(
        status, version, headers, content_length, chunked and not no_body, close_delimited, keep_alive, no_body
    )


def render_request(method: bytes, target: bytes, headers: Headers) -> bytes:
    """Return a request head. The caller decides framing headers, Host and Connection; nothing is added."""
    if not is_token(method):
        raise ValueError("the method is not a token")
    if not _TARGET.fullmatch(target):
        raise ValueError("the target is not in origin form, or holds a character that would end it")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, render_fields(headers))


def render_response(status: int, headers: Headers) -> bytes:
    """Return a response head, with the registered reason phrase. Nothing is added."""
    if not 100 <= status <= 599:
        raise ValueError("the status is not between 100 and 599")
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, _REASONS.get(status, b""), render_fields(headers))


def _lines(head: bytes) -> list[bytes]:
    if len(head) > MAX_HEAD_BYTES:
        raise BadHead(f"The head is longer than {MAX_HEAD_BYTES} bytes.", 431)
    if not head.endswith(_HEAD_END):
        raise BadHead("The head does not end with an empty line.")
    return split_lines(head[:-4])


def _status_line(line: bytes) -> tuple[int, int]:
    """Return (version, status)."""
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise BadHead("The answer's status line is not one of HTTP/1.0 or HTTP/1.1.")
    return _VERSIONS[match[1]], int(match[2])


def _request_line(line: bytes) -> tuple[bytes, bytes, int]:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise BadHead("The first line is not a method, a target and a version, one space between.")
    method, target, protocol = parts
    version = _VERSIONS.get(protocol)
    if version is None:
        raise BadHead("The version is neither HTTP/1.1 nor HTTP/1.0.")
    if method not in _METHODS:
        if not is_token(method) or len(method) > MAX_METHOD_BYTES:
            raise BadHead("The method is not a token.")
        if method == b"CONNECT":
            raise BadHead("CONNECT is not offered here.")
    if not _TARGET.fullmatch(target):
        raise BadHead("The request target is not an absolute path of printable ASCII, without a fragment.")
    return method, target, version


def _body_framing(framing: dict[bytes, list[bytes]], version: int) -> tuple[int | None, bool]:
    """Return (content_length, chunked); at most one of them is set."""
    encodings = framing.get(b"transfer-encoding")
    lengths = framing.get(b"content-length")
    if encodings is not None:
        if encodings != [b"chunked"]:
            raise BadHead("The only Transfer-Encoding accepted is `chunked`, once.")
        if lengths is not None:
            raise BadHead("There is a Transfer-Encoding and a Content-Length.")
        if version == 10:
            raise BadHead("HTTP/1.0 has no Transfer-Encoding.")
        return None, True
    if lengths is None:
        return None, False
    if len(lengths) != 1:
        raise BadHead("There is more than one Content-Length.")
    digits = lengths[0]
    # bytes.isdigit is ASCII only. A leading zero is octal to some.
    if not digits.isdigit() or len(digits) > MAX_LENGTH_DIGITS or (digits[:1] == b"0" and len(digits) > 1):
        raise BadHead("The Content-Length is not a plain decimal number.")
    return int(digits), False


def _connection(framing: dict[bytes, list[bytes]]) -> frozenset[bytes]:
    values = framing.get(b"connection")
    if values is None:
        return frozenset()
    named = tokens(values)
    if named & (FRAMING - {b"upgrade"}):
        # A hop that obeyed would drop the field that frames or routes the message.
        raise BadHead("The Connection header names a header that decides framing.")
    return named


def _keep_alive(version: int, named: frozenset[bytes]) -> bool:
    if version == 11:
        return b"close" not in named
    return b"keep-alive" in named and b"close" not in named


def _upgrade(framing: dict[bytes, list[bytes]], named: frozenset[bytes]) -> bytes | None:
    offers = framing.get(b"upgrade")
    if offers is None or b"upgrade" not in named:
        return None
    if len(offers) != 1:
        raise BadHead("There is more than one Upgrade header.")
    offer = offers[0].lower()
    return offer if offer in UPGRADES else None
