"""The head of a request as the agent sends it to the API server. Pure but for its caches.

What always holds: `Impersonate-*`, `Authorization`, `Host` and the framing headers are written here and nowhere else;
of the client's headers only what `wire.headers` lets cross goes along, and a reserved one in any spelling refuses the
request; what was cut or added never depends on what a client named. kubectl's headers repeat, so checked and rendered
blocks are remembered, bounded, by their exact bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agent.guard import Guard, RefusedError
from wire.blocks import MAX_REMEMBERED, MAX_REMEMBERED_BYTES
from wire.fields import TOKEN
from wire.frames import ResetCode
from wire.headers import ReservedHeader, find_all, request_end_to_end
from wire.heads import Headers, Identity, RequestHead
from wire.http1 import MAX_HEADERS, MAX_LENGTH_DIGITS, UPGRADES, render_fields
from wire.memory import Memory

_ALWAYS_FRAMED: Final = frozenset({b"POST", b"PUT", b"PATCH"})
"""Without a body these say `Content-Length: 0` (RFC 9110 §8.6)."""

_PLAIN_KEY: Final = frozenset(TOKEN) - frozenset(b"%") - frozenset(range(ord("A"), ord("Z") + 1))
"""What of an extra's key may stand in a header's name as it is: the API server lower-cases, then decodes percents."""

_REPEATABLE: Final = frozenset({b"GET", b"HEAD"})


@dataclass(init=False)
class Outgoing:
    """One request, ready to be written."""

    method: bytes
    head: bytes
    content_length: int | None
    chunked: bool
    repeatable: bool
    """A GET or HEAD without a body: doing it twice is doing it once."""

    def __init__(self, method: bytes, head: bytes, content_length: int | None, chunked: bool, repeatable: bool) -> None:
        self.method = method
        self.head = head
        self.content_length = content_length
        self.chunked = chunked
        self.repeatable = repeatable


@dataclass(frozen=True, slots=True)
class _Passed:
    """What became of a client's headers."""

    block: bytes
    content_length: int | None
    upgrade: bytes | None


class Outbox:
    """Writes heads for one API server."""

    def __init__(self, guard: Guard, authority: bytes) -> None:
        self._guard = guard
        self._host = b"Host: %b\r\n" % authority
        self._identities = Memory(self._impersonated, MAX_REMEMBERED, _keeps_identity)
        self._headers = Memory(_pass, MAX_REMEMBERED, _keeps_headers)
        self._targets = Memory(self._allowed, MAX_REMEMBERED, _keeps_target)

    def outgoing(
        self, request: RequestHead, identity: Identity, *, has_body: bool, upgrade: bool, authorization: bytes
    ) -> Outgoing:
        """Check a request and write its head. `authorization` is a whole header line, or empty.

        Raises:
            RefusedError: it must not go up.

        """
        self._targets[request.method, request.target, upgrade]  # refused, or passed now or before
        who = self._identities[identity]
        passed = self._headers[request.headers]
        framing, chunked = _framing(request.method, passed, has_body=has_body, upgrade=upgrade)
        head = b"".join(
            (
                request.method,
                b" ",
                request.target,
                b" HTTP/1.1\r\n",
                self._host,
                authorization,
                who,
                passed.block,
                framing,
                b"\r\n",
            )
        )
        repeatable = not has_body and not upgrade and request.method in _REPEATABLE
        return Outgoing(request.method, head, passed.content_length if has_body else None, chunked, repeatable)

    def _allowed(self, target: tuple[bytes, bytes, bool]) -> bool:
        method, path, upgrade = target
        self._guard.check_target(RequestHead(method, path), upgrade=upgrade)
        return True

    def _impersonated(self, identity: Identity) -> bytes:
        self._guard.check_identity(identity)
        return impersonation(identity)


def _keeps_target(target: tuple[bytes, bytes, bool], _: bool) -> bool:
    return len(target[1]) <= MAX_REMEMBERED_BYTES


def _keeps_identity(_: Identity, lines: bytes) -> bool:
    return len(lines) <= MAX_REMEMBERED_BYTES


def _keeps_headers(headers: Headers, _: _Passed) -> bool:
    return sum(len(name) + len(value) for name, value in headers) <= MAX_REMEMBERED_BYTES


def impersonation(identity: Identity) -> bytes:
    """Return the header lines of an identity that the guard has passed: one for each group and each extra."""
    lines: list[tuple[bytes, bytes]] = [(b"Impersonate-User", identity.user)]
    if identity.uid:
        lines.append((b"Impersonate-Uid", identity.uid))
    lines.extend((b"Impersonate-Group", group) for group in identity.groups)
    lines.extend((b"Impersonate-Extra-" + _encoded_key(key), value) for key, value in identity.extra)
    return render_fields(tuple(lines))


def _encoded_key(key: bytes) -> bytes:
    return b"".join([bytes((byte,)) if byte in _PLAIN_KEY else b"%%%02X" % byte for byte in key])


def _framing(method: bytes, passed: _Passed, *, has_body: bool, upgrade: bool) -> tuple[bytes, bool]:
    """Return our framing lines, and whether the body goes in chunks."""
    if upgrade:
        if passed.upgrade is None:
            raise RefusedError(ResetCode.BAD_REQUEST, "The request upgrades to nothing the agent knows.")
        return b"Connection: Upgrade\r\nUpgrade: %b\r\n" % passed.upgrade, False
    if not has_body:
        if passed.content_length:
            raise RefusedError(ResetCode.BAD_REQUEST, "The request announces a body and has none.")
        return (b"Content-Length: 0\r\n" if method in _ALWAYS_FRAMED else b""), False
    if passed.content_length is None:
        return b"Transfer-Encoding: chunked\r\n", True
    return b"Content-Length: %d\r\n" % passed.content_length, False


def _pass(headers: Headers) -> _Passed:
    if len(headers) > MAX_HEADERS:
        raise RefusedError(ResetCode.BAD_REQUEST, "The request has too many headers.")
    try:
        kept = request_end_to_end(headers)
        upgrades, lengths = find_all(headers, b"upgrade"), find_all(headers, b"content-length")
        block = render_fields(
            tuple(pair for pair in kept if pair[0].lower() not in {b"content-length", b"upgrade", b"connection"})
        )
    except ReservedHeader as reserved:
        raise RefusedError(ResetCode.REFUSED, f"{reserved}: only the agent writes it") from None
    except ValueError as error:
        raise RefusedError(ResetCode.BAD_REQUEST, f"The agent refuses a header: {error}.") from None
    if block.translate(None, _TEXT):
        raise RefusedError(ResetCode.BAD_REQUEST, "A header holds a control character.")
    return _Passed(block, _length(lengths), _upgrade(upgrades))


_TEXT: Final = bytes([0x09, 0x0A, 0x0D, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""What a rendered block may hold; that CR and LF only end lines, rendering has made sure of."""


def _length(lengths: list[bytes]) -> int | None:
    if not lengths:
        return None
    digits = lengths[0]
    if len(lengths) > 1 or not digits.isdigit() or len(digits) > MAX_LENGTH_DIGITS:
        raise RefusedError(ResetCode.BAD_REQUEST, "The Content-Length is not one plain number.")
    return int(digits)


def _upgrade(upgrades: list[bytes]) -> bytes | None:
    return upgrades[0] if len(upgrades) == 1 and upgrades[0].lower() in UPGRADES else None
