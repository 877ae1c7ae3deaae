"""Searching, on both engines: each filter alone, together, page by page, in bounded looks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.audit import reader as reader_module
from appliance.audit.book import Book
from appliance.audit.reader import Reader
from appliance.audit.shown import shown
from appliance.core.audit_query import AuditQuery, read_query
from appliance.core.events import AuditEvent, EventType
from tests.appliance.audit.rig import KEY, Ledger, SQLiteLedger, everything, found

OTHER = AuditEvent(50, EventType.PROXY_DENIED, actor_id="p9", actor='m"a,l"lory', cluster_id="c9", status=403)
FIELDS = {
    "actor": "alice@example.com",
    "actor_id": "p1",
    "client_address": "203.0.113.7",
    "cluster": "prod",
    "cluster_id": "c1",
    "namespace": "demo",
    "verb": "create",
    "api_group": "apps",
    "resource": "deployments",
    "name": 'we"b,\\ü',
    "subresource": "scale",
    "status": 201,
    "code": "AUDIT_UNAVAILABLE",
    "correlation_id": "abc",
    "credential_id": "k1",
    "rule": "role viewers",
    "kubectl_session": "s1",
    "tunnel_session": "t1",
}


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Twenty of one kind, a denial in the middle, and what the appliance did itself."""
    book = Book(ledger.place, KEY, 1)
    for number in range(20):
        book.append([AuditEvent(100 + number, EventType.PROXY_CLOSED, **FIELDS, details=(("role_id", "r1"),))])  # type: ignore[arg-type]  # FIELDS names them
        if number == 10:
            book.append([OTHER, AuditEvent(109, EventType.ROLE_CREATED, actor_id="ü" * 300, details=(("role", "x"),))])
    book.close()
    return ledger


def search(ledger: Ledger, most: int = 100, /, **given: str) -> list[AuditEvent]:
    return found(ledger.place, replace(read_query(given), limit=most))


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_is_a_filter(filled: Ledger, name: str) -> None:
    assert len(search(filled, **{name: str(FIELDS[name])})) == 20
    assert search(filled, **{name: "404" if name == "status" else "no such"}) == []


def test_a_filter_is_no_pattern_and_no_piece_of_json(filled: Ledger) -> None:
    assert search(filled, actor="alice%") == []
    assert search(filled, actor="alice") == []
    assert search(filled, actor='m"a,l"lory') == [OTHER]
    assert search(filled, name='x","actor":"alice@example.com') == []
    assert len(search(filled, actor_id="ü" * 250)) == 0


def test_kinds(filled: Ledger) -> None:
    assert search(filled, type="CPR002W") == [OTHER]
    assert search(filled, type="proxy.access_denied") == [OTHER]
    assert search(filled, severity="warning") == [OTHER]
    assert len(search(filled, category="proxy")) == 21
    assert len(search(filled, category="proxy", severity="info")) == 20
    assert search(filled, category="roles", severity="warning") == []
    assert [it.type for it in search(filled, category="roles")] == [EventType.ROLE_CREATED]


def test_the_id_of_whatever_it_is_about(filled: Ledger) -> None:
    assert len(search(filled, object="r1")) == 20
    assert len(search(filled, object="k1")) == 20
    assert search(filled, object="c9") == [OTHER]
    assert search(filled, object="role_id") == []


def test_whoever_may_see_some_clusters_sees_nothing_else(filled: Ledger) -> None:
    def seen(*clusters: str, **given: str) -> list[AuditEvent]:
        return found(filled.place, replace(read_query(given), limit=500, clusters=frozenset(clusters)))

    assert len(seen("c1")) == 20
    assert seen("c9", "c8") == [OTHER]
    assert len(seen("c1", "c9")) == 21  # not the role, which belongs to none
    assert seen() == []
    assert seen("c1", cluster_id="c9") == []
    assert seen("c") == []
    filled.run("UPDATE records SET body = 'x' WHERE number = 12")
    assert seen("c9") == []


def test_times_are_inclusive(filled: Ledger) -> None:
    assert [it.time for it in found(filled.place, AuditQuery(since=105, until=107))] == [107, 106, 105]


def test_filters_together_must_all_fit(filled: Ledger) -> None:
    assert search(filled, actor="alice@example.com", cluster_id="c9") == []
    assert len(search(filled, 7, actor="alice@example.com", namespace="demo", status="201")) == 7


@pytest.mark.parametrize("look", [1, 3, 1000])
@pytest.mark.parametrize("limit", [1, 7, 500])
@pytest.mark.parametrize(
    "given", [{}, {"actor": "alice@example.com"}, {"type": "CPR002W"}, {"since": "1970-01-01T00:00:00.000109Z"}]
)
def test_pages_are_the_whole_once(
    filled: Ledger, look: int, limit: int, given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "LOOK", look)
    whole = search(filled, 500, **given)
    pages: list[AuditEvent] = []
    query = replace(read_query(given), limit=limit)
    with Reader(filled.place) as reader:
        while True:
            page = reader.search(query)
            assert len(page.items) <= limit
            pages += page.events
            if page.next is None:
                break
            query = replace(query, after=page.next)
    assert pages == whole
    assert [it.time for it in pages] == sorted((it.time for it in pages), reverse=True)


def test_records_of_one_moment_have_an_order(ledger: Ledger) -> None:
    for start in range(3):
        book = Book(ledger.place, KEY, start)
        book.append([AuditEvent(7, EventType.PROXY_CLOSED, name=f"{start}{number}") for number in range(3)])
        book.close()
    with Reader(ledger.place) as reader:
        query = AuditQuery(limit=4)
        first = reader.search(query)
        assert first.next is not None
        second = reader.search(AuditQuery(limit=40, after=first.next))
    names = [it.name for it in first.events + second.events]
    assert names == ["22", "21", "20", "12", "11", "10", "02", "01", "00"]


def test_a_search_whose_time_is_over_says_where_it_is(filled: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "LOOK", 2)
    looks = 0
    query = read_query({"type": "CPR002W"})
    with Reader(filled.place) as reader:
        while True:
            page = reader.search(query, seconds=-1)
            looks += 1
            if page.items:
                break
            assert page.next is not None
            query = replace(query, after=page.next)
    assert looks > 3
    assert page.events == [OTHER]


def test_one_record_by_its_id(filled: Ledger) -> None:
    with Reader(filled.place) as reader:
        kept = reader.one(1, 12)
        assert kept is not None
        assert (kept.id, kept.event) == ("1-12", OTHER)
        assert reader.one(1, 99) is None
        assert reader.one(99, 1) is None


def test_what_somebody_made_unreadable_still_shows(filled: Ledger) -> None:
    filled.run("UPDATE records SET body = 'x' WHERE number = 12")
    with Reader(filled.place) as reader:
        assert {"id": "1-12", "damaged": True} in [shown(kept) for kept in reader.export()]
        assert reader.one(1, 12) is not None
        assert "1-12" in [kept.id for kept in reader.search(AuditQuery()).items]


def test_beside_one_that_is_unreadable_the_others_of_its_sheaf_are_what_they_were(tmp_path: Path) -> None:
    ledger = SQLiteLedger(tmp_path / "audit.db")
    book = Book(ledger.place, KEY, 1)
    book.append([OTHER, OTHER])
    book.close()
    ledger.run("UPDATE sheaves SET content = replace(content, char(10) || '1 ', char(10) || 'one ')")
    with Reader(ledger.place) as reader:
        assert [kept.event for kept in (reader.one(1, 1), reader.one(1, 2)) if kept is not None] == [None, OTHER]


@pytest.mark.parametrize(
    "values",
    [
        "'x', 3, 3, 105, 105, 'x'",
        "1, 'x', 3, 105, 105, 'x'",
        "1, 3, 3, 105, 'x', 'x'",
        """1, 3, 4, 105, 105, '="type":"CPR001I"' || char(10) || '=' || char(10) || '3 x 0 1 "time":"x"'""",
    ],
)
def test_a_row_that_no_appliance_writes_hides_no_record(tmp_path: Path, values: str) -> None:
    ledger = SQLiteLedger(tmp_path / "audit.db")
    book = Book(ledger.place, KEY, 1)
    events = [AuditEvent(105, EventType.PROXY_CLOSED), AuditEvent(106, EventType.PROXY_CLOSED)]
    book.append(events)
    book.close()
    ledger.run(f"INSERT INTO sheaves VALUES ({values})")
    assert found(ledger.place, AuditQuery())[:2] == events[::-1]
    assert everything(ledger.place) == events[::-1]


def test_an_export_is_oldest_first_and_bounded_by_time(filled: Ledger) -> None:
    with Reader(filled.place) as reader:
        everything = [kept.position for kept in reader.export()]
        assert everything == sorted(everything)
        assert len(everything) == 22
        assert [kept.position.time for kept in reader.export(105, 107)] == [105, 106, 107]


def test_a_reader_cannot_write(ledger: Ledger) -> None:
    Book(ledger.place, KEY, 1).close()
    with Reader(ledger.place) as reader, pytest.raises(Exception, match=r"(?i)read-?only"):
        reader.shelf.rows("DELETE FROM sheaves")


def test_how_a_record_is_shown(filled: Ledger) -> None:
    with Reader(filled.place) as reader:
        kept = reader.one(1, 1)
        assert kept is not None
        record = shown(kept)
    assert record["id"] == "1-1"
    assert record["time"] == "1970-01-01T00:00:00.000100Z"
    assert (record["type"], record["event"], record["category"], record["severity"]) == (
        "CPR001I", "proxy.request", "proxy", "info",
    )  # fmt: skip
    assert record["details"] == {"role_id": "r1"}
    assert "bytes_in" not in record
