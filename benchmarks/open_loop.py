"""A client that asks at fixed moments, whether or not earlier answers have come: latency from the intended start.

A closed loop (wrk) asks less while the server is slow and so leaves the slow moments out. This one has a plan; a
request that could not be sent in time, because every connection was waiting, counts from when it was due.
"""

from __future__ import annotations

import select
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing

from benchmarks.client import BadAnswerError
from benchmarks.nginx import small_json
from benchmarks.talk import STEP_SECONDS, dial, read_answer, read_some, request, trusting
from benchmarks.wrk import Load

CONNECTIONS = 16  # at 100 requests a second one of them is enough, unless answers take longer than 160 ms


def latencies(load: Load, *, per_second: int, seconds: float) -> list[float]:
    """Ask `per_second` times a second; each answer's time from its intended start, in ms. Blocks: for a thread."""
    number = int(per_second * seconds)
    return [took for _, took in answered(load, per_second=per_second, more=lambda sent: sent < number)]


def answered(load: Load, *, per_second: int, more: Callable[[int], bool]) -> list[tuple[float, float]]:
    """Ask `per_second` times a second while `more(how many were sent)`.

    Returns each answer's intended start (CLOCK_MONOTONIC, seconds) and its time from then in ms. Blocks: for a thread.
    """
    context, asking = trusting(load), request(load)
    with ExitStack() as ending:
        socks = []
        for _ in range(CONNECTIONS):
            sock = ending.enter_context(closing(dial(load, context)))
            socks.append(sock)
            sock.sendall(asking)  # the first request of a connection pays for what later ones find
            read_answer(sock, len(small_json()))
        return _ask(socks, asking, 1 / per_second, more)


def dialled(load: Load, *, per_second: int, done: threading.Event) -> list[tuple[float, float]]:
    """The same until `done`, with a new connection for each request, one by one: the time has the dialling in it."""
    context, asking = trusting(load), request(load)
    taken: list[tuple[float, float]] = []
    began = time.monotonic()
    due = began
    while not done.wait(max(0.0, due - time.monotonic())):
        with closing(dial(load, context)) as sock:
            sock.sendall(asking)
            read_answer(sock, len(small_json()))
        taken.append((due, 1e3 * (time.monotonic() - due)))
        due = began + len(taken) / per_second
    return taken


def _ask(
    socks: list[ssl.SSLSocket], asking: bytes, interval: float, more: Callable[[int], bool]
) -> list[tuple[float, float]]:
    free = deque(socks)
    waiting: dict[ssl.SSLSocket, tuple[float, bytes]] = {}
    taken: list[tuple[float, float]] = []
    sent, began, going = 0, time.monotonic() + interval, True
    while going or waiting:
        now = time.monotonic()
        due = began + sent * interval
        going = going and more(sent)
        while going and due <= now and free:
            sock = free.popleft()
            waiting[sock] = (due, b"")
            sock.sendall(asking)
            sent += 1
            due = began + sent * interval
            going = more(sent)
        left = max(0.0, due - time.monotonic()) if going and free else STEP_SECONDS
        readable, _, _ = select.select(list(waiting), [], [], left)  # in microseconds, unlike epoll
        for sock in readable:
            due_at, received = waiting[sock]
            received += read_some(sock)
            if _whole(received):
                taken.append((due_at, 1e3 * (time.monotonic() - due_at)))
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
