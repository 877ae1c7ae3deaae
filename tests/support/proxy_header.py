"""PROXY headers of version 2, written by hand from the specification and not with the code that reads them."""

from __future__ import annotations

import socket
import struct

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
TCP4, UDP4, TCP6, UNIX, UNSPECIFIED = 0x11, 0x12, 0x21, 0x31, 0x00


def header(family: int, rest: bytes, *, command: int = 1, version: int = 2) -> bytes:
    return SIGNATURE + struct.pack("!BBH", version << 4 | command, family, len(rest)) + rest


def of(client: str, extensions: bytes = b"") -> bytes:
    """A header that says where a client's TCP connection comes from."""
    ports = struct.pack("!HH", 50_000, 443)
    if ":" in client:
        there = socket.inet_pton(socket.AF_INET6, client) + socket.inet_pton(socket.AF_INET6, "2001:db8::443")
        return header(TCP6, there + ports + extensions)
    there = socket.inet_pton(socket.AF_INET, client) + socket.inet_pton(socket.AF_INET, "192.0.2.1")
    return header(TCP4, there + ports + extensions)


def extension(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def local(rest: bytes = b"") -> bytes:
    return header(UNSPECIFIED, rest, command=0)
