"""The runbooks: every command in them is one that exists, with options that it takes."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from ops.cli.tree import fairlead
from tests.rules.sources import ROOT

RUNBOOKS = sorted((ROOT / "ops" / "runbooks").glob("*.md"))
LINE = re.compile(r"^ {4}fairlead (.*)$", re.MULTILINE)
INLINE = re.compile(r"`fairlead ([^`]+)`")


def commands(text: str) -> list[list[str]]:
    return [line.split() for line in (*LINE.findall(text), *INLINE.findall(text))]


def fault(words: list[str]) -> str:
    """What is wrong with a command line; nothing: it is one."""
    found: click.Command = fairlead
    rest = list(words)
    while isinstance(found, click.Group):
        named = found.get_command(click.Context(found), rest.pop(0)) if rest else None
        if named is None:
            return f"there is no {' '.join(words)}"
        found = named
    taken = {option for parameter in found.params for option in parameter.opts}
    unknown = [word for word in rest if word.startswith("--") and word not in taken]
    return f"{' '.join(words)}: no {unknown}" if unknown else ""


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda path: path.name)
def test_each_command_is_one(runbook: Path) -> None:
    found = commands(runbook.read_text())
    assert found
    assert [said for words in found if (said := fault(words))] == []


def test_a_wrong_one_is_seen() -> None:
    assert fault(["backup", "--config", "x"]) == ""
    assert fault(["back"]) == "there is no back"
    assert fault(["backup", "--passphrase", "x"]) == "backup --passphrase x: no ['--passphrase']"
    assert fault(["keys", "rotate", "--config", "x"]) == ""
