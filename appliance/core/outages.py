"""What goes wrong for everybody at once, for as long as it lasts: the log says it once, and then how often.

While no record can be kept every call is refused for the same reason, thousands in a second, and a line for each would
bury the one that matters. What a caller is told, and the codes on record, do not depend on any of this. Pure: `now` is
an argument, in seconds of a clock that does not go back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

QUIET_SECONDS: Final = 30.0  # without it: what comes then is told as a new outage
AGAIN_SECONDS: Final = 60.0  # between two lines about one that goes on


@dataclass(slots=True)
class _Outage:
    met_at: float = -math.inf
    told_at: float = -math.inf
    untold: int = 0


class Outages:
    """For one process. Each is named by whoever meets it, with one of a few words."""

    def __init__(self) -> None:
        self._found: dict[str, _Outage] = {}

    def met(self, what: str, now: float) -> int:
        """It went wrong once more. How many times the log is to tell of now, this one included; 0: nothing now."""
        it = self._found.setdefault(what, _Outage())
        begins = now - it.met_at > QUIET_SECONDS
        it.met_at = now
        it.untold += 1
        if not begins and now - it.told_at < AGAIN_SECONDS:
            return 0
        it.told_at = now
        times, it.untold = it.untold, 0
        return times
