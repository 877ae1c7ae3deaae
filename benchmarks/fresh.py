"""A load of one-shot clients: each connects, shakes hands, asks once, reads the answer and leaves. In threads.

OpenSSL works outside Python's lock, so eight threads use both cores. The certificate is checked, as kubectl does.
"""

from __future__ import annotations

import ssl
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from socket import create_connection
from urllib.parse import urlsplit

import trio

from benchmarks.crowd import READ_BYTES, STEP_SECONDS, read_head, request
from benchmarks.nginx import small_json
from benchmarks.wrk import Counted, Load, LoadFailedError

WHOLE_BYTES = len(small_json())


async def run(load: Load, _directory: Path, /, *, connections: int, seconds: float) -> Counted:
    """Ask for `seconds`, from so many threads. Every answer must be whole, or the load has failed."""
    return await trio.to_thread.run_sync(partial(_run, load, connections, seconds))


def _run(load: Load, threads: int, seconds: float) -> Counted:
    context = ssl.create_default_context(cadata=load.ca_pem)
    began, own = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        asking = [pool.submit(_one_after_the_other, load, context, began + seconds) for _ in range(threads)]
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


def _one_after_the_other(load: Load, context: ssl.SSLContext, until: float) -> list[float]:
    """How long each took, from connecting to the whole answer, in ms."""
    place = urlsplit(load.url)
    host, port = place.hostname or "", place.port or 443
    asking = request(load)
    taken = []
    while time.perf_counter() < until:
        began = time.perf_counter()
        plain = create_connection((host, port), STEP_SECONDS)
        with closing(context.wrap_socket(plain, server_hostname=host)) as sock:
            sock.sendall(asking)
            head, body = read_head(sock)
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise LoadFailedError(head.decode("latin-1"))
            while len(body) < WHOLE_BYTES:
                data = sock.recv(READ_BYTES)
                if not data:
                    raise LoadFailedError(f"an answer ended after {len(body)} bytes")
                body += data
        taken.append(1e3 * (time.perf_counter() - began))
    return taken
