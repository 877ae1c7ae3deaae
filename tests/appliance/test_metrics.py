"""What is counted from the audit trail, and what becomes of it on the page."""

from __future__ import annotations

import pytest

from appliance.core.buckets import FailedLogins
from appliance.core.events import AuditEvent, EventType
from appliance.heard import ANSWERS, BOUNDS, Heard
from appliance.metrics import sign_ins
from daemon.metrics import Numbers, counters, histogram
from tests.support.meter import parsed


def closed(status: int, duration: int, verb: str = "get", subresource: str = "") -> AuditEvent:
    event = AuditEvent(0, EventType.PROXY_CLOSED, verb=verb, subresource=subresource, status=status, duration=duration)
    return event._replace(bytes_in=1, bytes_out=10)


def test_requests_by_answer_bytes_and_time() -> None:
    heard = Heard()
    for event in (
        closed(200, 4_000),
        closed(404, 5_000),  # a bound counts as within it
        closed(0, 90_000_000),
        closed(200, 60_000_000, verb="watch"),
        closed(101, 60_000_000, verb="create", subresource="exec"),
        AuditEvent(0, EventType.PROXY_DENIED, status=403),
    ):
        heard.hear([event])

    assert dict(zip(ANSWERS, heard.answers, strict=True)) == {
        "none": 1,
        "1xx": 1,
        "2xx": 2,
        "3xx": 0,
        "4xx": 1,
        "5xx": 0,
    }
    assert (heard.received, heard.sent) == (5, 50)
    assert (heard.buckets[0], heard.buckets[-1], sum(heard.buckets)) == (2, 1, 3)  # what lasts has no time
    assert heard.took == 90_009_000
    assert len(heard.buckets) == len(BOUNDS) + 1


@pytest.mark.parametrize(
    ("event", "sample"),
    [
        (EventType.SIGNED_IN, 'fairlead_sign_ins_total{result="ok"}'),
        (EventType.SIGN_IN_FAILED, 'fairlead_sign_ins_total{result="failed"}'),
        (EventType.SESSION_STARTED, 'fairlead_sessions_total{what="started"}'),
        (EventType.SESSION_ENDED, 'fairlead_sessions_total{what="ended"}'),
        (EventType.ACCESS_APPROVED, 'fairlead_audit_records_total{event="access_request.approved"}'),
    ],
)
@pytest.mark.real_clock
async def test_sign_ins_and_sessions(event: EventType, sample: str) -> None:
    heard, failed = Heard(), FailedLogins()
    numbers = Numbers(lambda: sign_ins(heard.events, failed))
    before = parsed((await numbers.page()).decode())
    heard.hear([AuditEvent(0, event)])
    now = parsed((await numbers.page()).decode())

    changed = {key for key in now if now[key] != before.get(key, 0)}
    assert sample in changed
    assert changed <= {sample, next(key for key in now if key.startswith("fairlead_audit_records_total"))}


@pytest.mark.real_clock
async def test_the_page_is_what_prometheus_reads() -> None:
    odd = 'a "b"\n\\c'
    made = [counters("x", "A meaning.", "of", {odd: 1}), histogram("y_seconds", "Another.", [("1", 1), ("+Inf", 3)], 9)]
    page = (await Numbers(lambda: made).page()).decode()

    assert "# TYPE x_total counter" in page
    assert "process_resident_memory_bytes" in page
    assert {key: it for key, it in parsed(page).items() if key.startswith("y")} == {
        'y_seconds_bucket{le="1"}': 1,
        'y_seconds_bucket{le="+Inf"}': 3,
        "y_seconds_count": 3,
        "y_seconds_sum": 9,
    }
    assert parsed(page)[f'x_total{{of="{odd}"}}'] == 1
