"""Many clients in one thread: connections that wait, watches that listen. Blocking, for a thread of the runner.

wrk only asks and asks again; these ask once and then hold the connection. What always holds: every wait has a
deadline, and every answer's head must be a 200.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.client import BadAnswerError
from benchmarks.wrk import Load

STEP_SECONDS = 20.0
READ_BYTES = 64 * 1024
_AT = re.compile(rb'"at":"(\d+)"')


@dataclass(frozen=True, slots=True)
class Heard:
    """What watches received in a while: each event's delay, from being sent to being read."""

    delays_ms: list[float]
    seconds: float


class Crowd:
    """Connections to one place; `close` ends them all."""

    def __init__(self, load: Load, ca_pem: str) -> None:
        self._load = load
        place = urlsplit(load.url)
        self._address = (place.hostname or "", place.port or 443)
        self._context = ssl.create_default_context(cadata=ca_pem)
        self._context.set_alpn_protocols(["http/1.1"])
        self._socks: list[ssl.SSLSocket] = []

    def __len__(self) -> int:
        return len(self._socks)

    def grow(self, number: int, first_bytes: int, path: str = "") -> None:
        """Add connections until there are `number`; each has asked, and read a 200 and `first_bytes` of its body."""
        while len(self._socks) < number:
            plain = socket.create_connection(self._address, STEP_SECONDS)
            sock = self._context.wrap_socket(plain, server_hostname=self._address[0], suppress_ragged_eofs=False)
            self._socks.append(sock)
            sock.sendall(request(self._load, path))
            head, received = read_head(sock)
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise BadAnswerError(head.decode("latin-1") + received.decode("latin-1"))
            size = len(received)
            while size < first_bytes:
                data = sock.recv(READ_BYTES)
                if not data:
                    raise BadAnswerError(f"the answer ended after {size} bytes")
                size += len(data)

    def listen(self, seconds: float) -> Heard:
        """Read everything that comes for a while."""
        poll = select.epoll()
        known = {sock.fileno(): sock for sock in self._socks}
        for number, sock in known.items():
            sock.setblocking(False)
            poll.register(number, select.EPOLLIN)
        delays: list[float] = []
        began = time.monotonic()
        while (now := time.monotonic()) < began + seconds:
            for number, _ in poll.poll(began + seconds - now):
                try:
                    data = known[number].recv(READ_BYTES)
                except ssl.SSLWantReadError:
                    continue
                if not data:
                    raise BadAnswerError("a watch ended")
                read_at = time.monotonic_ns()
                delays += [(read_at - int(at)) / 1e6 for at in _AT.findall(data)]
        poll.close()
        return Heard(delays, time.monotonic() - began)

    def close(self) -> None:
        for sock in self._socks:
            sock.close()
        self._socks.clear()


def request(load: Load, path: str = "", lines: Iterable[str] = (), method: str = "GET") -> bytes:
    """The head of a request."""
    head = [f"{method} {path or load.path} HTTP/1.1", f"Host: {urlsplit(load.url).netloc}", *lines]
    if load.token is not None:
        head.append(f"Authorization: Bearer {load.token}")
    return "\r\n".join([*head, "", ""]).encode()


def read_head(sock: ssl.SSLSocket) -> tuple[bytes, bytes]:
    """The head of an answer, and what came with it of the body."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = sock.recv(READ_BYTES)
        if not data:
            raise BadAnswerError("no answer")
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest
