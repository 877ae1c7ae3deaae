"""YAML files of other tools, edited so that nothing changes but what was meant.

A round-trip library keeps comments, order and quotes. Two things it would change all the same are kept here: no plain
scalar is read as anything but its letters (`0755`, `on`, `2030-01-31`, nothing at all stay as they are), and where it
would lay out lines anew that we did not touch, only the lines in which the edit shows are taken from it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from difflib import SequenceMatcher
from typing import Any

import yaml as pyyaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

WIDE = 1_000_000_000  # no line is ever folded: certificates are long words, and others' lines are others'
_SEQUENCE = re.compile(r"^(?:clusters|contexts|users):[^\n]*\n(?:[ ]*#[^\n]*\n)*([ ]*)-[ ]", re.MULTILINE)
_MAPPING = re.compile(r"^([ ]*)-[ ](?:cluster|context|user):[ ]*\n([ ]+)\S", re.MULTILINE)


class NotYAMLError(Exception):
    """The text cannot be read; the text of this is a phrase that says why."""


class _Letters(VersionedResolver):
    """Every plain scalar is the letters it is made of."""

    @property
    def versioned_resolver(self) -> Any:
        return {}


def edited(text: str, edit: Callable[[CommentedMap], None]) -> str:
    """The text after the edit of its mapping (of an empty one, if there is nothing)."""
    windows = "\r\n" in text
    before = text.replace("\r\n", "\n")
    library = _library(before)
    document = _loaded(library, before)
    if not isinstance(document, CommentedMap):
        raise NotYAMLError("it is no mapping")
    unedited = _dumped(library, document)
    edit(document)
    after = _dumped(library, document)
    if unedited != before:
        merged = _carried_over(before, unedited, after)
        after = merged if merged is not None and _says(merged, document) else after
    return after.replace("\n", "\r\n") if windows else after


def word(text: str) -> str:
    """A text as a scalar that every YAML reader takes for text (YAML 1.1 reads `on` and `1e3` as something else)."""
    try:
        plain = pyyaml.safe_load(text or "~") == text
    except pyyaml.YAMLError:
        plain = False
    return text if plain else DoubleQuotedScalarString(text)


def _library(text: str) -> YAML:
    library = YAML()
    library.preserve_quotes = True
    library.width = WIDE
    library.Resolver = _Letters
    dash = _SEQUENCE.search(text)
    offset = len(dash[1]) if dash else 0
    nested = _MAPPING.search(text)
    mapping = len(nested[2]) - len(nested[1]) - 2 if nested else 2
    library.indent(mapping=mapping if mapping > 0 else 2, sequence=offset + 2, offset=offset)
    if text.startswith("---"):
        library.explicit_start = True
    return library


def _loaded(library: YAML, text: str) -> Any:
    try:
        document = library.load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise NotYAMLError("it is not YAML" + (f" (line {line + 1})" if line is not None else "")) from None
    return CommentedMap() if document in (None, "") else document


def _dumped(library: YAML, document: Any) -> str:
    out = io.StringIO()
    library.dump(document, out)
    return out.getvalue()


def _carried_over(before: str, unedited: str, after: str) -> str | None:
    """`before` with the lines changed that differ between `unedited` and `after`; None if it does not say where."""
    ours, base, theirs = (it.splitlines(keepends=True) for it in (before, unedited, after))
    place: dict[int, int] = {}  # a line of base that is also in ours -> where
    for at_base, at_ours, size in SequenceMatcher(None, base, ours, autojunk=False).get_matching_blocks():
        place.update({at_base + step: at_ours + step for step in range(size)})
    place[len(base)] = len(ours)
    made = list(ours)
    for what, begin, end, new, new_end in reversed(SequenceMatcher(None, base, theirs, autojunk=False).get_opcodes()):
        if what == "equal":
            continue
        at = place.get(begin, place.get(begin - 1, -2) + 1)
        if at < 0 or any(place.get(begin + step) != at + step for step in range(end - begin)):
            return None
        made[at : at + end - begin] = theirs[new:new_end]
    return "".join(made)


def _says(text: str, document: CommentedMap) -> bool:
    """Whether the text is this document, letter by letter."""
    try:
        return bool(_loaded(_library(text), text) == document)
    except NotYAMLError:
        return False
