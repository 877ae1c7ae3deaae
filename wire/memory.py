"""What a pure function gave before, remembered: for what comes thousands of times, byte for byte. Pure but for that.

What always holds: what is remembered is what the function gave for exactly this key, and a failure is not remembered;
a memory is bounded in number, and by its `keeps` in size; a full one forgets all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memory(dict[Key, Value]):
    """`memory[key]` is `make(key)`, and raises what it raises. A dict, so that what is known costs no call of ours."""

    def __init__(self, make: Callable[[Key], Value], most: int, keeps: Callable[[Key, Value], bool]) -> None:
        super().__init__()
        self._make = make
        self._most = most
        self._keeps = keeps

    def __missing__(self, key: Key) -> Value:
        made = self._make(key)
        if self._keeps(key, made):
            if len(self) >= self._most:
                # What is used is soon known again. The oldest alone would cost a walk over the places of all that went
                # before it, at every new key: a dict keeps those until it grows.
                self.clear()
            self[key] = made
        return made
