"""A TCP cable that can be held still or pulled out: what lies between an agent and its appliance.

Held still, both ends stay connected and no byte arrives, as on a path that drops packets without a word.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Self

CONNECT_SECONDS = 5.0


class Cable:
    """Listens on a port of its own and forwards to another one of this machine."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._target = 0
        self._flows = threading.Event()
        self._flows.set()
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._over = False
        threading.Thread(target=self._accept, daemon=True).start()

    def leads_to(self, port: int) -> None:
        self._target = port

    def hold(self) -> None:
        """Let nothing through any more, new connections included."""
        self._flows.clear()

    def release(self) -> None:
        """Let everything through again."""
        self._flows.set()

    def pull(self) -> None:
        """Reset every connection there is."""
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):  # its peer has left already
                end.shutdown(socket.SHUT_RD)  # wakes the thread that reads it
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._flows.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self._target), CONNECT_SECONDS)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        with self._lock:
            if self._over:
                near.close()
                far.close()
                return
            self._ends |= {near, far}
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        self._flows.wait()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._over = True
        self.release()
        self.pull()
