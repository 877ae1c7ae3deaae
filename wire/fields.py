"""Field lines of HTTP/1.1: the part that a request head, a response head and a trailer section share (RFC 9112 §5).

Pure. Lines come in without their CRLF, pairs go out as they stood on the wire, optional white space around the value
removed. What always holds: a name is a token, a value has no control character but tab, no line is folded, and there
are never more lines than the caller allows. Whatever two parsers could read in two ways is refused, not repaired.

It does not know what a field means; it only hands those that decide framing to the caller under their lower-case name.
"""

from __future__ import annotations

from typing import Final

from wire.heads import Headers
from wire.memory import Memory

TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""RFC 9110 §5.6.2: what methods and field names are made of."""

_TEXT = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""What may stand in a head at all. CR and LF are counted separately: they may only come as a pair."""

_IN_LINE = _TEXT.translate(None, b"\r\n")

FRAMING = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"},
)
"""The fields that decide where a message ends, to whom it goes and what becomes of the connection."""

_SECRET: Final = frozenset({b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"})
"""Never remembered: what authenticates someone has no business in a table of strings."""

_ONCE: Final = frozenset({b"audit-id", b"x-correlation-id", b"traceparent", b"traceresponse"})
"""Not worth remembering: these never come twice."""

_PASSING: Final = _SECRET | _ONCE

_USUAL = (
    b"Accept",
    b"Accept-Encoding",
    b"Audit-Id",
    b"Authorization",
    b"Cache-Control",
    b"Content-Encoding",
    b"Content-Type",
    b"Date",
    b"Kubectl-Command",
    b"Kubectl-Session",
    b"User-Agent",
    b"Vary",
    b"Warning",
    b"X-Correlation-Id",
    b"X-Kubernetes-Pf-Flowschema-Uid",
    b"X-Kubernetes-Pf-Prioritylevel-Uid",
    b"X-Stream-Protocol-Version",
)

_KNOWN: dict[bytes, bytes] = {name: b"" for usual in _USUAL for name in (usual, usual.lower())}
"""Spelling -> the framing field it is, or empty. A hit saves checking the name letter by letter."""
_KNOWN.update({name: name for name in FRAMING})
_KNOWN.update({name.title(): name for name in FRAMING})


MAX_REMEMBERED: Final = 2048
"""Field lines remembered, each way. An API server repeats some thirty; unique ones (dates, ids) push each other out."""

MAX_REMEMBERED_BYTES: Final = 256
"""Longer lines are read anew each time: together the memories stay below a few MiB."""


class Field:
    """One field line as it was read: the pair, and which framing field it is (lower case), or empty."""

    __slots__ = ("kind", "pair")

    def __init__(self, pair: tuple[bytes, bytes], kind: bytes) -> None:
        self.pair = pair
        self.kind = kind


class UnsafeField(ValueError):
    """A header of ours, or one that passes through, could not be read back as it is. The text is for a log."""


class BadHead(ValueError):
    """The peer's head or body framing is not HTTP/1.1 as we accept it. `sentence` may be shown to the peer.

    `status` is what to answer with if the peer is a client: 400, or 431 where only the size was wrong.
    """

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status


def split_lines(block: bytes) -> list[bytes]:
    """Split at CRLF. Refuses control characters, and a CR or LF that is not half of a CRLF."""
    if block.translate(None, _TEXT):
        raise BadHead("The message holds a control character.")
    lines = block.split(b"\r\n")
    breaks = len(lines) - 1
    if block.count(b"\n") != breaks or block.count(b"\r") != breaks:
        raise BadHead("A line ends in a bare CR or LF; HTTP lines end in CRLF.")
    return lines


def parse_fields(lines: list[bytes], most: int) -> tuple[Headers, dict[bytes, list[bytes]]]:
    """Return all pairs in order, and beside them the values of framing fields by lower-case name.

    The lines must have passed `split_lines`: characters are checked there, once for the whole block.
    """
    if len(lines) > most:
        raise BadHead(f"There are more than {most} header lines.", 431)
    pairs: list[tuple[bytes, bytes]] = []
    framing: dict[bytes, list[bytes]] = {}
    for line in lines:
        field = _LINES[line]
        pairs.append(field.pair)
        if field.kind:
            framing.setdefault(field.kind, []).append(field.pair[1])
    return tuple(pairs), framing


def _read_line(line: bytes) -> Field:
    name, colon, value = line.partition(b":")
    if not colon:
        raise BadHead(_blame(line))
    kind = _KNOWN.get(name)
    if kind is None:
        kind = _kind(name)
    return Field((name, value.strip(b" \t")), kind)


def render_fields(headers: Headers) -> bytes:
    """Return field lines, each with its CRLF.

    Raises:
        UnsafeField: one of them would be read back as something else, or not at all.

    """
    return b"".join([_RENDERED[pair] for pair in headers])


def _render(pair: tuple[bytes, bytes]) -> bytes:
    name, value = pair
    if name not in _KNOWN:
        try:
            _kind(name)
        except BadHead as error:
            raise UnsafeField(error.sentence) from error
    if value.translate(None, _IN_LINE):
        raise UnsafeField("A header's value holds a control character.")
    return b"%b: %b\r\n" % pair


def is_token(text: bytes) -> bool:
    return bool(text) and not text.translate(None, TOKEN)


def tokens(values: list[bytes]) -> frozenset[bytes]:
    """Return the lower-case members of a comma-separated list that may be spread over several fields."""
    found: set[bytes] = set()
    for value in values:
        for member in value.lower().split(b","):
            stripped = member.strip(b" \t")
            if stripped and not is_token(stripped):
                raise BadHead("A member of the Connection header is not a token.")
            found.add(stripped)
    found.discard(b"")
    return frozenset(found)


def _kind(name: bytes) -> bytes:
    if not is_token(name):
        raise BadHead(_blame(name))
    lower = name.lower()
    if lower in FRAMING:
        return lower
    # CGI-like servers read `_` as `-`: to such a one this would be a second, hidden framing field.
    if lower.find(b"_") >= 0 and lower.replace(b"_", b"-") in FRAMING:
        raise BadHead("A header that decides framing is spelt with an underscore.")
    return b""


def _blame(name: bytes) -> str:
    """Say what is wrong with a field line whose name is not a token."""
    if name[:1] in {b" ", b"\t"}:
        return "A header is folded over several lines; folding is obsolete and refused."
    if name[-1:] in {b" ", b"\t"}:
        return "There is white space between a header's name and its colon."
    return "A header line is not of the form `name: value`."


def _keeps_line(line: bytes, field: Field) -> bool:
    return len(line) <= MAX_REMEMBERED_BYTES and field.pair[0].lower() not in _PASSING


def _keeps_pair(pair: tuple[bytes, bytes], line: bytes) -> bool:
    return len(line) <= MAX_REMEMBERED_BYTES and pair[0].lower() not in _PASSING


_LINES: Final = Memory(_read_line, MAX_REMEMBERED, _keeps_line)
_RENDERED: Final = Memory(_render, MAX_REMEMBERED, _keeps_pair)
