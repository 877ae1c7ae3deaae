"""While no audit record can be kept, every request is refused for the same reason: the log says it once.

An outage is over when nobody was refused for a while; what a caller is told, and the codes on record, do not depend on
any of this.
"""

from __future__ import annotations

import logging
import math
from typing import Final

import trio

QUIET_SECONDS: Final = 30.0  # without a refusal: what comes then is told as a new outage

_log = logging.getLogger("fairlead.front")


class Outage:
    """Says that requests are refused, once for many."""

    def __init__(self) -> None:
        self._refused_at = -math.inf

    def refused(self, why: Exception, correlation_id: bytes) -> None:
        """One more request was refused because its record could not be kept."""
        now = trio.current_time()
        begins = now - self._refused_at > QUIET_SECONDS
        self._refused_at = now
        if begins:
            _log.error(
                "audit records cannot be kept, and until they can requests are refused: %s",
                str(why) or type(why).__name__,
                extra={"correlation_id": correlation_id.decode()},
            )
