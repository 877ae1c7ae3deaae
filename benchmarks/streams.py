"""An upstream for what nginx cannot serve: watches and shells. `python -m benchmarks.streams DIRECTORY`, a process.

It stands for an API server and knows three things. A GET of WATCH_PATH is answered with a first list of 256 KiB and
then with silence. Once so many of BUSY_PATH are open, each gets EVENTS_PER_SECOND events that carry the moment they
were sent. An upgrade is answered with 101 and echoes; with `send=BYTES` in the target it sends so many bytes and waits
for the end; with `take=BYTES` it reads so many and answers one byte. Everything else is a small answer. Its own cost
is part of every way alike.
"""

from __future__ import annotations

import math
import random
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from benchmarks.processes import Part, running, until
from ops.demo.files import write_private
from tests.support.certificates import TestCA
from wire.contexts import server_context
from wire.tls import TLSStream, serve_handshake

PROBE_PATH = "/api/v1/namespaces/default"
WATCH_PATH = "/api/v1/namespaces/default/pods?watch=true"
BUSY_PATH = "/api/v1/namespaces/default/events?watch=true&of={}"
SHELL_PATH = "/api/v1/namespaces/default/pods/shell/exec?command=sh&stdin=true&stdout=true"
LIST_BYTES = 256 * 1024
EVENTS_PER_SECOND = 10
EVENT_BYTES = 400
PIECE_BYTES = 64 * 1024
BACKLOG = 4096
HEAD_SECONDS = 30.0

_SMALL = b'{"kind":"Status"}\n'


@dataclass(frozen=True, slots=True)
class Streams:
    """The running upstream."""

    part: Part
    port: int
    ca_pem: str

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@asynccontextmanager
async def streams(root: Path, ca: TestCA) -> AsyncIterator[Streams]:
    """Run it as a process of its own."""
    home = root / "streams"
    home.mkdir(mode=0o700)
    ca.issue(home, "server")
    log = home / "output.log"
    command = [sys.executable, "-m", "benchmarks.leash", sys.executable, "-m", "benchmarks.streams", str(home)]
    async with running("upstream", command, log) as part:
        port = home / "port"
        await until("the upstream", port.exists, part, log)
        yield Streams(part, int(port.read_text()), ca.pem)


# In the other process


class Busy:
    """All busy watches: one task sends every one its events, spread evenly over time."""

    def __init__(self) -> None:
        self._open: set[TLSStream] = set()
        self._number = 0
        self._begun = False

    async def hold(self, stream: TLSStream, of: int) -> None:
        """Send events until the other end leaves, as soon as `of` are there."""
        self._open.add(stream)
        self._begun = self._begun or len(self._open) >= of
        try:
            await stream.read()
        finally:
            self._open.discard(stream)
            self._begun = self._begun and bool(self._open)

    async def run(self) -> None:
        slot = 1 / (EVENTS_PER_SECOND * 10)  # a tenth of the watches at a time
        turn, due = 0, trio.current_time()
        while True:
            due = max(due + slot, trio.current_time() - 1.0)
            await trio.sleep_until(due)
            open_now = list(self._open) if self._begun else []
            share = math.ceil(len(open_now) / 10) or 1
            for stream in open_now[turn * share : (turn + 1) * share]:
                self._tell(stream)
            turn = (turn + 1) % 10

    def _tell(self, stream: TLSStream) -> None:
        self._number += 1
        start = f'{{"type":"MODIFIED","at":"{time.monotonic_ns()}","object":{{"number":"{self._number}","text":"'
        event = start.encode() + b"x" * (EVENT_BYTES - len(start) - 5) + b'"}}\n'
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            if not stream.write_nowait(b"%x\r\n%s\r\n" % (len(event), event)):
                self._open.discard(stream)  # it takes no more: a TLS write that failed would have to be repeated


async def main(home: Path) -> None:
    """Serve until ended."""
    context = server_context(home / "server.crt", home / "server.key", alpn=["http/1.1"])
    busy = Busy()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=BACKLOG)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(busy.run)

        async def accepted(raw: trio.SocketStream) -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError, ValueError):
                stream = await serve_handshake(raw.socket, context)
                try:
                    await _connection(stream, busy)
                finally:
                    stream.abort()

        write_private(home / "port", str(listeners[0].socket.getsockname()[1]).encode())
        await trio.serve_listeners(accepted, listeners)


async def _connection(stream: TLSStream, busy: Busy) -> None:
    """Answer one request after the other until one becomes a stream."""
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            data = await stream.read()
            if not data:
                return
            received += data
        head, _, received = received.partition(b"\r\n\r\n")
        target = head.split(b" ", 2)[1]
        if b"\r\nupgrade:" in head.lower():
            await _shell(stream, target, received)
            return
        if b"watch=true" in target:
            await _watch(stream, target, busy)
            return
        await stream.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_SMALL) + _SMALL
        )


async def _watch(stream: TLSStream, target: bytes, busy: Busy) -> None:
    await stream.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    if of := re.search(rb"&of=(\d+)", target):
        await busy.hold(stream, int(of[1]))
        return
    await stream.write(b"%x\r\n%s\r\n" % (LIST_BYTES, b'{"type":"ADDED"}'.ljust(LIST_BYTES - 1) + b"\n"))
    await stream.read()


async def _shell(stream: TLSStream, target: bytes, early: bytes) -> None:
    await stream.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
    wanted = re.search(rb"[?&](send|take)=(\d+)", target)
    if wanted is None:
        while data := early or await stream.read():
            early = b""
            await stream.write(data)
        return
    left = int(wanted[2])
    if wanted[1] == b"send":
        piece = random.randbytes(PIECE_BYTES)
        while left > 0:
            await stream.write(piece[:left])
            left -= len(piece)
    else:
        left -= len(early)
        while left > 0 and (data := await stream.read()):
            left -= len(data)
        await stream.write(b"!")
    await stream.read()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
