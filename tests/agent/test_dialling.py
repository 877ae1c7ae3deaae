"""When the next try is made."""

from __future__ import annotations

from agent.dialling import CAP_SECONDS, FIRST_BOUND_SECONDS, STABLE_SECONDS, Backoff


def bounds(backoff: Backoff, count: int) -> list[float]:
    return [backoff.wait_seconds() for _ in range(count)]


def upper(_low: float, high: float) -> float:
    return high


def test_the_bound_doubles_up_to_its_cap() -> None:
    assert bounds(Backoff(upper), 8) == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, CAP_SECONDS, CAP_SECONDS]


def test_the_wait_is_anything_below_the_bound() -> None:
    backoff = Backoff(lambda low, high: (low, high)[0])

    assert bounds(backoff, 5) == [0.0] * 5


def test_a_session_that_falls_at_once_does_not_end_a_row_of_failures() -> None:
    backoff = Backoff(upper)
    bounds(backoff, 10)

    backoff.held(STABLE_SECONDS - 1)
    assert backoff.wait_seconds() == CAP_SECONDS
    backoff.held(STABLE_SECONDS)
    assert backoff.wait_seconds() == FIRST_BOUND_SECONDS


def test_a_thousand_agents_spread() -> None:
    waits = [_after(6) for _ in range(1000)]

    assert max(waits) <= CAP_SECONDS
    assert sum(wait < 1.0 for wait in waits) < 150


def _after(failures: int) -> float:
    backoff = Backoff()
    bounds(backoff, failures)
    return backoff.wait_seconds()
