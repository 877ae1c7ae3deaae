"""A load of one-shot clients: each connects, shakes hands, asks once, reads the answer and leaves. In threads.

OpenSSL works outside Python's lock, so eight threads use both cores. The certificate is checked, as kubectl does.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import trio

from benchmarks.nginx import small_json
from benchmarks.talk import dial, read_answer, request, trusting
from benchmarks.wrk import Counted, Load

WHOLE_BYTES = len(small_json())


async def run(load: Load, _directory: Path, /, *, connections: int, seconds: float) -> Counted:
    """Ask for `seconds`, from so many threads. Every answer must be whole, or the load has failed."""
    return await trio.to_thread.run_sync(partial(_run, load, connections, seconds))


def _run(load: Load, threads: int, seconds: float) -> Counted:
    began, own = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        asking = [pool.submit(_one_after_the_other, load, began + seconds) for _ in range(threads)]
        taken = [moment for one in asking for moment in one.result()]
    took = time.perf_counter() - began
    quantiles = statistics.quantiles(taken, n=100)
    return Counted(
        requests=len(taken),
        seconds=took,
        bytes=len(taken) * WHOLE_BYTES,
        p50_ms=quantiles[49],
        p99_ms=quantiles[98],
        max_ms=max(taken),
        own_cpu_seconds=time.process_time() - own,
    )


def _one_after_the_other(load: Load, until: float) -> list[float]:
    """How long each took, from connecting to the whole answer, in ms."""
    context, asking = trusting(load), request(load)
    taken = []
    while time.perf_counter() < until:
        began = time.perf_counter()
        with closing(dial(load, context)) as sock:
            sock.sendall(asking)
            read_answer(sock, WHOLE_BYTES)
        taken.append(1e3 * (time.perf_counter() - began))
    return taken
