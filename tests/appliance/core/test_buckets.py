"""How fast, how much at once, and how often one may fail."""

from __future__ import annotations

import pytest

from appliance.core import buckets
from appliance.core.buckets import Admission, FailedLogins, source_of
from appliance.core.events import AuditEvent, EventType
from appliance.core.problems import Code

SECOND = 1_000_000


def test_a_burst_then_the_rate() -> None:
    admission = Admission(per_second=10, burst=5, max_open=100)
    for _ in range(5):
        assert admission.admit("p", "c", 0) is None
    refused = admission.admit("p", "c", 0)
    assert refused is not None
    assert (refused.code, refused.status, refused.retry_after) == (Code.RATE_LIMITED, 429, 1)
    assert admission.admit("p", "c", SECOND // 10 - 1) is not None
    assert admission.admit("p", "c", SECOND // 10) is None
    assert admission.admit("p", "c", SECOND // 10) is not None
    for _ in range(5):
        assert admission.admit("p", "c", 60 * SECOND) is None
    assert admission.admit("p", "c", 60 * SECOND) is not None


def test_a_refusal_takes_nothing() -> None:
    admission = Admission(per_second=1, burst=1, max_open=10)
    assert admission.admit("p", "c", 0) is None
    for _ in range(50):
        assert admission.admit("p", "c", 1) is not None
    assert admission.open_exchanges("p", "c") == 1
    assert admission.admit("p", "c", SECOND) is None


def test_open_exchanges_are_bounded_and_given_back() -> None:
    admission = Admission(max_open=2)
    assert admission.admit("p", "c", 0) is None
    assert admission.admit("p", "c", 0) is None
    refused = admission.admit("p", "c", 0)
    assert refused is not None
    assert refused.code is Code.TOO_MANY_STREAMS
    assert (refused.retry_after or 0) >= 1
    assert admission.admit("p", "other", 0) is None
    assert admission.admit("q", "c", 0) is None
    admission.release("p", "c")
    assert admission.admit("p", "c", 0) is None


def test_giving_back_too_often_is_our_bug() -> None:
    admission = Admission()
    assert admission.admit("p", "c", 0) is None
    admission.release("p", "c")
    with pytest.raises(RuntimeError):
        admission.release("p", "c")


def test_idle_subjects_are_forgotten_and_busy_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MAX_IDLE_SUBJECTS", 8)
    admission = Admission()
    assert admission.admit("busy", "c", 0) is None
    for number in range(100):
        assert admission.admit(f"p{number}", "c", number * SECOND) is None
        admission.release(f"p{number}", "c")
        assert len(admission._lines) <= 8
    assert admission.open_exchanges("busy", "c") == 1


def test_failures_are_limited_by_address_and_forgiven_in_time() -> None:
    failures = FailedLogins()
    for _ in range(buckets.FAILURES_BURST):
        assert failures.refuse("192.0.2.1", 0) is None
        failures.failed("192.0.2.1", 0)
    refused = failures.refuse("192.0.2.1", 0)
    assert refused is not None
    assert refused.code is Code.RATE_LIMITED
    assert refused.retry_after == buckets.FAILURE_INTERVAL_SECONDS
    assert failures.refuse("192.0.2.2", 0) is None
    assert failures.refuse("192.0.2.1", buckets.FAILURE_INTERVAL_SECONDS * SECOND) is None


def test_that_someone_is_refused_from_now_on_is_told_once() -> None:
    told: list[AuditEvent] = []
    failures = FailedLogins(told.append)
    for _ in range(buckets.FAILURES_BURST - 1):
        failures.failed("192.0.2.1", 0, "issuer subject")
    assert told == []
    failures.failed("192.0.2.1", 0, "issuer subject")
    failures.failed("192.0.2.1", 0)
    (one,) = told
    assert (one.type, one.client_address, one.code) == (EventType.SIGN_IN_LIMITED, "192.0.2.1", Code.RATE_LIMITED)
    assert one.details == (("account", "issuer subject"),)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("odd:address", "odd:address", True),
    ],
)
def test_an_ipv6_client_is_its_network(one: str, other: str, same: bool) -> None:
    failures = FailedLogins()
    for _ in range(buckets.FAILURES_BURST + 1):
        failures.failed(one, 0)
    assert (failures.refuse(other, 0) is not None) is same


def test_addresses_are_bounded_and_the_quietest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MAX_ADDRESSES", 16)
    failures = FailedLogins()
    for _ in range(buckets.FAILURES_BURST + 5):
        failures.failed("192.0.2.1", 0)
    for number in range(200):
        failures.failed(f"198.51.100.{number}", 0)
        assert len(failures._full_at) <= 16
    assert failures.refuse("192.0.2.1", 0) is not None


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
    ],
)
def test_what_counts_as_one_client(address: str, source: str) -> None:
    assert source_of(address) == source
