"""Rendered in a batch or alone: an event becomes the same record."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.audit.chain import Head, link
from appliance.audit.records import MAX_REMEMBERED_CHARS, head_text
from appliance.audit.sheaf import SPAN_MICROS, Runs, as_bound, bind, lines, record
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


START = Head(1, 0, "0" * 64)


def records(events: list[AuditEvent]) -> list[str]:
    return [line.body for sheaf in bind(START, [record(it) for it in events]).sheaves for line in lines(sheaf.content)]


@given(st.lists(EVENTS, max_size=5))
def test_an_event_becomes_the_same_record_among_others_and_alone(events: list[AuditEvent]) -> None:
    assert records(events) == [body for event in events for body in records([event])]


@given(st.lists(EVENTS, max_size=5))
def test_a_sheaf_is_what_its_records_make_it_and_follows_the_one_before(events: list[AuditEvent]) -> None:
    bound = bind(START, [record(it) for it in events])
    head = START
    for sheaf in bound.sheaves:
        found = list(lines(sheaf.content))
        assert sheaf.content == as_bound(found)
        assert (
            (sheaf.first, sheaf.last)
            == (found[0].number, found[-1].number)
            == (head.number + 1, head.number + len(found))
        )
        assert sheaf.until - sheaf.since <= SPAN_MICROS
        for line in found:
            head = Head(1, head.number + 1, link(head.hash, head.number + 1, line.sealed))
            assert (head.number, head.hash) == (line.number, line.hash)
    assert (bound.before, bound.after) == (START, head)


def test_what_many_records_share_is_there_once() -> None:
    events = [AuditEvent(number, EventType.PROXY_CLOSED, name=f"n{number % 2}", rule="r") for number in range(5)]
    (sheaf,) = bind(START, [record(it) for it in events]).sheaves
    assert [it.split(" ")[2:] if it[0] != "=" else it for it in sheaf.content.split("\n")] == [
        '="type":"CPR001I","name":"n0"',
        '="rule":"r"',
        ["0", "1", '"time":0'],
        '="type":"CPR001I","name":"n1"',
        ["2", "1", '"time":1'],
        ["0", "1", '"time":2'],
        ["2", "1", '"time":3'],
        ["0", "1", '"time":4'],
    ]


def test_a_sheaf_ends_where_the_next_record_is_of_another_time_or_it_is_full() -> None:
    far = [AuditEvent(number * SPAN_MICROS // 2, EventType.PROXY_CLOSED) for number in (4, 5, 6, 7, 3, 1)]
    assert [(it.first, it.last) for it in bind(START, [record(it) for it in far]).sheaves] == [(1, 3), (4, 4), (5, 6)]
    long = [AuditEvent(1, EventType.PROXY_CLOSED, path=f"/{number}" + "x" * 7_000) for number in range(200)]
    sheaves = bind(START, [record(it) for it in long]).sheaves
    assert [sheaf.last - sheaf.first + 1 for sheaf in sheaves] == [150, 50]


def test_what_is_remembered_of_long_values_is_bounded() -> None:
    """The values are the key: a cut text of theirs would make them look small."""
    runs = Runs(head_text)
    for number in range(100):
        runs.get(AuditEvent(1, EventType.PROXY_CLOSED, path=f"/{number}" + "x" * 60_000)[1:14])
    assert sum(len(str(values)) for values in runs._known) <= MAX_REMEMBERED_CHARS + 100_000
