"""One caller may call so often, one address a bit more often, and a crowd of callers costs no memory."""

from __future__ import annotations

import pytest

from appliance.core.paces import ADDRESSES_WORTH, MAX_CALLERS, Pace, Paces

NOW = 1_800_000_000_000_000
SECOND = 1_000_000


def test_a_burst_and_then_the_pace() -> None:
    pace = Pace(per_second=2, burst=3)
    assert [pace.refuse("ann", NOW) is None for _ in range(4)] == [True, True, True, False]
    refused = pace.refuse("ann", NOW)
    assert refused is not None
    assert (refused.status, refused.retry_after) == (429, 1)  # whole seconds, at least one
    assert pace.refuse("ben", NOW) is None
    assert [pace.refuse("ann", NOW + SECOND) is None for _ in range(3)] == [True, True, False]
    assert [pace.refuse("ann", NOW + 60 * SECOND) is None for _ in range(4)] == [True, True, True, False]


def test_being_refused_costs_nothing() -> None:
    pace = Pace(per_second=1, burst=1)
    assert pace.refuse("ann", NOW) is None
    for _ in range(100):
        assert pace.refuse("ann", NOW) is not None
    assert pace.refuse("ann", NOW + SECOND) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),  # one client has a /64
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_addresses_are_counted_as_clients_have_them(one: str, other: str, same: bool) -> None:
    paces = Paces(per_second=1, burst=1)
    for _ in range(ADDRESSES_WORTH):
        assert paces.refuse_address(one, NOW) is None
    assert paces.refuse_address(one, NOW) is not None
    assert (paces.refuse_address(other, NOW) is not None) is same


def test_a_crowd_is_bounded_and_the_quietest_is_forgotten() -> None:
    pace = Pace(per_second=1, burst=1)
    for number in range(MAX_CALLERS):
        pace.refuse(str(number), NOW)
    pace.refuse("0", NOW)  # heard of again
    assert pace.refuse("new", NOW) is None
    assert len(pace) == MAX_CALLERS
    assert pace.refuse("0", NOW) is not None
    assert pace.refuse("1", NOW) is None
