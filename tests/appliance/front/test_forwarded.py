"""Whom a request is for, as listed proxies tell it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.networks import Networks
from appliance.front.forwarded import MAX_HOPS, client_of
from wire.http1 import BadHead

PROXIES = Networks.parse(["10.0.0.0/8", "2001:db8:1::/48"])
PEER = "10.0.0.1"


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ([], PEER),
        ([b"198.51.100.7"], "198.51.100.7"),
        ([b"203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # what stands to the left, its client has written
        ([b"10.9.9.9, 198.51.100.7"], "198.51.100.7"),
        ([b"198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ([b"198.51.100.7", b"10.0.0.2,10.0.0.3"], "198.51.100.7"),
        ([b"10.0.0.4, 10.0.0.2"], "10.0.0.4"),
        ([b"198.51.100.7:50000"], "198.51.100.7"),
        ([b"2001:db8::7"], "2001:db8::7"),
        ([b"[2001:db8::7]"], "2001:db8::7"),
        ([b"[2001:db8::7]:443"], "2001:db8::7"),
        ([b"::ffff:198.51.100.7"], "198.51.100.7"),
        ([b"198.51.100.7, 2001:db8:1::5"], "198.51.100.7"),
        ([b"unknown"], PEER),
        ([b"198.51.100.7, unknown, 10.0.0.2"], "10.0.0.2"),
        ([b"garbage\xff, 198.51.100.7"], "198.51.100.7"),
        ([b""], PEER),
        ([b"198.51.100.7,"], PEER),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(lines: list[bytes], client: str) -> None:
    assert client_of(PEER, PROXIES, lines, []) == client


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ([b"for=198.51.100.7"], "198.51.100.7"),
        ([b'For="198.51.100.7:50000";proto=https;by=10.0.0.1'], "198.51.100.7"),
        ([b'proto=https; for="[2001:db8::7]:4711"'], "2001:db8::7"),
        ([b"for=203.0.113.9, for=198.51.100.7", b"for=10.0.0.2"], "198.51.100.7"),
        ([b"for=_hidden, for=10.0.0.2"], "10.0.0.2"),
        ([b"for=unknown"], PEER),
        ([b"proto=https"], PEER),
        ([b'for="198.51.100\\.7"'], "198.51.100.7"),
    ],
)
def test_forwarded_is_read_from_the_right(lines: list[bytes], client: str) -> None:
    assert client_of(PEER, PROXIES, [], lines) == client


@pytest.mark.parametrize(
    ("x_forwarded_for", "forwarded"),
    [
        ([b"198.51.100.7"], [b"for=203.0.113.9"]),
        ([b"198.51.100.7"], [b"proto=https"]),
        ([], [b'for="198.51.100.7']),
        ([], [b'for="a', b'for="[2001:db8::7]"']),  # a client's open quotation does not swallow what its proxy adds
        ([], [b"for=198.51.100.7;for=203.0.113.9"]),
        ([], [b"198.51.100.7"]),
        ([b",".join([b"10.0.0.2"] * (MAX_HOPS + 1))], []),
    ],
)
def test_what_is_not_clear_is_refused(x_forwarded_for: list[bytes], forwarded: list[bytes]) -> None:
    with pytest.raises(BadHead):
        client_of(PEER, PROXIES, x_forwarded_for, forwarded)


def test_two_headers_that_agree_are_believed() -> None:
    assert client_of(PEER, PROXIES, [b"198.51.100.7"], [b"for=198.51.100.7;proto=https"]) == "198.51.100.7"


@given(st.text(st.characters(max_codepoint=255)), st.sampled_from(["198.51.100.7", "2001:db8::7"]))
def test_a_client_cannot_choose_what_its_proxy_says_of_it(chosen: str, client: str) -> None:
    """Whatever a client sends along: its proxy adds its address at the end, and that is what counts, or nothing is."""
    sent = chosen.encode("latin-1")
    assert client_of(PEER, PROXIES, [sent, client.encode()], []) == client
    node = f'"[{client}]"' if ":" in client else client
    try:
        assert client_of(PEER, PROXIES, [], [sent, f"for={node}".encode()]) == client
    except BadHead:
        pass
