"""Whether rules that are held cover a rule: the table, and that "covered" is never wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.core import coverage
from appliance.core.coverage import EVERYTHING, beyond_namespaces, covers
from appliance.core.roles import Rule
from tests.appliance.core import worlds
from wire.kube import Ask

GET_PODS = Rule(("get",), ("",), ("pods",))
LIST_PODS = Rule(("list",), ("",), ("pods",))
NAMED = Rule(("get",), ("",), ("pods",), ("web", "db"))
ALL_PODS = Rule(("*",), ("",), ("pods",))
METRICS = Rule(("get",), non_resource_urls=("/metrics",))


@pytest.mark.parametrize(
    ("held", "wanted", "covered"),
    [
        ((), GET_PODS, False),
        ((GET_PODS,), GET_PODS, True),
        ((ALL_PODS,), GET_PODS, True),
        ((GET_PODS,), ALL_PODS, False),
        ((GET_PODS, LIST_PODS), Rule(("get", "list"), ("",), ("pods",)), True),
        ((GET_PODS,), Rule(("get", "list"), ("",), ("pods",)), False),
        ((GET_PODS,), Rule(("get",), ("", "apps"), ("pods",)), False),
        ((GET_PODS, Rule(("get",), ("apps",), ("pods",))), Rule(("get",), ("", "apps"), ("pods",)), True),
        ((Rule(("get",), ("*",), ("pods",)),), GET_PODS, True),
        ((Rule(("get",), ("",), ("*",)),), Rule(("get",), ("",), ("pods/log",)), True),
        ((GET_PODS,), Rule(("get",), ("",), ("pods/log",)), False),
        ((Rule(("get",), ("",), ("pods/log",)),), GET_PODS, False),
        ((Rule(("get",), ("",), ("*/log",)),), Rule(("get",), ("",), ("pods/log",)), True),
        ((Rule(("get",), ("",), ("*/log",)),), Rule(("get",), ("",), ("pods/exec",)), False),
        ((Rule(("get",), ("",), ("pods/log",)),), Rule(("get",), ("",), ("*/log",)), False),
        ((Rule(("get",), ("",), ("*/",)),), GET_PODS, False),
        ((GET_PODS,), NAMED, True),
        ((NAMED,), GET_PODS, False),
        ((NAMED,), Rule(("get",), ("",), ("pods",), ("web",)), True),
        ((NAMED,), Rule(("get",), ("",), ("pods",), ("web", "x")), False),
        ((METRICS,), METRICS, True),
        ((METRICS,), GET_PODS, False),
        ((GET_PODS,), METRICS, False),
        ((Rule(("get",), non_resource_urls=("/metrics/*",)),), METRICS, False),
        ((Rule(("get",), non_resource_urls=("/m*",)),), METRICS, True),
        ((METRICS,), Rule(("get",), non_resource_urls=("/metrics*",)), False),
        ((Rule(("*",), ("*",), ("*",)),), METRICS, False),
        (EVERYTHING, METRICS, True),
        (EVERYTHING, Rule(("escalate",), ("rbac.authorization.k8s.io",), ("*",)), True),
    ],
)
def test_as_kubernetes_compares(held: tuple[Rule, ...], wanted: Rule, covered: bool) -> None:
    assert covers(held, wanted) is covered


@pytest.mark.parametrize(
    ("rule", "beyond"),
    [
        (GET_PODS, False),
        (METRICS, False),
        (Rule(("*",), ("*",), ("*",)), True),
        (Rule(("get",), ("",), ("namespaces",)), False),
        (Rule(("update",), ("",), ("namespaces",)), True),
        (Rule(("get", "update"), ("",), ("pods", "namespaces")), True),
        (Rule(("update",), ("apps",), ("namespaces",)), False),
        (Rule(("get",), ("",), ("namespaces/status",)), True),
        (Rule(("get",), ("",), ("*/status",)), True),
        (Rule(("get",), ("",), ("*",)), True),
    ],
)
def test_what_reaches_beyond_the_things_in_a_namespace(rule: Rule, beyond: bool) -> None:
    assert beyond_namespaces(rule) is beyond


def test_what_would_take_too_long_to_compare_is_not_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Rule(tuple(f"v{it}" for it in range(200)), tuple(f"g{it}" for it in range(200)), ("pods", "nodes"))
    halves = (Rule(("*",), ("*",), ("pods",)), Rule(("*",), ("*",), ("nodes",)))
    assert not covers(halves, wide)
    assert covers((Rule(("*",), ("*",), ("*",)),), wide)  # by one rule it is quick
    monkeypatch.setattr(coverage, "MAX_PARTS", 100_000)
    assert covers(halves, wide)


def _asks() -> list[Ask]:
    return [worlds.ask(request) for request in worlds.REQUESTS]


@given(st.lists(worlds.rules, max_size=3), worlds.rules)
@settings(max_examples=500)
def test_what_a_covered_rule_allows_is_allowed_already(held: list[Rule], wanted: Rule) -> None:
    if covers(held, wanted):
        for ask in _asks():
            assert not wanted.allows(ask) or any(rule.allows(ask) for rule in held), ask
