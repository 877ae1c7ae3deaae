"""Cursors and cuts: whole lists, page by page, while they change; and every text that is no cursor."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from appliance.core.paging import MAX_CURSOR_CHARS, Asked, Key, Orders, ordered
from appliance.core.problems import Code, ProblemError

PEOPLE = Asked("person", [("group", "dev")], "machine_1", (str,))


def coded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()).decode().rstrip("=")


@pytest.mark.parametrize("key", [("ann",), ("Größe 🚢",), ("a" * 256,), ("🚢" * 256,)])
def test_a_cursor_says_where_it_leads(key: Key) -> None:
    cursor = PEOPLE.cursor(key)
    assert len(cursor) <= MAX_CURSOR_CHARS
    assert PEOPLE.position(cursor) == key
    assert PEOPLE.position(None) is None


@pytest.mark.parametrize(
    "other",
    [
        Asked("role", [("group", "dev")], "machine_1", (str,)),
        Asked("person", [("group", "ops")], "machine_1", (str,)),
        Asked("person", [], "machine_1", (str,)),
        Asked("person", [("group", "dev")], "machine_2", (str,)),
        Asked("person", [("group", "dev")], "machine_1", (int, str)),
        Asked("person", [("group", "dev")], "machine_1", (int,)),
    ],
)
def test_a_cursor_of_another_list_filter_or_caller_is_refused(other: Asked) -> None:
    with pytest.raises(ProblemError) as refused:
        other.position(PEOPLE.cursor(("ann",)))
    assert refused.value.problem.code is Code.INVALID_CURSOR
    assert refused.value.problem.status == 400
    assert refused.value.problem.meta == (("field", "?cursor"),)


MARK = json.loads(urlsafe_b64decode(PEOPLE.cursor(("ann",)) + "==="))[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1.2.3",
        "ß",
        "=" * 8,
        "A" * (MAX_CURSOR_CHARS + 1),
        coded([]),
        coded({}),
        coded("ann"),
        coded(MARK),
        coded([MARK]),
        coded([MARK, "ann", "bob"]),
        coded([MARK, 1]),
        coded([MARK, True]),
        coded([MARK, None]),
        coded([MARK, ["ann"]]),
        coded([MARK, "a\x00"]),
        coded([[MARK], "ann"]),
        urlsafe_b64encode(json.dumps([MARK, "ann"]).encode()).decode().rstrip("="),  # with a blank in it
        urlsafe_b64encode(b"[" * 1_500).decode().rstrip("="),
        PEOPLE.cursor(("ann",)) + "=",
        PEOPLE.cursor(("ann",)) + "A",
        PEOPLE.cursor(("ann",))[:-1],
    ],
)
def test_what_was_never_given_is_refused(text: str) -> None:
    with pytest.raises(ProblemError) as refused:
        PEOPLE.position(text)
    assert refused.value.problem.code is Code.INVALID_CURSOR


def test_whole_numbers_are_those_of_the_database() -> None:
    requests = Asked("access_request", [], "p", (int, str))
    assert requests.position(requests.cursor((-(1 << 62), "a"))) == (-(1 << 62), "a")
    with pytest.raises(ProblemError):
        requests.position(requests.cursor((1 << 63, "a")))


def test_what_stays_is_seen_once_whatever_comes_and_goes() -> None:
    names = [f"n{number:03}" for number in range(0, 40, 2)]
    seen: list[str] = []
    at: Key | None = None
    changes = iter([("n001", "n006"), ("n007", "n010"), ("n031", "n014"), ("n039", "n000")] * 9)
    known = set(names)
    gone = set()
    while True:
        order = ordered(known, lambda name: (name,))
        page = order.entries[(start := order.after(at)) : start + 3]
        if not page:
            break
        seen += page
        at = order.keys[start + len(page) - 1]
        new, old = next(changes)
        known = (known | {new}) - {old}
        gone.add(old)
    assert len(seen) == len(set(seen))
    assert set(names) - gone <= set(seen)
    assert seen == sorted(seen)


def test_an_order_is_made_again_only_when_its_kind_changed() -> None:
    orders = Orders()
    first = orders.of("person", 1, ["b", "a"], lambda it: (it,))
    assert list(first.entries) == ["a", "b"]
    assert orders.of("person", 1, ["c"], lambda it: (it,)) is first
    assert list(orders.of("role", 1, ["c"], lambda it: (it,)).entries) == ["c"]
    assert list(orders.of("person", 2, ["c"], lambda it: (it,)).entries) == ["c"]
    assert list(orders.of("person", 0, [], lambda it: (it,)).entries) == []
