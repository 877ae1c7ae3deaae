"""A relay that holds every byte back for a while: `python -m benchmarks.late_relay PORT TARGET_PORT SECONDS`.

What is left of a long way where there are no namespaces. The connections on both sides of it are short, so the
kernel's windows and congestion control never matter: it shows only whether our own credit keeps a long way full. It
takes in as much as comes, up to HELD_BYTES on their way.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import trio

READ_BYTES = 256 * 1024
HELD_BYTES = 64 * 2**20  # many times what any window lets be on its way
HELD_PIECES = HELD_BYTES // READ_BYTES


async def main(port: int, target: int, seconds: float) -> None:
    """Relay until ended."""

    async def accepted(near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream("127.0.0.1", target)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with near, far, trio.open_nursery() as nursery:
                for source, sink in ((near, far), (far, near)):
                    giving, taking = trio.open_memory_channel[tuple[float, bytes]](HELD_PIECES)
                    nursery.start_soon(_take, source, giving, seconds)
                    nursery.start_soon(_give, sink, taking)

    await trio.serve_tcp(accepted, port, host="127.0.0.1")


async def _take(source: trio.SocketStream, to: trio.MemorySendChannel[tuple[float, bytes]], seconds: float) -> None:
    async with to:
        while data := await source.receive_some(READ_BYTES):
            await to.send((trio.current_time() + seconds, bytes(data)))


async def _give(sink: trio.SocketStream, coming: trio.MemoryReceiveChannel[tuple[float, bytes]]) -> None:
    async for due, data in coming:
        await trio.sleep_until(due)
        await sink.send_all(data)
    await sink.send_eof()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
