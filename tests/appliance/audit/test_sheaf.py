"""Rendered in a batch or alone: an event becomes the same record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.audit.records import render
from appliance.audit.sheaf import bodies
from appliance.core.events import AuditEvent, EventType

TEXT = st.sampled_from(["", "alice@example.com", "é\0\ud800", "p" * 300, "/" + "x" * 20_000])
EVENTS = st.builds(
    AuditEvent,
    time=st.integers(0, 2**62),
    type=st.sampled_from(EventType),
    actor_id=TEXT,
    cluster_id=TEXT,
    path=TEXT,
    status=st.integers(0, 599),
    code=TEXT,
    bytes_in=st.integers(0, 2**63),
    duration=st.integers(0, 2**63),
    bytes_out=st.integers(0, 2**63),
    correlation_id=TEXT,
    binding_ids=st.sampled_from([(), ("b1", "b2")]),
    command=st.sampled_from([(), ("sh", "-c", "\udcff"), ("y" * 60_000,) * 20]),
    counted=st.integers(0, 2**40),
    details=st.sampled_from([(), (("name", "é"),)]),
)


@given(st.lists(EVENTS, max_size=5))
def test_an_event_becomes_the_same_record_among_others_and_alone(events: list[AuditEvent]) -> None:
    assert bodies(events) == [render(event) for event in events]
