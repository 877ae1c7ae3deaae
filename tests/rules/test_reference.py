"""docs/cli is what the commands say of themselves."""

from __future__ import annotations

from ops.cli.reference import pages
from tests.rules.sources import ROOT, verdict

PLACE = ROOT / "docs" / "cli"


def test_the_pages_of_the_commands_are_fresh() -> None:
    made = pages()
    kept = {it.name: it.read_text() for it in PLACE.glob("*.md")}
    verdict(
        sorted(name for name in {*made, *kept} if made.get(name) != kept.get(name)),
        "A page of docs/cli is not what its command says now: run `make docs`, and commit what it writes.",
    )
