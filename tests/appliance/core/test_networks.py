"""Which addresses an operator has named."""

from __future__ import annotations

import pytest

from appliance.core.networks import NOBODY, Networks

SOME = Networks.parse(["192.0.2.0/24", "198.51.100.7", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("address", "held"),
    [
        ("192.0.2.1", True),
        ("192.0.3.1", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8:1::1", True),
        ("2001:db9::1", False),
        ("::ffff:192.0.2.1", True),
        ("2001:db8::1%eth0", True),
        ("", False),
        ("localhost", False),
    ],
)
def test_an_address_is_compared_as_what_it_is(address: str, held: bool) -> None:
    assert SOME.hold(address) is held
    assert not NOBODY.hold(address)


@pytest.mark.parametrize("text", ["192.0.2.1/24", "192.0.2.0/33", "example.com", "", "2001:db8::1/32"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Networks.parse([text])
