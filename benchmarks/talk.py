"""One HTTPS connection, blocking: dialled, asked, and read. What wrk cannot do, in a thread of the runner.

What always holds: every wait has a deadline, and what ends early is an error.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from benchmarks.client import BadAnswerError
from benchmarks.wrk import Load

STEP_SECONDS = 20.0
READ_BYTES = 64 * 1024


def trusting(load: Load) -> ssl.SSLContext:
    """What a client needs to believe whoever answers there; good for many connections."""
    context = ssl.create_default_context(cadata=load.ca_pem)
    context.set_alpn_protocols(["http/1.1"])
    return context


def dial(load: Load, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A new connection."""
    place = urlsplit(load.url)
    host = place.hostname or ""
    plain = socket.create_connection((host, place.port or 443), STEP_SECONDS)
    return context.wrap_socket(plain, server_hostname=host)


def request(load: Load, lines: Iterable[str] = (), method: str = "GET") -> bytes:
    """The head of a request."""
    head = [f"{method} {load.path} HTTP/1.1", f"Host: {urlsplit(load.url).netloc}", *lines]
    if load.token is not None:
        head.append(f"Authorization: Bearer {load.token}")
    return "\r\n".join([*head, "", ""]).encode()


def read_some(sock: ssl.SSLSocket) -> bytes:
    """What comes next, at least one byte."""
    data = sock.recv(READ_BYTES)
    if not data:
        raise BadAnswerError("a connection ended before its answer did")
    return data


def read_head(sock: ssl.SSLSocket, status: int = 200) -> bytes:
    """Read a head with this status; what came with it of the body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += read_some(sock)
    head, _, rest = received.partition(b"\r\n\r\n")
    if f" {status} ".encode() not in head.partition(b"\r\n")[0]:
        raise BadAnswerError(head.decode("latin-1") + rest[:300].decode("latin-1"))
    return rest


def read_answer(sock: ssl.SSLSocket, body_bytes: int) -> None:
    """Read a 200, and its body until so much has come."""
    size = len(read_head(sock))
    while size < body_bytes:
        size += len(read_some(sock))
