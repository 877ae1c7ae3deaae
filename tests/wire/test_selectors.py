"""The name in a field selector, as k8s.io/apimachinery reads it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.selectors import selected_name


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
