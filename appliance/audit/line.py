"""Messages over a socket between two processes of ours: a length (four bytes) and as many bytes.

What always holds: nothing is waited for beyond a deadline that is given; a message longer than agreed is refused
before it is read (ValueError).
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Final

_LENGTH: Final = struct.Struct("!I")


class Line:
    """One end. Used from one thread at a time."""

    def __init__(self, sock: socket.socket, most: int) -> None:
        self._socket = sock
        self._most = most

    def say(self, message: bytes, until: float | None = None) -> None:
        """Sends one. `until`: seconds on the monotonic clock; raises TimeoutError or another OSError."""
        self._wait_until(until)
        self._socket.sendall(_LENGTH.pack(len(message)) + message)

    def hear(self, until: float | None = None) -> bytes | None:
        """The next one; None when the other end is gone. Raises as `say` does, and ValueError."""
        head = self._read(_LENGTH.size, until)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        if length > self._most:
            raise ValueError(f"a message of {length} bytes")
        return self._read(length, until)

    def close(self) -> None:
        self._socket.close()

    def _read(self, size: int, until: float | None) -> bytes | None:
        read = bytearray(size)
        view, at = memoryview(read), 0
        while at < size:
            self._wait_until(until)
            got = self._socket.recv_into(view[at:])
            if not got:
                return None
            at += got
        return bytes(read)

    def _wait_until(self, until: float | None) -> None:
        if until is None:
            self._socket.settimeout(None)
            return
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
