"""An HTTP proxy as a company has one: it knows CONNECT and asks for credentials, over TLS or in clear. In threads."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    """What a test holds of it. `asked`: to where it was asked to connect; `refused`: how often without credentials."""

    port: int
    credentials: str
    status: int = 200
    asked: list[str] = field(default_factory=list)
    refused: int = 0
    ends: list[socket.socket] = field(default_factory=list)

    def serve(self, near: socket.socket) -> None:
        """One connection."""
        with contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = near.recv(4096)
                if not piece:
                    return
                head += piece
            expected = b"Basic " + base64.b64encode(self.credentials.encode())
            if self.credentials and expected not in head:
                self.refused += 1
                near.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            found = re.match(rb"CONNECT \[?([^\s\]]+?)\]?:(\d+) HTTP/1\.1\r\n", head)
            assert found is not None, head
            self.asked.append(f"{found[1].decode()}:{found[2].decode()}")
            if self.status != 200:
                near.sendall(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % self.status)
                return
            with socket.create_connection((found[1].decode(), int(found[2]))) as far:
                self.ends += [near, far]
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_forward, args=(far, near), daemon=True)
                back.start()
                _forward(near, far)
                back.join()

    def cut(self) -> None:
        """End every connection that it carries."""
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _forward(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def connect_proxy(
    credentials: str = "", context: ssl.SSLContext | None = None, status: int = 200
) -> Iterator[ConnectProxy]:
    """Run one on loopback. `context`: it speaks TLS."""
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = ConnectProxy(listener.getsockname()[1], credentials, status)

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=begin, args=(near,), daemon=True).start()

    def begin(near: socket.socket) -> None:
        try:
            wrapped = near if context is None else context.wrap_socket(near, server_side=True)
        except OSError:
            near.close()
            return
        with wrapped:
            proxy.serve(wrapped)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield proxy
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        proxy.cut()
