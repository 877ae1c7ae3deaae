"""What is a page of an error code, and what is not."""

from __future__ import annotations

import pytest

from appliance.core.error_pages import BadPage, read
from appliance.core.problems import CATALOGUE, Code

SENTENCE = CATALOGUE[Code.INTERNAL_ERROR][1]
PAGE = f"""# INTERNAL_ERROR

Status 500

> {SENTENCE}

## What happened

Something broke,
here.

## Why

A defect.

## What to do

- Look at `the log`
  for it.
- Tell us.
"""


def test_a_page_is_read() -> None:
    page = read(Code.INTERNAL_ERROR, PAGE)
    assert (page.status, page.sentence) == (500, SENTENCE)
    assert [it.title for it in page.sections] == ["What happened", "Why", "What to do"]
    assert page.sections[0].text == (("Something broke, here.", False),)
    assert page.sections[2].steps == (
        (("Look at ", False), ("the log", True), (" for it.", False)),
        (("Tell us.", False),),
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# INTERNAL", "# EXTERNAL"),
        ("Status 500", "Status 501"),
        (SENTENCE, "Something else."),
        ("## Why", "## How"),
        ("A defect.", "A defect.\n\nOr two."),
        ("A defect.", "- A defect."),
        ("- Look at `the log`\n  for it.\n- Tell us.", "Tell us."),
        ("`the log`", "`the log"),
        (PAGE[PAGE.index("## What to do") :], ""),
        (PAGE, ""),
    ],
)
def test_what_is_not_to_the_letter_is_refused(old: str, new: str) -> None:
    text = PAGE.replace(old, new, 1)
    assert text != PAGE
    with pytest.raises(BadPage):
        read(Code.INTERNAL_ERROR, text)
