"""Which refusals of a certificate are recorded: the first of each, then one a minute with how many there were.

A peer with a revoked certificate may dial as fast as handshakes go; each would be a record, and the ledger full of it.
What always holds: the first refusal of a certificate and fault is recorded at once; what is remembered is bounded, and
whoever is forgotten is recorded again, so forgetting never hides anybody.
"""

from __future__ import annotations

from typing import Final

EVERY_MICROS: Final = 60 * 1_000_000
MAX_REMEMBERED: Final = 4096  # certificates; as many as there may be connections


class Refusals:
    """Remembers the refused. Times are microseconds, always passed in."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], tuple[int, int]] = {}  # recorded when, and how many since

    def due(self, who: str, fault: str, now: int) -> int:
        """Count a refusal; returns how many a record of it now stands for, itself included. 0: none is due."""
        key = (who, fault)
        recorded, more = self._since.pop(key, (now - EVERY_MICROS, 0))
        more += 1
        due = now - recorded >= EVERY_MICROS
        while len(self._since) >= MAX_REMEMBERED:
            del self._since[next(iter(self._since))]
        self._since[key] = (now, 0) if due else (recorded, more)
        return more if due else 0
