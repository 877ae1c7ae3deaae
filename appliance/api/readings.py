"""Which pages of the audit trail belong to a query that is on record already.

Reading the trail is recorded: one record for each query, and none for the pages that follow it. What always holds: a
page follows only if this process gave its cursor to this very caller for this very query; any other cursor, a made-up
one included, is a query of its own. What is forgotten, or was given by another appliance, is recorded once more.

Whoever follows the trail asks the same question again and again, from ever later on. The first is recorded, and says
that it goes on (`follow`); what it covers is recorded anew once an hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FOLLOWED: Final = 3_600 * 1_000_000  # microseconds for which one record stands for all that follows it
MAX_FOLLOWING: Final = 1_024  # readers at once; the oldest is forgotten, and recorded once more
MAX_REMEMBERED: Final = 1_024  # cursors given out, the oldest forgotten first; one takes some 6 KB at most

_Key = tuple[str, str, tuple[tuple[str, str], ...]]


class Readings:
    """The cursors that were given out."""

    def __init__(self) -> None:
        self._given: dict[_Key, None] = {}
        self._following: dict[_Key, tuple[int, int]] = {}  # from when on was read, and when that was recorded

    def goes_on(self, caller_id: str, query: Mapping[str, str], since: int, now: int) -> bool:
        """Whether what is on record covers this: the same question, from no earlier on. If not, it will be."""
        asked = {name: value for name, value in query.items() if name not in {"since", "limit"}}
        key = _key(caller_id, asked, "")
        first, recorded = self._following.get(key, (0, 0))
        if recorded and first <= since and recorded <= now < recorded + FOLLOWED:
            return True
        self._following.pop(key, None)
        if len(self._following) >= MAX_FOLLOWING:
            del self._following[next(iter(self._following))]
        self._following[key] = (since, now)
        return False

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
