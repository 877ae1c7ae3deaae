"""The near end of a long way, as a process: `python -m benchmarks.far_end DIRECTORY ROUNDS OUT [NAMESPACE]`.

Starts an appliance here and its agent with the upstream in NAMESPACE, which is 100 ms away, and moves 64 MiB through
the tunnel; OUT gets MB/s of each round. Without a NAMESPACE the agent is here too, behind a relay that holds bytes
back: then only our own credit is tested.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from benchmarks import client, fairlead, nginx
from benchmarks.fairlead import Chain, Wishes
from benchmarks.far_link import NEAR
from benchmarks.processes import running
from ops.demo.files import write_private
from tests.support.certificates import TestCA

ROUND_TRIP_SECONDS = 0.1
RAMP_BYTES = 16 * 2**20  # until here windows may still be growing


async def main(directory: Path, rounds: int, out: Path, namespace: str) -> None:
    """Measure both directions, `rounds` times."""
    inside = ("ip", "netns", "exec", namespace) if namespace else ()
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(nginx.upstream(directory, TestCA.make("benchmark CA"), inside))
        if namespace:
            wishes = Wishes(name="far", host=NEAR, inside_agent=inside)
        else:
            port, behind = nginx.free_port(), nginx.free_port()
            wishes = Wishes(name="late", agents=port, agents_url=f"https://127.0.0.1:{behind}")
            words = [str(behind), str(port), str(ROUND_TRIP_SECONDS / 2)]
            relay = [sys.executable, "-m", "benchmarks.leash", sys.executable, "-m", "benchmarks.late_relay", *words]
            await stack.enter_async_context(running("relay", relay, directory / "relay.log"))
        chain = await stack.enter_async_context(fairlead.wished(directory, upstream, wishes))
        found = []
        for _ in range(rounds):
            found.append({"down": await _down(chain), "up": await _up(chain)})
            print(found[-1], flush=True)  # into the log, for whoever wonders how far it came
    write_private(out, json.dumps(found).encode())


async def _down(chain: Chain) -> float:
    """MB/s of what came after the ramp."""
    async with client.asked(chain.load(nginx.BIG_PATH)) as answer:
        ramp = await answer.drain(RAMP_BYTES)
        began = time.perf_counter()
        size = await answer.drain()
        return (size - ramp) / 1e6 / (time.perf_counter() - began)


async def _up(chain: Chain) -> float:
    """MB/s of a whole upload, its ramp included: only the other end sees when it is steady."""
    began = time.perf_counter()
    async with client.asked(chain.load(nginx.UPLOAD_PATH), body_bytes=nginx.BIG_BYTES) as answer:
        await answer.drain()
    return nginx.BIG_BYTES / 1e6 / (time.perf_counter() - began)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), "".join(sys.argv[4:]))
