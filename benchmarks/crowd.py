"""Many clients in one thread: connections that wait, watches that listen. Blocking, for a thread of the runner.

wrk only asks and asks again; these ask once and then hold the connection.
"""

from __future__ import annotations

import re
import select
import ssl
import time
from dataclasses import dataclass

from benchmarks.client import BadAnswerError
from benchmarks.talk import READ_BYTES, dial, read_answer, request, trusting
from benchmarks.wrk import Load

_AT = re.compile(rb'"at":"(\d+)"')


@dataclass(frozen=True, slots=True)
class Heard:
    """What watches received in a while: each event's delay, from being sent to being read."""

    delays_ms: list[float]
    seconds: float


class Crowd:
    """Connections to one place; `close` ends them all."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._context = trusting(load)
        self._socks: list[ssl.SSLSocket] = []

    def grow(self, number: int, first_bytes: int) -> None:
        """Add connections until there are `number`; each has asked, and read a 200 and `first_bytes` of its body."""
        while len(self._socks) < number:
            sock = dial(self._load, self._context)
            self._socks.append(sock)
            sock.sendall(request(self._load))
            read_answer(sock, first_bytes)

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
