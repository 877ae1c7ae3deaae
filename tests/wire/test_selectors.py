"""The name in a field selector, as k8s.io/apimachinery reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.selectors import MAX_LABELS_BYTES, selected_name, surely_selects_labels


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ("metadata.name=web", "web"),
        ("metadata.name==web", "web"),
        ("metadata.name!=web", ""),
        ("metadata.name=", ""),
        ("metadata.name", ""),
        ("", ""),
        (",,", ""),
        (",metadata.name=web,", "web"),
        ("spec.nodeName=n,metadata.name=web", "web"),
        ("spec.nodeName!=n,metadata.name=web", "web"),
        ("metadata.name=b,metadata.name=a", "a"),
        ("metadata.name=a,broken", ""),
        ("broken,metadata.name=a", ""),
        ("metadata.name=a=b", ""),
        (r"metadata.name=a\=b", "a=b"),
        (r"metadata.name=a\,b", "a,b"),
        (r"metadata.name=a\\", "a\\"),
        (r"metadata.name=a\x", ""),
        ("metadata.name=a\\", ""),
        (r"metadata.namespace=metadata.name\=a", ""),
        ("metadata.name =a", ""),
        ("metadata.name= a", " a"),
        ("Metadata.Name=a", ""),
        ("metadata.name=.", ""),
        ("metadata.name=..", ""),
        ("metadata.name=a/b", ""),
        ("metadata.name=a%b", ""),
        ("metadata.name=a.b-c", "a.b-c"),
    ],
)
def test_the_name(selector: str, name: str) -> None:
    assert selected_name(selector) == name


@given(st.text(alphabet="metadata.name=!,\\ /%\n", max_size=40))
def test_nothing_is_raised(selector: str) -> None:
    assert "/" not in selected_name(selector)


@pytest.mark.parametrize(
    ("selector", "surely"),
    [
        ("", True),
        ("a", True),
        ("!a", True),
        ("a=b,c!=d,e in (f, g),h notin (i),j,!k,example.com/x==y,z=", True),
        ("a" * 63, True),
        ("a" * 64, False),
        (f"{'x' * 253}/a", True),
        (f"{'x' * 254}/a", False),
        ("a..b/c", False),
        ("A.b/c", False),
        ("-a", False),
        ("a=-b", False),
        ("a=b,", False),
        ("a===b", False),
        ("a b", False),
        ("a in ()", False),  # it parses, but who writes it
        ("a in (b", False),
        ("a\n", False),
        ("é", False),
        ("a," * MAX_LABELS_BYTES + "a", False),
    ],
)
def test_label_selectors_that_surely_parse(selector: str, surely: bool) -> None:
    assert surely_selects_labels(selector.encode()) is surely
