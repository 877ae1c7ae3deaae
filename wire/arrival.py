"""What is known of a connection before TLS: whether its peer still waits, and where it comes from.

A load balancer that passes it on says so in a PROXY header. That is read and not a byte more, so that TLS finds its own
beginning. The caller owns the deadline and the socket.
"""

from __future__ import annotations

import select
from typing import Final

import trio

from wire.proxy_header import FIXED_BYTES, BadProxyHeader, rest_bytes, source

_LEFT: Final = getattr(select, "POLLRDHUP", 0)  # Linux; elsewhere poll tells of resets alone


def has_left(sock: trio.socket.SocketType) -> bool:
    """Tell whether the peer has closed; what it sent before may still be there to read."""
    poll = select.poll()
    poll.register(sock.fileno(), _LEFT)
    return bool(poll.poll(0))


async def read_origin(sock: trio.socket.SocketType) -> str | None:
    """Return the client's address; None: the load balancer speaks for itself.

    Raises:
        BadProxyHeader: what came is no header that names a client.
        OSError: the connection broke, or ended without a word, as health checks do.

    """
    fixed = await _exactly(sock, FIXED_BYTES)
    if not fixed:
        raise ConnectionAbortedError("the connection ended without a word")
    if len(fixed) < FIXED_BYTES:
        raise BadProxyHeader("it is cut short")
    count = rest_bytes(fixed)
    rest = await _exactly(sock, count)
    if len(rest) < count:
        raise BadProxyHeader("it is cut short")
    return source(fixed, rest)


async def _exactly(sock: trio.socket.SocketType, count: int) -> bytes:
    """Read so many bytes, or fewer where the connection ends."""
    data = b""
    while len(data) < count:
        piece = await sock.recv(count - len(data))
        if not piece:
            break
        data += piece
    return data
