"""What crosses the tunnel before a body does: request head, response head, and who is asking.

All values are bytes as they stood on the wire; nothing here is decoded, folded or re-cased. Identity is a value of
its own and never a header: only the agent turns it into `Impersonate-*`.

Heads, like the frames that carry them, are made for every request, and never changed: compiled, an `__init__` that is
written out costs a tenth of a named tuple's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Headers = tuple[tuple[bytes, bytes], ...]
"""(name, value) pairs in order; a repeated header is a repeated pair."""


class Identity(NamedTuple):
    """As whom the agent acts at the API server. UTF-8 bytes; `user` is never empty: `frames` refuses such an OPEN."""

    user: bytes
    uid: bytes = b""
    groups: tuple[bytes, ...] = ()
    extra: Headers = ()


@dataclass(init=False)
class RequestHead:
    """Method, request target (origin form, undecoded) and end-to-end headers of one request."""

    method: bytes
    target: bytes
    headers: Headers

    def __init__(self, method: bytes, target: bytes, headers: Headers = ()) -> None:
        self.method = method
        self.target = target
        self.headers = headers


@dataclass(init=False)
class ResponseHead:
    """Status (101 or 200-599) and end-to-end headers of one answer."""

    status: int
    headers: Headers

    def __init__(self, status: int, headers: Headers = ()) -> None:
        self.status = status
        self.headers = headers
