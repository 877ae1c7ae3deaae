"""If-Match: what it may say, and that an edit is made only to what was read."""

from __future__ import annotations

import pytest

from appliance.core.problems import Code, ProblemError
from appliance.core.versions import Guarded, condition, tag


def test_equal_content_has_one_tag_and_other_content_another() -> None:
    assert tag({"a": 1, "b": ["c"]}) == tag({"b": ["c"], "a": 1})
    assert len({tag({"a": it}) for it in ("", 0, None, "0", False)} | {tag({})}) == 6


def read(name: str) -> str:
    return tag({"name": name})


@pytest.mark.parametrize(
    ("if_match", "code"),
    [
        (None, Code.PRECONDITION_REQUIRED),
        ("", Code.BAD_REQUEST),
        ("abc", Code.BAD_REQUEST),
        ('W/"abc"', Code.BAD_REQUEST),  # RFC 9110 §13.1.1: a weak one never matches
        ('"abc', Code.BAD_REQUEST),
        ('"abc","', Code.BAD_REQUEST),
        ('*,"abc"', Code.BAD_REQUEST),
        ('"a b"', Code.BAD_REQUEST),
        (",".join(['"a"'] * 17), Code.BAD_REQUEST),
        ('"' + "a" * 65 + '"', Code.BAD_REQUEST),
    ],
)
def test_what_says_nothing_is_refused(if_match: str | None, code: Code) -> None:
    with pytest.raises(ProblemError) as refused:
        condition(if_match)
    assert refused.value.problem.code is code


@pytest.mark.parametrize("if_match", ["*", " * ", read("old"), f'"x" , {read("old")}'])
def test_the_edit_is_made_to_what_was_read(if_match: str) -> None:
    assert Guarded(condition(if_match), read, lambda it: f"{it}er")("old") == "older"


def test_the_edit_is_not_made_to_what_came_since() -> None:
    with pytest.raises(ProblemError) as refused:
        Guarded(condition(read("old")), read, lambda it: f"{it}er")("new")
    assert refused.value.problem.status == 412
    assert refused.value.problem.meta == (("etag", read("new")),)
