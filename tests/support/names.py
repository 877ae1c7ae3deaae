"""A name server that changes its answers, and a command run where it is the only one there is.

It listens on a loopback address of its own at the port that every resolver asks; a command in a mount namespace of its
own finds it in /etc/resolv.conf. Needs the right to mount (root).
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.missing import cannot, need

ADDRESS = "127.53.0.1"
A = 1  # RFC 1035 §3.2.2
ANSWER, NO_SUCH_NAME = 0x8580, 0x8583  # authoritative, recursion available


@dataclass
class NameServer:
    """`says`: by name, the answers one after the other, each a list of IPv4 addresses; the last one stays."""

    settings: Path
    says: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)  # for IPv4 addresses, by name

    def inside(self) -> tuple[str, ...]:
        """What to put before a command to run it where this is the name server."""
        mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ("unshare", "--mount", "sh", "-c", mount, str(self.settings))

    def answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while size := query[at]:
            labels.append(query[at + 1 : at + 1 + size].decode().lower())
            at += 1 + size
        (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
        name = ".".join(labels)
        known = self.says.get(name)
        found: list[str] = []
        if known is not None and kind == A:
            found = known[min(self.asked[name], len(known) - 1)]
            self.asked[name] += 1
        head = struct.pack(">HHHHHH", *struct.unpack(">H", query[:2]), ANSWER, 1, len(found), 0, 0)
        if known is None:
            head = struct.pack(">HHHHHH", *struct.unpack(">H", query[:2]), NO_SUCH_NAME, 1, 0, 0, 0)
        record = struct.pack(">HHHIH", 0xC00C, A, 1, 0, 4)  # the name above, class IN, to be kept for no time
        return head + query[12 : at + 5] + b"".join(record + socket.inet_aton(it) for it in found)


@contextmanager
def name_server(directory: Path) -> Iterator[NameServer]:
    need("unshare", "mount")
    settings = directory / "resolv.conf"
    settings.write_text(f"nameserver {ADDRESS}\noptions timeout:2 attempts:2\n")
    made = NameServer(settings)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        try:
            door.bind((ADDRESS, 53))
        except PermissionError:
            cannot("a name server needs port 53, which takes root")

        def serve() -> None:
            while True:
                query, client = door.recvfrom(512)
                if not query:
                    return
                door.sendto(made.answer(query), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield made
        finally:
            door.sendto(b"", (ADDRESS, 53))
            thread.join()
