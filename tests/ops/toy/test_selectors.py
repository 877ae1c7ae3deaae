"""What a selector picks."""

from __future__ import annotations

from typing import Any

import pytest

from ops.demo.toy.selectors import matches_selector, parse_fields, parse_labels
from ops.demo.toy.statuses import ApiError

BOAT: dict[str, Any] = {
    "metadata": {"name": "tug", "labels": {"sea": "north", "crew": "2", "example.com/old": ""}},
    "spec": {"unschedulable": True},
    "status": {"phase": "Running"},
}


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("", True),
        ("sea=north", True),
        ("sea==north,crew!=3", True),
        ("sea=south", False),
        ("sea in (north, south),crew", True),
        ("sea notin (north)", False),
        ("other notin (north)", True),
        ("!other,example.com/old", True),
        ("!sea", False),
        ("other!=x", True),
    ],
)
def test_labels(text: str, picked: bool) -> None:
    assert parse_labels(text)(BOAT) is picked


@pytest.mark.parametrize(
    ("text", "picked"),
    [
        ("metadata.name=tug", True),
        ("metadata.name==tug,status.phase!=Failed", True),
        ("status.phase=Failed", False),
        ("spec.unschedulable=true", True),
        ("spec.nodeName=", True),
    ],
)
def test_fields(text: str, picked: bool) -> None:
    assert parse_fields(text)(BOAT) is picked


@pytest.mark.parametrize("text", ["a b", "a in", "a=b=c", "(x)"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ApiError):
        parse_labels(text)


def test_a_selector_object() -> None:
    terms = [{"key": "crew", "operator": "In", "values": ["2"]}, {"key": "x", "operator": "DoesNotExist"}]
    selector = {"matchLabels": {"sea": "north"}, "matchExpressions": terms}
    assert matches_selector(selector, BOAT["metadata"]["labels"])
    assert not matches_selector(selector, {"sea": "north"})
