"""A client that asks at fixed moments, whether or not earlier answers have come: latency from the intended start.

A closed loop (wrk) asks less while the server is slow and so leaves the slow moments out. This one has a plan; a
request that could not be sent in time, because every connection was waiting, counts from when it was due.
"""

from __future__ import annotations

import select
import ssl
import time
from collections import deque
from contextlib import ExitStack, closing

from benchmarks.client import BadAnswerError
from benchmarks.nginx import small_json
from benchmarks.talk import STEP_SECONDS, dial, read_answer, read_some, request, trusting
from benchmarks.wrk import Load

CONNECTIONS = 16  # at 100 requests a second one of them is enough, unless answers take longer than 160 ms


def latencies(load: Load, *, per_second: int, seconds: float) -> list[float]:
    """Ask `per_second` times a second; each answer's time from its intended start, in ms. Blocks: for a thread."""
    context, asking = trusting(load), request(load)
    with ExitStack() as ending:
        socks = []
        for _ in range(CONNECTIONS):
            sock = ending.enter_context(closing(dial(load, context)))
            socks.append(sock)
            sock.sendall(asking)  # the first request of a connection pays for what later ones find
            read_answer(sock, len(small_json()))
        return _ask(socks, asking, int(per_second * seconds), 1 / per_second)


def _ask(socks: list[ssl.SSLSocket], asking: bytes, number: int, interval: float) -> list[float]:
    free = deque(socks)
    waiting: dict[ssl.SSLSocket, tuple[float, bytes]] = {}
    taken: list[float] = []
    sent, began = 0, time.perf_counter() + interval
    while len(taken) < number:
        now = time.perf_counter()
        due = began + sent * interval
        while sent < number and due <= now and free:
            sock = free.popleft()
            waiting[sock] = (due, b"")
            sock.sendall(asking)
            sent += 1
            due = began + sent * interval
        left = max(0.0, due - time.perf_counter()) if sent < number and free else STEP_SECONDS
        readable, _, _ = select.select(list(waiting), [], [], left)  # in microseconds, unlike epoll
        for sock in readable:
            due_at, received = waiting[sock]
            received += read_some(sock)
            if _whole(received):
                taken.append(1e3 * (time.perf_counter() - due_at))
                del waiting[sock]
                free.append(sock)
            else:
                waiting[sock] = (due_at, received)
        if not readable and waiting and left == STEP_SECONDS:
            raise BadAnswerError("an answer did not come")
    return taken


def _whole(received: bytes) -> bool:
    """Whether this is a whole 200 with a Content-Length."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    lines = head.lower().split(b"\r\n")
    if b" 200 " not in lines[0]:
        raise BadAnswerError(received[:300].decode("latin-1"))
    lengths = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
    return len(body) >= lengths[0]
