"""The page of one error code: what happened, why, what to do. Pure: text in, a page out.

The pages are `docs/errors/CODE.md`, written for people who read them there as well as for those whom an answer's `Link`
brings to the appliance. What always holds: a page that is not of this form, or does not quote the catalogue's own
status and sentence, is refused, so neither the page nor the answer can go its own way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from appliance.core.problems import CATALOGUE, Code

TITLES = ("What happened", "Why", "What to do")

Spans = tuple[tuple[str, bool], ...]
"""Pieces of one paragraph, each with whether it is code."""


class BadPage(ValueError):
    """Not a page; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Section:
    """A paragraph, or steps to choose from."""

    title: str
    text: Spans = ()
    steps: tuple[Spans, ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """`text` is the whole page as it was written."""

    code: Code
    status: int
    sentence: str
    sections: tuple[Section, ...]
    text: str


def read(code: Code, text: str) -> ErrorPage:
    """The page of a code.

    Raises:
        BadPage: it is not of the form, or says something else than the catalogue.

    """
    status, sentence = CATALOGUE[code]
    blocks = [" ".join(line.strip() for line in block.splitlines()) for block in text.strip().split("\n\n")]
    head = [f"# {code}", f"Status {status}", sentence]
    quoted = " ".join(line.removeprefix("> ") for line in text.split("\n\n")[2].splitlines()) if len(blocks) > 2 else ""
    if [*blocks[:2], quoted] != head:
        raise BadPage(f"{code}: the page must begin with: # {code} | Status {status} | > {sentence}")
    titles = [block for block in blocks[3:] if block.startswith("#")]
    if titles != [f"## {title}" for title in TITLES] or len(blocks) != 3 + 2 * len(TITLES):
        raise BadPage(f"{code}: the page has exactly these sections, one paragraph or list each: {', '.join(TITLES)}")
    paragraphs = blocks[4::2]
    steps = re.split(r"(?:^|\n)- ", "\n" + text.strip().split("\n\n")[-1])[1:]
    if not steps or any(block.startswith("- ") for block in paragraphs[:-1]):
        raise BadPage(f"{code}: `{TITLES[-1]}` is a list, and nothing else is")
    sections = [Section(title, _spans(block)) for title, block in zip(TITLES[:-1], paragraphs, strict=False)]
    sections.append(Section(TITLES[-1], steps=tuple(_spans(" ".join(step.split())) for step in steps)))
    return ErrorPage(code, status, sentence, tuple(sections), text)


def _spans(text: str) -> Spans:
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        raise BadPage(f"a backtick stands alone: {text}")
    return tuple((piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece)
