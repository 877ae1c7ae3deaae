"""Which headers cross the tunnel, which stop, and which are refused. The only such list; both ends use it.

Pure. Names are compared without case and with `_` read as `-`, because some servers fold the two: a reserved header
has one meaning however it is spelt. Values are never changed.

Sources: RFC 9110 §7.6.1 (hop-by-hop), Kubernetes "User impersonation" and "Authenticating proxy" pages (identity
headers), the audit policy's `Audit-ID`.
"""

from __future__ import annotations

from typing import Final

from wire.heads import Headers
from wire.memory import Memory

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-authentication-info",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)

RESERVED_PREFIXES = (b"impersonate-", b"x-remote-", b"x-fairlead-")
"""Identity travels beside a request. A client that sends one of these is asking to be someone else."""

RESERVED_NAMES = frozenset({b"audit-id", b"impersonate"})
"""`Audit-ID` would let a client choose the name under which the API server files its deeds."""

_ENDS_AT_APPLIANCE = frozenset({b"authorization", b"cookie", b"host", b"expect", b"forwarded", b"x-real-ip"})
_FORWARDED_PREFIX = b"x-forwarded-"

_STOPS_FROM_CLUSTER = frozenset(
    {b"set-cookie", b"set-cookie2", b"clear-site-data", b"alt-svc", b"strict-transport-security", b"public-key-pins"}
)
"""A cluster may not set state for the appliance's origin in a browser."""


class ReservedHeader(ValueError):
    """A client sent a header that only Fairlead may write. `name` is as the client spelt it."""

    def __init__(self, name: bytes) -> None:
        super().__init__(f"the header {name.decode('latin-1')} is reserved")
        self.name = name


def canonical(name: bytes) -> bytes:
    """Return the spelling under which a header name is compared."""
    return name.lower().replace(b"_", b"-")


def is_reserved(name: bytes) -> bool:
    """Tell whether only Fairlead may write this header, in any spelling."""
    folded = canonical(name)
    return folded in RESERVED_NAMES or folded.startswith(RESERVED_PREFIXES)


def request_end_to_end(headers: Headers) -> Headers:
    """Return what of a client's headers may cross to the API server.

    `Upgrade` crosses when `Connection` names it, `TE` crosses as `trailers` alone: the far end rebuilds `Connection`.

    Raises:
        ReservedHeader: a header that only Fairlead may write is there, in any spelling.

    """
    named = _named_by_connection(headers)
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        folded = canonical(name)
        if folded in RESERVED_NAMES or folded.startswith(RESERVED_PREFIXES):
            raise ReservedHeader(name)
        if folded == b"upgrade":
            if folded in named:
                kept.append((name, value))
        elif folded == b"te":
            if b"trailers" in _tokens(value):
                kept.append((b"TE", b"trailers"))
        elif (
            folded in HOP_BY_HOP
            or folded in _ENDS_AT_APPLIANCE
            or folded in named
            or folded.startswith(_FORWARDED_PREFIX)
        ):
            continue
        else:
            kept.append((name, value))
    return tuple(kept)


def response_end_to_end(headers: Headers, *, upgrade: bool = False) -> Headers:
    """Return what of an API server's headers may cross to the client. `upgrade`: the answer is 101, keep `Upgrade`."""
    named = _named_by_connection(headers)
    kept: list[tuple[bytes, bytes]] = []
    for pair in headers:
        name = pair[0]
        fate = _FATES[name]
        if (fate is _CROSSES and not (named and canonical(name) in named)) or (fate is _UPGRADES and upgrade):
            kept.append(pair)
    return tuple(kept)


_CROSSES: Final = "crosses"
_UPGRADES: Final = "upgrades"
_STOPS: Final = "stops"
_MAX_FATES: Final = 1024
"""Spellings remembered. An API server uses some thirty; whoever invents more only makes us look again."""
_MAX_FATE_BYTES: Final = 64


def _fate(name: bytes) -> str:
    """Work out what becomes of a header of an answer."""
    folded = canonical(name)
    if folded == b"upgrade":
        return _UPGRADES
    if folded in HOP_BY_HOP or folded in _STOPS_FROM_CLUSTER or folded.startswith(b"x-fairlead-"):
        return _STOPS
    return _CROSSES


_FATES: Final = Memory(_fate, _MAX_FATES, lambda name, _: len(name) <= _MAX_FATE_BYTES)


def trailers_end_to_end(trailers: Headers) -> Headers:
    """Return what of an API server's trailers may cross: never framing, never identity (RFC 9110 §6.5.1)."""
    kept = response_end_to_end(trailers)
    return tuple(pair for pair in kept if canonical(pair[0]) not in _NEVER_A_TRAILER and not is_reserved(pair[0]))


_NEVER_A_TRAILER = frozenset({b"content-length", b"content-encoding", b"content-type", b"content-range", b"host"})


def find(headers: Headers, name_lower: bytes) -> bytes | None:
    """Return the first value of a header, or None."""
    length = len(name_lower)
    for name, value in headers:
        if len(name) == length and name.lower() == name_lower:
            return value
    return None


def find_all(headers: Headers, name_lower: bytes) -> list[bytes]:
    """Return every value of a header in order."""
    length = len(name_lower)
    return [value for name, value in headers if len(name) == length and name.lower() == name_lower]


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    named: set[bytes] = set()
    for name, value in headers:
        if len(name) == _CONNECTION_LENGTH and name.lower() == b"connection" and value.lower() not in _PLAIN_OPTIONS:
            named.update(canonical(token) for token in _tokens(value))
    # `Connection: content-length` must not strip the framing of a body (a known way to smuggle one).
    return frozenset(named - {b"content-length", b"close", b"keep-alive"}) if named else _NONE


_CONNECTION_LENGTH: Final = len(b"connection")
_PLAIN_OPTIONS: Final = frozenset({b"close", b"keep-alive"})
_NONE: Final[frozenset[bytes]] = frozenset()


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]
