"""An outage is told once, then counted; another one beside or after it is told, too."""

from __future__ import annotations

from appliance.core.outages import AGAIN_SECONDS, QUIET_SECONDS, Outages


def test_it_is_told_once_and_then_counted() -> None:
    outages = Outages()
    told = [outages.met("store", second / 10) for second in range(int(AGAIN_SECONDS * 20) + 1)]
    assert [(at, times) for at, times in enumerate(told) if times] == [(0, 1), (600, 600), (1200, 600)]
    assert sum(told) == len(told)
    assert outages.met("ledger", AGAIN_SECONDS) == 1


def test_what_comes_after_a_quiet_while_is_new() -> None:
    outages = Outages()
    assert [outages.met("store", at) for at in (0.0, QUIET_SECONDS, 2 * QUIET_SECONDS - 1)] == [1, 0, 0]
    assert outages.met("store", 3 * QUIET_SECONDS) == 3  # with those that were not told
