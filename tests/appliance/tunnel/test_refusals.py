"""Refusals of one certificate: the first is recorded, then one a minute, and nobody is hidden by being forgotten."""

from __future__ import annotations

from appliance.tunnel.refusals import EVERY_MICROS, MAX_REMEMBERED, Refusals

NOW = 1_000_000


def test_the_first_at_once_and_then_one_a_minute_for_all_of_it() -> None:
    refusals = Refusals()

    assert [refusals.due("s", "revoked", NOW + tick) for tick in range(5)] == [1, 0, 0, 0, 0]
    assert refusals.due("s", "revoked", NOW + EVERY_MICROS) == 5
    assert refusals.due("s", "revoked", NOW + EVERY_MICROS + 1) == 0
    assert refusals.due("s", "revoked", NOW + 3 * EVERY_MICROS) == 2


def test_another_certificate_and_another_fault_are_recorded_for_themselves() -> None:
    refusals = Refusals()

    assert [refusals.due(*one, NOW) for one in (("s", "revoked"), ("t", "revoked"), ("s", "unknown"))] == [1, 1, 1]


def test_what_is_remembered_is_bounded_and_whoever_is_forgotten_is_recorded_again() -> None:
    refusals = Refusals()
    refusals.due("s", "revoked", NOW)
    for number in range(MAX_REMEMBERED):
        assert refusals.due(str(number), "revoked", NOW) == 1

    assert refusals.due("s", "revoked", NOW) == 1
