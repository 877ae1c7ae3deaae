"""Where the appliance may dial: every spelling of an address that must stay unreachable, and what is allowed."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.destinations import BadURL, destination, why_not
from appliance.core.networks import NOBODY, Networks

UNREADABLE = (
    "http://idp.example.com/",
    "HTTPS://idp.example.com/",
    "https:/idp.example.com/",
    "https:idp.example.com",
    "//idp.example.com/",
    "file:///etc/passwd",
    "gopher://idp.example.com/",
    "https://",
    "https:///path",
    "https://user@idp.example.com/",
    "https://user:secret@idp.example.com/",
    "https://idp.example.com@127.0.0.1/",
    "https://idp.example.com#@127.0.0.1/",
    "https://idp.example.com\\@127.0.0.1/",
    "https://idp.example.com/a\\b",
    "https://idp.example.com/#fragment",
    "https://idp.example.com:0/",
    "https://idp.example.com:65536/",
    "https://idp.example.com:443:443/",
    "https://idp.example.com:4\uff143/",
    "https://idp.example.com:+443/",
    "https://idp.example.com:/",
    "https://idp.example.com /",
    "https://idp.example.com\t/",
    "https://idp.example.com/\r\nHost: other",
    "https://idp.example.com\x00.evil.example/",
    "https://идп.example.com/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://idp_1.example.com/",
    "https://-idp.example.com/",
    "https://idp..example.com/",
    "https://idp.example.com./",
    "https://127.0.0.1./",
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://127.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.01/",
    "https://127.0.0.0x1/",
    "https://1.2.3.4.5/",
    "https://256.0.0.1/",
    "https://[127.0.0.1]/",
    "https://[::1%25lo]/",
    "https://[fe80::1%eth0]/",
    "https://[::1/",
    "https://::1/",
    "https://[::ffff:127.0.0.1.5]/",
    "https://[v1.x]/",
    f"https://{'a' * 64}.example.com/",
    f"https://idp.example.com/{'a' * 2048}",
)


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(BadURL):
        destination(url)


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("https://idp.example.com", "idp.example.com", 443, "/"),
        ("https://IDP.Example.com:8443/a/b?c=d&e", "idp.example.com", 8443, "/a/b?c=d&e"),
        ("https://xn--bcher-kva.example/x", "xn--bcher-kva.example", 443, "/x"),
        ("https://localhost:1/", "localhost", 1, "/"),
        ("https://192.0.2.7?x", "192.0.2.7", 443, "/?x"),
        ("https://[2001:DB8:0::1]:99/", "2001:db8::1", 99, "/"),
    ],
)
def test_a_plain_url_is_read(url: str, host: str, port: int, target: str) -> None:
    found = destination(url)
    assert (found.host, found.port, found.target) == (host, port, target)


INSIDE = (
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:0:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "64:ff9b:1::127.0.0.1",
    "100::1",
    "2001::1",
    "2001:0:5ef5:79fd:0:59d:a0e5:ba1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:101::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
)


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_plainly_public_is_not_dialled(address: str) -> None:
    assert why_not(ipaddress.ip_address(address), 443, NOBODY) is not None


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "192.31.195.1", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"]
)
def test_the_public_internet_is_dialled_on_one_port(address: str) -> None:
    assert why_not(ipaddress.ip_address(address), 443, NOBODY) is None
    assert "only port 443" in str(why_not(ipaddress.ip_address(address), 22, NOBODY))


def test_a_listed_network_opens_itself_and_nothing_else() -> None:
    allowed = Networks.parse(("10.1.0.0/16", "fd12::/16"))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1"):
        assert why_not(ipaddress.ip_address(address), 8443, allowed) is None
    for address in ("10.2.0.1", "127.0.0.1", "fd13::1", "64:ff9b::10.1.2.3", "2002:a01:203::1"):
        assert why_not(ipaddress.ip_address(address), 443, allowed) is not None


EVERYTHING = Networks.parse(("0.0.0.0/0", "::/0"))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "ff02::1",
    ],
)
def test_no_list_opens_metadata_and_what_no_provider_has(address: str) -> None:
    assert why_not(ipaddress.ip_address(address), 443, EVERYTHING) is not None


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_judged_alike_in_every_spelling(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    verdict = why_not(plain, 443, NOBODY)
    for spelt in (f"::ffff:{plain}", f"64:ff9b::{plain}"):
        assert (why_not(ipaddress.IPv6Address(spelt), 443, NOBODY) is None) == (verdict is None)
    assert verdict is not None or plain.is_global
