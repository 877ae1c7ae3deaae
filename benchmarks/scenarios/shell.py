"""shell: how long a keystroke takes to come back through an exec, and how fast an exec carries bytes.

Means: one upgraded connection (as kubectl exec, cp and port-forward use) to an upstream that echoes. A keystroke of 40
bytes is sent every 10 ms and read back: the round trip's p50 and p99 are what a person typing feels on top of the
network. Then 128 MiB one way and the other, as `kubectl cp` moves them. Direct, through nginx, through Fairlead, in
turn in every round.

Could mislead: the client is one Python thread, which sees wake-ups of its own (they are in the direct way too, so
compare with that); one shell alone finds idle processes, whose first turn after a pause is slower than a busy one's.
Loopback: no delay, no loss.
"""

from __future__ import annotations

import ssl
import statistics
import threading
import time
from contextlib import AsyncExitStack, closing
from typing import Any

import trio

from benchmarks import streams
from benchmarks.client import BadAnswerError
from benchmarks.goals import figure
from benchmarks.rounds import Target, turned
from benchmarks.scenarios import Options
from benchmarks.scenarios.watches import beyond, ways
from benchmarks.talk import READ_BYTES, dial, read_head, read_some, request, trusting

ROUNDS = 5
KEYSTROKES = 200
KEYSTROKE = b"k" * 40
PAUSE_SECONDS = 0.01
BULK_BYTES = 128 * 2**20
UPGRADE = ("Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")


async def run(options: Options) -> dict[str, Any]:
    """Type and copy each way, in turn, every round."""
    async with AsyncExitStack() as stack:
        known = await ways(stack, options)
        rounds = [
            {way.name: await trio.to_thread.run_sync(_way, way) for way in turned(known, number)}
            for number in range(options.rounds)
        ]
    for name in ("direct", "nginx", "express"):
        middle = {key: statistics.median(done[name][key] for done in rounds) for key in rounds[0][name]}
        print(f"{name:<8} " + "  ".join(f"{key} {value:.2f}" for key, value in middle.items()))
    found = []
    for key, unit in (("echo p50", "ms"), ("echo p99", "ms")):
        added = [done["express"][key] - done["direct"][key] for done in rounds]
        found.append(figure(f"{key} of a keystroke over direct", unit, added))
        nginx = [done["nginx"][key] - done["direct"][key] for done in rounds]
        found.append(figure(f"{key} of a keystroke over direct, through nginx", unit, nginx))
    for key in ("down", "up"):
        found.append(figure(f"exec, {key}", "MB/s", [done["express"][key] for done in rounds]))
        found.append(figure(f"exec, {key} ÷ nginx", "", [done["express"][key] / done["nginx"][key] for done in rounds]))
    return {"figures": found, "rounds": rounds}


def _way(way: Target) -> dict[str, float]:
    taken = _echoes(way)
    quantiles = statistics.quantiles(taken, n=100)
    found = {"echo p50": quantiles[49], "echo p99": quantiles[98]}
    with closing(_opened(way, f"&send={BULK_BYTES}")) as sock:
        began, size = time.perf_counter(), 0
        while size < BULK_BYTES:
            size += len(read_some(sock))
        found["down"] = size / 1e6 / (time.perf_counter() - began)
    with closing(_opened(way, f"&take={BULK_BYTES}")) as sock:
        began = time.perf_counter()
        piece = bytes(READ_BYTES)
        for _ in range(BULK_BYTES // READ_BYTES):
            sock.sendall(piece)
        read_some(sock)
        found["up"] = BULK_BYTES / 1e6 / (time.perf_counter() - began)
    return found


def _echoes(way: Target) -> list[float]:
    """Round trips of keystrokes, in ms."""
    taken = []
    pause = threading.Event()
    with closing(_opened(way, "")) as sock:
        for _ in range(KEYSTROKES):
            pause.wait(PAUSE_SECONDS)
            began = time.perf_counter()
            sock.sendall(KEYSTROKE)
            left = len(KEYSTROKE)
            while left > 0:
                left -= len(read_some(sock))
            taken.append(1e3 * (time.perf_counter() - began))
    return taken


def _opened(way: Target, more: str) -> ssl.SSLSocket:
    load = beyond(way, streams.SHELL_PATH + more)
    sock = dial(load, trusting(load))
    sock.sendall(request(load, UPGRADE, "POST"))
    early = read_head(sock, 101)
    if early:
        sock.close()
        raise BadAnswerError(early[:300].decode("latin-1"))
    return sock
