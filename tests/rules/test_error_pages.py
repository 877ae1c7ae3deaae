"""Catalogue, pages and program: each error code has its page, each page its code, and something says each of them."""

from __future__ import annotations

import re

from appliance.core.error_pages import BadPage, read
from appliance.core.problems import Code
from tests.rules.sources import ROOT, sources, verdict

PAGES = ROOT / "docs" / "errors"


def test_every_code_has_its_page() -> None:
    faults = []
    for code in Code:
        file = PAGES / f"{code}.md"
        try:
            read(code, file.read_text() if file.exists() else "")
        except BadPage as error:
            faults.append(str(error))
    verdict(
        faults,
        "Every answer links to the page of its code: docs/errors/CODE.md, in the form of the others "
        "(appliance/core/error_pages.py), quoting the catalogue's own sentence.",
    )


def test_every_page_has_its_code() -> None:
    verdict(
        sorted({file.stem for file in PAGES.glob("*.md")} - set(Code)),
        "A page of a code that is no more tells of what cannot happen: remove it.",
    )


def test_every_code_is_said_by_something() -> None:
    said = {
        name
        for source in sources()
        if source.within("appliance") and source.path != "appliance/core/problems.py"
        for name in re.findall(r"\bCode\.([A-Z_]+)", source.text)
    }
    verdict(sorted(set(Code) - said), "A code that nothing says is a page that nobody is led to: remove both.")
