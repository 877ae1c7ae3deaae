"""What a load balancer says of a connection, and what is no such thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.proxy_header import (
    TCP4,
    TCP6,
    UDP4,
    UNIX,
    UNSPECIFIED,
    extension,
    header,
    local,
    of,
)
from wire.proxy_header import FIXED_BYTES, MAX_REST_BYTES, BadProxyHeader, crc32c, rest_bytes, source

NAMES = extension(0x02, b"fairlead.example.com") + extension(0x04, b"") + extension(0xEA, b"\x01vpce-1")


def read(data: bytes) -> str | None:
    fixed, rest = data[:FIXED_BYTES], data[FIXED_BYTES:]
    assert rest_bytes(fixed) == len(rest)
    return source(fixed, rest)


def checked(client: str, *, wrong: bool = False) -> bytes:
    """A header with a checksum, which is that of the header with a blank in its place."""
    blank = of(client, NAMES + extension(0x03, bytes(4)))
    crc = crc32c(blank) ^ wrong
    return blank[:-4] + crc.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("data", "client"),
    [
        (of("198.51.100.7"), "198.51.100.7"),
        (of("2001:db8::7"), "2001:db8::7"),
        (of("::ffff:198.51.100.7"), "198.51.100.7"),
        (of("198.51.100.7", NAMES), "198.51.100.7"),
        (of("2001:db8::7", NAMES), "2001:db8::7"),
        (checked("198.51.100.7"), "198.51.100.7"),
        (local(), None),
        (local(b"anything at all"), None),
        (header(TCP4, bytes(12), command=0), None),
    ],
)
def test_a_whole_header_names_the_client(data: bytes, client: str | None) -> None:
    assert read(data) == client


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 50000 443\r\n", "does not begin"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32), "does not begin"),
        (header(TCP4, bytes(12), version=1), "version"),
        (header(TCP4, bytes(12), version=3), "version"),
        (header(TCP4, bytes(12), command=2), "version"),
        (header(UDP4, bytes(12)), "not about a TCP"),
        (header(UNIX, bytes(216)), "not about a TCP"),
        (header(UNSPECIFIED, b""), "not about a TCP"),
        (header(TCP4, bytes(11)), "cut short"),
        (header(TCP6, bytes(35)), "cut short"),
        (of("198.51.100.7", b"\x02"), "extension"),
        (of("198.51.100.7", b"\x02\x00\x05four"), "extension"),
        (of("198.51.100.7", NAMES + b"\x04\x00"), "extension"),
        (of("198.51.100.7", extension(0x03, b"abc")), "checksum"),
        (checked("198.51.100.7", wrong=True), "checksum"),
        (of("198.51.100.7", bytes(MAX_REST_BYTES)), "longer than"),
    ],
)
def test_anything_else_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadProxyHeader, match=reason):
        rest_bytes(data[:FIXED_BYTES])
        source(data[:FIXED_BYTES], data[FIXED_BYTES:])


@given(st.binary(max_size=200), st.integers(0, 40), st.integers(0, 255))
def test_whatever_stands_there_is_read_or_refused(rest: bytes, position: int, value: int) -> None:
    data = bytearray(of("198.51.100.7", NAMES) + rest)
    data[position] = value
    try:
        rest_bytes(bytes(data[:FIXED_BYTES]))
        source(bytes(data[:FIXED_BYTES]), bytes(data[FIXED_BYTES:]))
    except BadProxyHeader:
        pass


def test_the_checksum_is_that_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
