"""What crosses the tunnel before a body does: request head, response head, and who is asking.

All values are bytes as they stood on the wire; nothing here is decoded, folded or re-cased. Identity is a value of
its own and never a header: only the agent turns it into `Impersonate-*`.
"""

from __future__ import annotations

from typing import NamedTuple

Headers = tuple[tuple[bytes, bytes], ...]
"""(name, value) pairs in order; a repeated header is a repeated pair."""


class Identity(NamedTuple):
    """As whom the agent acts at the API server. UTF-8 bytes; `user` is never empty: `frames` refuses such an OPEN."""

    user: bytes
    uid: bytes = b""
    groups: tuple[bytes, ...] = ()
    extra: Headers = ()


class RequestHead(NamedTuple):
    """Method, request target (origin form, undecoded) and end-to-end headers of one request."""

    method: bytes
    target: bytes
    headers: Headers = ()


class ResponseHead(NamedTuple):
    """Status (101 or 200-599) and end-to-end headers of one answer."""

    status: int
    headers: Headers = ()
