"""Filters are read strictly: what is not understood is refused with its name, never ignored."""

from __future__ import annotations

import pytest

from appliance.core.audit_query import FILTERS, FOREVER, TOP, AuditQuery, QueryFault, read_query
from appliance.core.events import CATEGORIES, NAMES, AuditEvent, EventType


def test_nothing_asked_is_everything() -> None:
    assert read_query({}) == AuditQuery()
    assert AuditQuery().fits(AuditEvent(1, EventType.PROXY_CLOSED))


@pytest.mark.parametrize(
    "given",
    [
        {"actr": "a"},
        {"actor": ""},
        {"actor": "a\nb"},
        {"actor": "a" * 257},
        {"type": "CPR999X"},
        {"type": "cpr001i"},
        {"category": "proxys"},
        {"severity": "error"},
        {"status": "4"},
        {"status": "4xx"},
        {"status": "٤٠٣"},
        {"since": "yesterday"},
        {"since": "2030-01-31"},
        {"since": "2030-01-31T12:00:00"},
        {"until": "2030-02-31T12:00:00Z"},
        {"until": "1700000000"},
    ],
)
def test_what_is_not_understood_is_refused_by_name(given: dict[str, str]) -> None:
    with pytest.raises(QueryFault) as refused:
        read_query(given)
    assert refused.value.name == next(iter(given))
    assert next(iter(given)) in str(refused.value)


def test_a_time_that_ends_before_it_begins() -> None:
    with pytest.raises(QueryFault, match="later than until"):
        read_query({"since": "2030-01-31T12:00:00Z", "until": "2030-01-31T11:59:59Z"})


def test_times_are_kept_to_the_microsecond() -> None:
    query = read_query({"since": "1970-01-01T00:00:01.000001Z", "until": "1970-01-01T01:00:02.5+01:00"})
    assert (query.since, query.until) == (1_000_001, 2_500_000)
    assert read_query({"since": "1969-12-31T23:59:59.5Z"}).since == -500_000


def test_every_filter_of_the_list_is_read() -> None:
    values = {
        "type": "CPR001I",
        "category": "proxy",
        "severity": "info",
        "status": "200",
        "since": "2030-01-31T12:00:00Z",
        "until": "2030-01-31T12:00:00Z",
    }
    query = read_query({name: values.get(name, f"value of {name}") for name in FILTERS})
    assert query.object == "value of object"
    assert len(query.fields) == 18
    assert (AuditQuery().until, AuditQuery().after) == (FOREVER, TOP)


def test_every_event_has_a_name_a_category_and_a_severity() -> None:
    assert set(NAMES) == set(EventType)
    assert len(set(NAMES.values())) == len(EventType)
    assert {kind.category for kind in EventType} <= set(CATEGORIES.values())
    assert {str(kind)[-1] for kind in EventType} == {"I", "W"}
