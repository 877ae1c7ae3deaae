"""A rulebook answers as its rules do, one by one."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.core.roles import Role, Rule
from appliance.core.rulebook import Rulebook, ones
from tests.appliance.core import worlds
from wire.kube import Ask

WORDS = st.sampled_from(("", "*", "get", "pods", "log", "pods/log", "*/log", "/metrics", "/metrics/*", "/met*", "web"))
RULES = st.builds(Rule, *[st.lists(WORDS, max_size=3).map(tuple)] * 5)
ASKS = st.builds(Ask, st.just("GET"), WORDS, WORDS, st.booleans(), st.just("api"), WORDS, st.just("v1"), *[WORDS] * 4)


@given(st.lists(st.lists(RULES | worlds.rules, max_size=3).map(tuple), max_size=5), ASKS | worlds.asks)
@example([(Rule(("list",), ("",), ("pods",), ("",)),)], worlds.ask("GET /api/v1/namespaces/blue/pods"))
@settings(max_examples=1000)
def test_it_allows_what_its_rules_allow_one_by_one(written: list[tuple[Rule, ...]], ask: Ask) -> None:
    roles = [Role(f"role_{number}", f"r{number}", rules=rules) for number, rules in enumerate(written)]
    book = Rulebook(roles)
    allowing = book.allowing(ask)
    assert [bool(allowing & book.lines[number]) for number in range(len(roles))] == [it.allows(ask) for it in roles]
    assert [ones(lines) for lines in book.lines] == [
        [line for line, owner in enumerate(book.owners) if owner == number] for number in range(len(roles))
    ]
    assert [book.owners[line] for line in ones(book.free)] == [n for n, role in enumerate(roles) if not role.rules]


@given(st.sets(st.integers(0, 300)))
def test_bits_are_found_lowest_first(places: set[int]) -> None:
    assert ones(sum(1 << place for place in places)) == sorted(places)
