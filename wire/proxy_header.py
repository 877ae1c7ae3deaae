"""The PROXY protocol's header, version 2: what a load balancer says, before TLS, of the connection it passes on. Pure.

Written for those whose load balancer is told to send it, so there is no guessing: anything but a whole, well-formed
header about a TCP connection (or LOCAL: the balancer speaks for itself) is refused. Its extensions (TLVs) are checked
for their form, the checksum for its value, and nothing of them is used. Version 1 is text without a length up front,
and is not read.
"""

from __future__ import annotations

import ipaddress
from typing import Final

FIXED_BYTES: Final = 16
"""Signature, version and command, family, length of the rest."""

MAX_REST_BYTES: Final = 2048
"""Addresses are 36 bytes. Extensions in use: a cloud's endpoint id (30), names of a certificate (some hundred)."""

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION: Final = 0x20
_LOCAL, _PROXY = 0x0, 0x1
_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}  # TCP over IPv4, TCP over IPv6; two of them and two ports follow
_CHECKSUM: Final = 0x03


class BadProxyHeader(Exception):
    """It is no header of version 2, or not one that says where a TCP connection comes from."""


def rest_bytes(fixed: bytes) -> int:
    """Return how many bytes follow the first FIXED_BYTES."""
    if fixed[:12] != _SIGNATURE:
        raise BadProxyHeader("it does not begin with a PROXY header of version 2")
    if fixed[12] & 0xF0 != _VERSION or fixed[12] & 0x0F not in {_LOCAL, _PROXY}:
        raise BadProxyHeader("its version or command is unknown")
    length = int.from_bytes(fixed[14:16], "big")
    if length > MAX_REST_BYTES:
        raise BadProxyHeader(f"it is longer than {MAX_REST_BYTES} bytes")
    return length


def source(fixed: bytes, rest: bytes) -> str | None:
    """Return the client's address; None: the balancer itself asks (LOCAL), as for a health check."""
    if fixed[12] & 0x0F == _LOCAL:
        return None
    size = _ADDRESS_BYTES.get(fixed[13])
    if size is None:
        raise BadProxyHeader("it is not about a TCP connection")
    end = 2 * size + 4
    if len(rest) < end:
        raise BadProxyHeader("its addresses are cut short")
    _check_extensions(fixed + rest, FIXED_BYTES + end)
    address = ipaddress.ip_address(rest[:size])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _check_extensions(header: bytes, at: int) -> None:
    while at < len(header):
        value = at + 3
        after = value + int.from_bytes(header[at + 1 : value], "big")
        if after > len(header) or value > len(header):
            raise BadProxyHeader("an extension is cut short")
        if header[at] == _CHECKSUM:
            given = header[value:after]
            blank = header[:value] + bytes(len(given)) + header[after:]
            if given != crc32c(blank).to_bytes(4, "big"):
                raise BadProxyHeader("its checksum is wrong")
        at = after


def crc32c(data: bytes) -> int:
    """Return the CRC of RFC 3309; headers that carry one are short and come once a connection."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
