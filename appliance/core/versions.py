"""Which state of an entity a change is meant for: entity tags and If-Match (RFC 9110 §8.8.3, §13.1.1; RFC 6585 §3).

A list within an entity is replaced whole, so whoever changes one must say which one they have read, or that they do
not mind (`*`): else of two who change it at once the first is lost, and with rights nobody would see it. What always
holds: the comparison is made in the transaction that writes, on the row as it is then. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

from appliance.core.problems import Code, ProblemError, problem

MAX_TAGS: Final = 16  # in one If-Match; who has read more states than these has read none
_TAG: Final = re.compile(r'"[!#-~]{1,64}"')
_TAG_DIGITS: Final = 20  # of the digest: an accident, not an attack, is what it must tell

T = TypeVar("T")


def tag(content: Mapping[str, Any]) -> str:
    """The entity tag of what is shown in JSON, quotes included."""
    whole = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f'"{sha256(whole.encode()).hexdigest()[:_TAG_DIGITS]}"'


@dataclass(frozen=True, slots=True)
class Condition:
    """What an If-Match says; None: any state will do."""

    tags: frozenset[str] | None


def condition(if_match: str | None) -> Condition:
    """Reads the header. Raises ProblemError when there is none, or when it is none of ours."""
    if if_match is None:
        raise ProblemError(problem(Code.PRECONDITION_REQUIRED))
    if if_match.strip() == "*":
        return Condition(None)
    tags = [part.strip() for part in if_match.split(",")]
    if len(tags) > MAX_TAGS or not all(_TAG.fullmatch(it) for it in tags):
        raise ProblemError(problem(Code.BAD_REQUEST, detail="If-Match is neither * nor an entity tag in quotes"))
    return Condition(frozenset(tags))


@dataclass(frozen=True, slots=True)
class Guarded(Generic[T]):
    """An edit that is made only if what is there is what the caller has read."""

    condition: Condition
    etag: Callable[[T], str]
    edit: Callable[[T], T]

    def __call__(self, entity: T) -> T:
        """Raises ProblemError(PRECONDITION_FAILED) with the tag of what is there now."""
        there = self.etag(entity)
        if self.condition.tags is not None and there not in self.condition.tags:
            raise ProblemError(problem(Code.PRECONDITION_FAILED, meta=(("etag", there),)))
        return self.edit(entity)
