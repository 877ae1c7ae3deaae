"""A flooding peer, as a program of its own: many connections that say the same thing as fast as the other end takes it.

Reads one `Flood` as JSON from standard input, and goes on until that ends; whoever is flooded sees when it has begun.
Its own work is in OpenSSL and the kernel, so a slow machine floods slowly but never stops. One thread has each
connection: OpenSSL allows no two on one, and what a second would still be reading when the first has closed it are the
next connection's bytes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from wire import frames
from wire.carrier import Carrier, CarrierError, TunnelOpened

REPOSITORY = Path(__file__).resolve().parents[2]
CONNECTIONS = 16
HTTP2_OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
HTTP2_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
STEP_SECONDS = 10.0  # for each connection's beginning; how slowly the other end takes what follows is its own affair
END_SECONDS = 10.0
READ_BYTES = 65536

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@dataclass(frozen=True)
class Flood:
    """What every connection does: connect, say `opening`, then `burst` again and again.

    `ca_pem`: speak TLS. `tunnel`: the burst is frames inside a tunnel. `again`: after `opening` wait for an answer's
    first byte, leave, and come back.
    """

    port: int
    opening: str = ""
    burst: str = ""
    ca_pem: str = ""
    certificate: str = ""
    key: str = ""
    alpn: str = "http/1.1"
    tunnel: bool = False
    again: bool = False
    connections: int = CONNECTIONS


def text(data: bytes) -> str:
    """Bytes as they stand in a `Flood`."""
    return base64.b64encode(data).decode()


def client_hello(alpn: str) -> bytes:
    """The first flight of a client: cheap to send again, and dear to answer."""
    context = ssl.create_default_context()
    context.set_alpn_protocols([alpn])
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


@contextmanager
def flooding(flood: Flood) -> Iterator[None]:
    """Flood while the block runs. It takes a moment to begin.

    Raises:
        AssertionError: the flooder ended by itself, so what the block saw was no flood.

    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.flood"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(asdict(flood)) + "\n")
        process.stdin.flush()
        yield
    finally:
        ended = process.poll()
        with contextlib.suppress(BrokenPipeError):  # what it never read, when it has ended
            process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert ended is None, f"the flooder ended by itself, with {ended}"


# In the other process


def main() -> None:
    flood = Flood(**json.loads(sys.stdin.readline()))
    for _ in range(flood.connections):
        threading.Thread(target=_connection, args=(flood,), daemon=True).start()
    sys.stdin.read()


def _connection(flood: Flood) -> None:
    """Begin again whenever the other end has had enough."""
    while True:
        with contextlib.suppress(OSError, CarrierError), _connect(flood) as sock:
            if flood.again:
                sock.sendall(base64.b64decode(flood.opening))
                sock.recv(1)
            elif flood.tunnel:
                _flood_tunnel(sock, base64.b64decode(flood.burst))
            else:
                _say(sock, base64.b64decode(flood.opening))
                burst = base64.b64decode(flood.burst)
                while True:
                    _say(sock, burst)


def _connect(flood: Flood) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", flood.port), STEP_SECONDS)
    if not flood.ca_pem:
        return sock
    context = ssl.create_default_context(cadata=flood.ca_pem)
    context.set_alpn_protocols([flood.alpn])
    if flood.certificate:
        context.load_cert_chain(flood.certificate, flood.key)
    return context.wrap_socket(sock, server_hostname="127.0.0.1")


def _say(sock: socket.socket, data: bytes) -> bytes:
    """Write everything. Returns what came meanwhile: it is read, so that the other end is never held up by it.

    Raises:
        OSError: the other end has had enough.

    """
    sock.setblocking(False)
    heard = []
    while data:
        try:
            data = data[sock.send(data) :]
        except _NOT_NOW:
            select.select([sock], [sock], [])
        with contextlib.suppress(*_NOT_NOW):
            while True:
                heard.append(_some(sock))
    return b"".join(heard)


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(READ_BYTES)
    if not data:
        raise ConnectionAbortedError("the other end has ended it")
    return data


def _flood_tunnel(sock: socket.socket, burst: bytes) -> None:
    """Open a tunnel as an agent does, and flood it within the windows of HTTP/2, which are returned on receipt."""
    carrier = Carrier(client=True)
    carrier.request_tunnel(b"localhost")
    sock.sendall(carrier.take())
    while TunnelOpened() not in carrier.receive(_some(sock)):
        sock.sendall(carrier.take())
    hello = carrier.wrap(frames.encode_hello(frames.Hello(1, 1, (), 65536, 10, b"flood")))
    carrier.receive(_say(sock, carrier.take() + hello))
    while True:
        while carrier.sendable >= len(burst):
            carrier.receive(_say(sock, carrier.take() + carrier.wrap(burst)))
        select.select([sock], [], [])
        with contextlib.suppress(*_NOT_NOW):
            carrier.receive(_some(sock))


if __name__ == "__main__":
    main()
