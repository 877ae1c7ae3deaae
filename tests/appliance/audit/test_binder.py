"""Records are taken in the order they were put, bound to each other, whoever bound them."""

from __future__ import annotations

import threading

import pytest

from appliance.audit.binder import BIND_AT, Awaited, Batch, Binder
from appliance.audit.chain import Head
from appliance.audit.records import parse
from appliance.audit.sheaf import Line, lines
from appliance.core.events import AuditEvent, EventType
from tests.appliance.audit.rig import event

START = Head(1, 0, "0" * 64)
ELSEWHERE = Head(2, 7, "1" * 64)
EVERYTHING = 1 << 20


def binder_at(head: Head, heard: list[AuditEvent] | None = None) -> Binder:
    return Binder(head, list[AuditEvent]().extend if heard is None else heard.extend)


def times(batches: list[Batch]) -> list[int]:
    return [record.time for batch in batches for record in batch.bound.records]


def found(batches: list[Batch]) -> list[Line]:
    return [line for batch in batches for sheaf in batch.bound.sheaves for line in lines(sheaf.content)]


def follow(head: Head, batches: list[Batch]) -> Head:
    """The last of them, after seeing that each follows the one before."""
    for batch in batches:
        assert batch.bound.before == head
        head = batch.bound.after
    return head


def put(binder: Binder, *numbers: int) -> None:
    for number in numbers:
        binder.put(event(number))


def test_some_are_bound_together_and_the_rest_when_it_is_taken() -> None:
    binder = binder_at(START)
    put(binder, *range(2 * BIND_AT + 3))
    assert binder.waiting == 2 * BIND_AT + 3
    batches = binder.take(EVERYTHING)
    assert [batch.count for batch in batches] == [BIND_AT, BIND_AT, 3]
    assert times(batches) == list(range(2 * BIND_AT + 3))
    assert follow(START, batches).number == 2 * BIND_AT + 3
    assert (binder.waiting, binder.take(EVERYTHING)) == (0, [])


def test_each_event_is_heard_once_by_whoever_puts_or_with_the_batch() -> None:
    heard: list[AuditEvent] = []
    binder = binder_at(START, heard)
    put(binder, *range(BIND_AT + 3))
    assert [it.time for it in heard] == list(range(BIND_AT))
    batches = binder.take(EVERYTHING)
    assert [[it.time for it in batch.unheard] for batch in batches] == [[], list(range(BIND_AT, BIND_AT + 3))]
    again = binder.rebind(ELSEWHERE, batches)
    assert [len(batch.unheard) for batch in again] == [0, 3]
    assert len(heard) == BIND_AT


def test_as_many_are_taken_as_are_asked_for_and_those_bound_with_them() -> None:
    binder = binder_at(START)
    put(binder, *range(3 * BIND_AT))
    first = binder.take(BIND_AT + 1)
    assert (times(first), binder.waiting) == (list(range(2 * BIND_AT)), BIND_AT)
    put(binder, 900)
    rest = binder.take(EVERYTHING)
    assert times(rest) == [*range(2 * BIND_AT, 3 * BIND_AT), 900]
    follow(START, first + rest)


def test_nobody_waits_for_it_any_more() -> None:
    """It was refused before anything was bound: it is not written, and counts as dealt with."""
    binder = binder_at(START)
    left, waited = Awaited(event(1), abandoned=True), Awaited(event(2))
    for item in (left, waited, event(3)):
        binder.put(item)
    (batch,) = binder.take(EVERYTHING)
    assert (times([batch]), batch.awaited, batch.count) == ([2, 3], [waited], 3)


def test_after_another_record_everything_follows_that() -> None:
    binder = binder_at(START)
    waited = Awaited(event(1))
    binder.put(waited)
    put(binder, *range(2, 2 * BIND_AT + 5))
    taken = binder.take(1)
    again = binder.rebind(ELSEWHERE, taken)
    put(binder, 900)
    rest = binder.take(EVERYTHING)
    assert follow(ELSEWHERE, again + rest).number == 7 + 2 * BIND_AT + 5
    assert times(again + rest) == [*range(1, 2 * BIND_AT + 5), 900]
    assert (again[0].awaited, [it.count for it in again]) == ([waited], [it.count for it in taken])
    fresh = binder_at(ELSEWHERE)
    for each in [event(number) for number in times(again + rest)]:
        fresh.put(each)
    assert found(again + rest) == found(fresh.take(EVERYTHING))


def test_what_follows_already_is_left_alone() -> None:
    binder = binder_at(START)
    put(binder, *range(BIND_AT + 1))
    taken = binder.take(1)
    assert binder.rebind(START, taken) is taken
    assert binder.rebind(taken[-1].bound.after, []) == []
    follow(START, taken + binder.take(EVERYTHING))


def test_with_nothing_bound_what_comes_follows() -> None:
    binder = binder_at(START)
    put(binder, 1)
    assert binder.rebind(ELSEWHERE, []) == []
    follow(ELSEWHERE, binder.take(EVERYTHING))


@pytest.mark.parametrize(
    "odd",
    [
        {"groups": ["no tuple"]},
        {"code": 5},
        {"duration": 10**5_000},
        {"time": None},
        {"time": 1 << 63},
        {"correlation_id": 5},
    ],
)
def test_what_cannot_be_rendered_costs_its_neighbours_nothing(odd: dict[str, object]) -> None:
    binder = binder_at(START)
    put(binder, *range(30))
    binder.put(event(30)._replace(type=EventType.PROXY_OPENED, **odd))  # type: ignore[arg-type]  # that is the point
    put(binder, *range(31, BIND_AT + 10))
    batches = binder.take(EVERYTHING)
    bodies = [line.body for line in found(batches)]
    assert (len(bodies), binder.waiting) == (BIND_AT + 10, 0)
    assert ['"unreadable"' in body for body in bodies] == [number == 30 for number in range(BIND_AT + 10)]
    assert (parse(bodies[30]).type, parse(bodies[30]).actor) == (EventType.PROXY_OPENED, "alice30@example.com")
    follow(START, batches)


def test_what_cannot_be_bound_at_all_is_nobodys_fault_and_stays_until_the_thread_meets_it() -> None:
    binder = binder_at(START)
    binder.put(event(0)._replace(type=["no", "type"]))  # type: ignore[arg-type]  # that is the point
    put(binder, *range(1, BIND_AT + 5))
    for _ in range(2):
        with pytest.raises(TypeError):
            binder.take(EVERYTHING)
        assert binder.waiting == BIND_AT + 5


def test_whoever_puts_waits_for_nobody() -> None:
    """While somebody binds what waits anew, which may take a while, requests go on; nothing of theirs is forgotten."""
    binder = binder_at(START)
    with binder._lock:
        put(binder, *range(3 * BIND_AT))
    put(binder, 900)
    batches = binder.take(EVERYTHING)
    assert [it.count for it in batches] == [BIND_AT, BIND_AT, BIND_AT, 1]
    assert times(batches) == [*range(3 * BIND_AT), 900]
    follow(START, batches)


def test_one_thread_puts_while_another_takes() -> None:
    binder, batches, number = binder_at(START), list[Batch](), 20_000
    events: list[AuditEvent] = [event(it) for it in range(number)]

    def taking() -> None:
        while len(times(batches[-1:])) == 0 or batches[-1].bound.after.number < number:
            batches.extend(binder.take(100))

    thread = threading.Thread(target=taking)
    thread.start()
    for each in events:
        binder.put(each)
    thread.join(60)
    assert times(batches) == list(range(number))
    follow(START, batches)
