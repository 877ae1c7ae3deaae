"""Where a list goes on: cursors, and the cut of a page. The one mechanism of every list.

A list has an order in which every entry has a key of its own, and a cursor is the key of the last entry shown. So what
is added or removed meanwhile moves nothing: an entry that was there all the time is shown once. What always holds: a
cursor is good for the list, the filters and the caller it was given to, and any other text is refused; it says no more
than its page did. It is no secret and no right: whoever makes one up sees what they may see anyway. Pure.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

from appliance.core.problems import Code, ProblemError, problem

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 500  # about 150 KB of JSON
MAX_CURSOR_CHARS: Final = 2_048  # a name of 256 characters of four bytes, in base64, and the rest
_MARK_CHARS: Final = 12  # of a digest: no protection, a way to notice a mistake
_LARGEST: Final = (1 << 63) - 1

Key = tuple[int | str, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: the list, its filters, who asks; and the types of its keys."""

    what: str
    filters: Iterable[tuple[str, Any]]
    caller_id: str
    like: tuple[type, ...]

    def cursor(self, key: Key) -> str:
        """The text that leads to what comes after `key`."""
        whole = json.dumps([self._mark(), *key], ensure_ascii=False, separators=(",", ":"))
        return urlsafe_b64encode(whole.encode()).decode().rstrip("=")

    def position(self, cursor: str | None) -> Key | None:
        """The key a cursor holds; None without one. Raises ProblemError(INVALID_CURSOR) when it was not given here."""
        if cursor is None:
            return None
        key = _read(cursor)
        if key is None or tuple(map(type, key[1:])) != self.like or self.cursor(key[1:]) != cursor:
            raise ProblemError(problem(Code.INVALID_CURSOR, meta=(("field", "?cursor"),)))
        return key[1:]

    def _mark(self) -> str:
        whole = json.dumps([self.what, sorted((name, str(value)) for name, value in self.filters), self.caller_id])
        return sha256(whole.encode()).hexdigest()[:_MARK_CHARS]


@dataclass(frozen=True, slots=True)
class Order(Generic[T]):
    """Entities by their keys, which rise. It is never changed, so that a walk over it may pause."""

    keys: Sequence[Key]
    entries: Sequence[T]

    def after(self, key: Key | None) -> int:
        """The index of the first entry beyond the key."""
        return 0 if key is None else bisect_right(self.keys, key)


def ordered(entries: Iterable[T], key: Callable[[T], Key]) -> Order[T]:
    rows = sorted(((key(it), it) for it in entries), key=lambda row: row[0])
    return Order([key for key, _ in rows], [it for _, it in rows])


@dataclass(slots=True)
class Orders:
    """The orders of a changing set of entities, each made again when one of its kind has changed: not for every page.

    Making one of 10,000 takes some 10 ms; a page of it then costs what it shows.
    """

    _kept: dict[str, tuple[int, Order[Any]]] = field(default_factory=dict)

    def of(self, name: str, version: int, entries: Iterable[T], key: Callable[[T], Key]) -> Order[T]:
        """The order kept under `name`, if it was made at this version."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != version:
            kept = self._kept[name] = (version, ordered(entries, key))
        return kept[1]


def _read(cursor: str) -> tuple[Any, ...] | None:
    if not cursor.isascii() or len(cursor) > MAX_CURSOR_CHARS:
        return None
    try:
        found = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not found or not all(_plain(it) for it in found):
        return None
    return tuple(found)


def _plain(it: Any) -> bool:
    if isinstance(it, str):
        return it.isprintable()
    return isinstance(it, int) and not isinstance(it, bool) and -_LARGEST <= it <= _LARGEST
