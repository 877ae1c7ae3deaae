"""How fast one caller may call the admin API: a bucket for each address, and one for each person or machine.

Pure, in memory, per replica, as `buckets`: a bucket is the time at which it is full again (GCRA). What always holds:
the tables are bounded, and whoever makes room for a new caller is the one that has been quiet longest, which costs it
nothing when it has a full bucket; whoever is refused is told when to come back, and being refused costs nothing.
"""

from __future__ import annotations

from typing import Final

from appliance.core.buckets import SECOND, source_of
from appliance.core.problems import Code, Problem, problem

CALLER_PER_SECOND: Final = 50  # a program that pages through everything, or applies a configuration
CALLER_BURST: Final = 500
ADDRESSES_WORTH: Final = 4  # so many callers may be behind one address at full speed; an office shares one
MAX_CALLERS: Final = 16_384  # in each table, about 2 MB


class Pace:
    """One table of buckets."""

    def __init__(self, *, per_second: int, burst: int) -> None:
        self._interval = SECOND // per_second
        self._room = burst * self._interval
        self._full_at: dict[str, int] = {}  # the latest seen is last

    def refuse(self, key: str, now: int) -> Problem | None:
        """Takes one token of this bucket, or says when there is one."""
        full_at = max(self._full_at.pop(key, now), now) + self._interval
        over = full_at - now - self._room
        if over > 0:
            self._full_at[key] = full_at - self._interval
            seconds = -(-over // SECOND)
            return problem(Code.RATE_LIMITED, seconds=seconds, retry_after=seconds)
        if len(self._full_at) >= MAX_CALLERS:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[key] = full_at
        return None

    def __len__(self) -> int:
        return len(self._full_at)


class Paces:
    """Both tables. `per_second` and `burst` are a caller's; an address has several times as much."""

    def __init__(self, *, per_second: int = CALLER_PER_SECOND, burst: int = CALLER_BURST) -> None:
        self.callers = Pace(per_second=per_second, burst=burst)
        self.addresses = Pace(per_second=per_second * ADDRESSES_WORTH, burst=burst * ADDRESSES_WORTH)

    def refuse_address(self, address: str, now: int) -> Problem | None:
        """Before anything is looked at."""
        return self.addresses.refuse(source_of(address), now)

    def refuse_caller(self, identity: str, now: int) -> Problem | None:
        """Once it is known who calls."""
        return self.callers.refuse(identity, now)
