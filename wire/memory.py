"""What a pure function gave before, remembered: for what comes thousands of times, byte for byte. Pure but for that.

What always holds: what is remembered is what the function gave for exactly this key, and a failure is not remembered;
a memory is bounded in number, the oldest goes first, and by its `keeps` in size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memory(Generic[Key, Value]):
    """`of(key)` is `make(key)`. Values are immutable and never None."""

    __slots__ = ("_keeps", "_known", "_make", "_most")

    def __init__(self, make: Callable[[Key], Value], most: int, keeps: Callable[[Key, Value], bool]) -> None:
        self._make: Final = make
        self._most: Final = most
        self._keeps: Final = keeps
        self._known: Final[dict[Key, Value]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, key: Key) -> Value:
        """Return what `make` gives for this key. Raises what it raises."""
        known = self._known.get(key)
        if known is None:
            known = self._make(key)
            if self._keeps(key, known):
                if len(self._known) >= self._most:
                    del self._known[next(iter(self._known))]
                self._known[key] = known
        return known
