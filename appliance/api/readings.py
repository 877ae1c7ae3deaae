"""Which pages of the audit trail belong to a query that is on record already.

Reading the trail is recorded: one record for each query, and none for the pages that follow it. What always holds: a
page follows only if this process gave its cursor to this very caller for this very query; any other cursor, a made-up
one included, is a query of its own. What is forgotten, or was given by another appliance, is recorded once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MAX_REMEMBERED: Final = 1_024  # cursors given out, the oldest forgotten first; one takes some 6 KB at most

_Key = tuple[str, str, tuple[tuple[str, str], ...]]


class Readings:
    """The cursors that were given out."""

    def __init__(self) -> None:
        self._given: dict[_Key, None] = {}

    def follows(self, caller_id: str, query: Mapping[str, str]) -> bool:
        """Whether this is the next page of a query on record. Asking the same page again is."""
        return _key(caller_id, query, query.get("cursor", "")) in self._given

    def give(self, caller_id: str, query: Mapping[str, str], cursor: str | None) -> None:
        """Remember what the answer to `query` leads to."""
        if cursor is None:
            return
        key = _key(caller_id, query, cursor)
        self._given.pop(key, None)
        if len(self._given) >= MAX_REMEMBERED:
            del self._given[next(iter(self._given))]
        self._given[key] = None


def _key(caller_id: str, query: Mapping[str, str], cursor: str) -> _Key:
    return caller_id, cursor, tuple(sorted((name, value) for name, value in query.items() if name != "cursor"))
