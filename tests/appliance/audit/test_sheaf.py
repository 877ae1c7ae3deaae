"""Gathered or alone, sent to another process or not: an event becomes the same record."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audit import orders
from appliance.audit.chain import Head, Progress
from appliance.audit.records import MAX_BODY_CHARS, columns, render
from appliance.audit.sheaf import entries, gather
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


def alone(events: list[AuditEvent]) -> list[tuple[object, ...]]:
    return [(*columns(event), render(event)) for event in events]


@given(st.lists(EVENTS, max_size=5))
def test_what_becomes_of_events_is_the_same_on_every_way(events: list[AuditEvent]) -> None:
    assert list(entries(*gather(events))) == alone(events)
    assert orders.read_order(orders.append(events)) == orders.Append(alone(events))  # type: ignore[arg-type]  # they are
    assert orders.read_order(orders.recover(7, events)) == orders.Recover(7, alone(events))  # type: ignore[arg-type]


def test_a_batch_of_the_longest_texts_is_cut_before_it_is_sent_and_no_further() -> None:
    longest = [AuditEvent(it, EventType.PROXY_OPENED, path=f"/{it}" + "x" * 60_000) for it in range(512)]
    message = orders.append(longest)
    assert len(message) < orders.MAX_BYTES
    assert orders.read_order(message) == orders.Append(alone(longest))  # type: ignore[arg-type]  # they are
    full = [AuditEvent(it, EventType.PROXY_OPENED, command=("\0" * 2_700, str(it))) for it in range(2048)]
    assert MAX_BODY_CHARS - 200 < len(render(full[0])) <= MAX_BODY_CHARS
    assert len(orders.append(full)) < orders.MAX_BYTES


def test_what_the_types_do_not_promise_is_kept_all_the_same() -> None:
    odd = AuditEvent(7, EventType.PROXY_CLOSED, status=2**70, details=(("a", 1.5), ("b", b"x"), ("c", None)))  # type: ignore[arg-type]
    order = orders.read_order(orders.append([odd]))
    assert isinstance(order, orders.Append)
    assert order.entries[0][-1].replace(f'"{2**70}"', f"{2**70}") == render(odd)


def test_orders_and_answers_read_back() -> None:
    progress = Progress(Head(3, 7, "ab"), "[]", "cd")
    assert orders.read_order(orders.opening(("sqlite", "/x"), b"k", 5, None)) == orders.Open(
        ("sqlite", "/x"), b"k", 5, None
    )
    assert orders.read_order(orders.opening(("a",), b"k", 5, progress)) == orders.Open(("a",), b"k", 5, progress)
    assert orders.read_order(orders.checkpoint(5)) == orders.Checkpoint(5)
    assert orders.read_order(orders.close()) == orders.Close()
    answer = orders.Answer(progress, 2, (orders.BROKEN, "full"), ((40, "fairlead.audit", "changed"),))
    assert orders.read_answer(orders.answer(answer)) == answer


@pytest.mark.parametrize(
    "content", [None, 7, [], ["append"], ["append", [], [[1]]], ["append", 1, 2], ["open", [], 1, 2, 3], ["close", 1]]
)
def test_anything_else_is_refused(content: object) -> None:
    message = msgpack.packb(content)
    with pytest.raises(ValueError):
        orders.read_order(message)
    with pytest.raises(ValueError):
        orders.read_answer(message)


@pytest.mark.parametrize("message", [b"", b"\xc1", b"\x94", b"\x01\x02"])
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):
        orders.read_answer(message)
