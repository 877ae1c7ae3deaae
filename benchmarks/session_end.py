"""One end of a bare tunnel session, as a process: `python -m benchmarks.session_end appliance|agent DIRECTORY`.

The appliance's end opens exchanges, the agent's end answers them: `/small` with 2 KiB in one frame, `/big` with
BIG_BYTES in pieces. What is measured is wire/ alone over real TLS on loopback: no HTTP parsing, decision or upstream.
The appliance's end asks for what `plan.json` says, writes `results.json` and waits to be ended; CPU is its own and,
through /proc, that of the agent, which gives its process id as its name.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from benchmarks.nginx import small_json
from benchmarks.processes import cpu_seconds
from ops.demo.files import write_private
from wire.carrier import Carrier, Payload, TunnelRequested
from wire.contexts import client_context, server_context
from wire.heads import Identity, RequestHead, ResponseHead
from wire.opening import accept_session, dial_session
from wire.session import Exchange, Session, SessionEnded
from wire.tls import dial_handshake, serve_handshake

BIG_BYTES = 256 * 2**20
PIECE_BYTES = 64 * 1024  # what a relay reads from its upstream at once
WARM_EXCHANGES = 200

IDENTITY = Identity(b"alice@example.com", b"person-1", (b"viewers", b"developers"))
REQUEST_HEADERS = (
    (b"Accept", b"application/json"),
    (b"User-Agent", b"kubectl/v1.33.0 (linux/amd64) kubernetes/0000000"),
    (b"Accept-Encoding", b"gzip"),
)
ANSWER = ResponseHead(200, ((b"Content-Type", b"application/json"), (b"Content-Length", b"2048")))
SMALL = small_json()


async def answer(exchange: Exchange) -> None:
    """The agent's end of one exchange."""
    if exchange.request.target == b"/small":
        exchange.answer_nowait(ANSWER, SMALL)
        return
    await exchange.send_head(ANSWER)
    piece = bytes(PIECE_BYTES)
    for _ in range(BIG_BYTES // PIECE_BYTES):
        await exchange.write(piece)
    exchange.end_nowait()


async def agent(directory: Path) -> None:
    """Dial, then answer until the other end hangs up."""
    port = int((directory / "port").read_text())
    context = client_context((directory / "ca.pem").read_text(), alpn=["h2"])
    sock = trio.socket.socket()
    await sock.connect(("127.0.0.1", port))
    stream = await dial_handshake(sock, context, "localhost")
    session = await dial_session(stream, b"localhost", str(os.getpid()))
    with suppress(SessionEnded):
        await session.run(answer)


async def appliance(directory: Path) -> None:
    """Listen for one agent, then measure what the plan in the directory asks for."""
    plan = json.loads((directory / "plan.json").read_text())
    context = server_context(directory / "server.crt", directory / "server.key", alpn=["h2"], tls13_only=True)
    with trio.socket.socket() as listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen()
        part = directory / "port.part"
        part.write_text(str(listener.getsockname()[1]))
        part.rename(directory / "port")
        sock, _ = await listener.accept()
    stream = await serve_handshake(sock, context)
    carrier, stream_id, early = Carrier(client=False), 0, b""
    while not stream_id:
        for event in carrier.receive(await stream.read()):
            if isinstance(event, TunnelRequested):
                stream_id = event.stream_id
            elif isinstance(event, Payload):
                early += event.data
    session = await accept_session(stream, carrier, stream_id, "benchmark appliance", early)
    with suppress(SessionEnded):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            results = await _measure(session, plan["concurrency"], plan["seconds"])
            write_private(directory / "results.json", json.dumps(results).encode())
            await trio.sleep_forever()


async def _measure(session: Session, levels: list[int], seconds: float) -> list[dict[str, Any]]:
    peer = int(session.peer.name)
    results: list[dict[str, Any]] = []
    for level in levels:
        await _exchanges(session, level, count=max(1, WARM_EXCHANGES // level))
        began, own, theirs = time.perf_counter(), time.process_time(), cpu_seconds(peer)
        done = await _exchanges(session, level, until=trio.current_time() + seconds)
        took = time.perf_counter() - began
        results.append(
            {
                "kind": "exchanges",
                "concurrency": level,
                "per_second": done / took,
                "appliance_us": 1e6 * (time.process_time() - own) / done,
                "agent_us": 1e6 * (cpu_seconds(peer) - theirs) / done,
            }
        )
    began, own, theirs = time.perf_counter(), time.process_time(), cpu_seconds(peer)
    size = await _download(session)
    took = time.perf_counter() - began
    results.append(
        {
            "kind": "bulk",
            "mb_per_second": size / 1e6 / took,
            "appliance_cpu_per_gib": (time.process_time() - own) / size * 2**30,
            "agent_cpu_per_gib": (cpu_seconds(peer) - theirs) / size * 2**30,
        }
    )
    return results


async def _exchanges(
    session: Session, concurrency: int, *, count: int | None = None, until: float = float("inf")
) -> int:
    """Open exchanges one after the other in `concurrency` tasks; how many were answered whole."""
    head = RequestHead(b"GET", b"/small", REQUEST_HEADERS)
    done = 0

    async def ask() -> None:
        nonlocal done
        mine = 0
        while (count is None or mine < count) and trio.current_time() < until:
            exchange = session.open(head, IDENTITY, has_body=False)
            await exchange.head()
            received = 0
            while data := await exchange.read():
                received += len(data)
            if received != len(SMALL):
                raise RuntimeError("an answer that is not whole")
            exchange.close()
            mine += 1
        done += mine

    async with trio.open_nursery() as nursery:
        for _ in range(concurrency):
            nursery.start_soon(ask)
    return done


async def _download(session: Session) -> int:
    exchange = session.open(RequestHead(b"GET", b"/big", REQUEST_HEADERS), IDENTITY, has_body=False)
    await exchange.head()
    received = 0
    while data := await exchange.read():
        received += len(data)
    exchange.close()
    return received


if __name__ == "__main__":
    trio.run({"appliance": appliance, "agent": agent}[sys.argv[1]], Path(sys.argv[2]))
