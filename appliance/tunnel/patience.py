"""How strangers wait for the loop: whoever is connected already goes first.

A thousand agents that come back at once ask for seconds of computing: a handshake and an opening each. Done in the
order of arrival, every request of everyone would stand behind them. So they begin one by one, PACE_SECONDS apart, each
when the loop has nothing else to do; and at the latest after PATIENCE_SECONDS more, so that an appliance which is busy
without a pause still takes agents in.

What always holds: one at a time, first come, first served; the wait is bounded for the first in the queue, so for all.
"""

from __future__ import annotations

import math
from typing import Final

import trio
from trio.testing import wait_all_tasks_blocked

PACE_SECONDS: Final = 0.007
"""One arrival is some 3.5 ms of computing, in pieces: half of the loop's time is left between them."""

PATIENCE_SECONDS: Final = 0.003
"""With the pace this makes a hundred a second however busy the loop is. A thousand are in after 10 s, which is as long
as an agent waits for its handshake; slower, and the last would give up and dial again."""


class Patience:
    """The queue in front of one listener's handshakes."""

    def __init__(self, pace: float = PACE_SECONDS, patience: float = PATIENCE_SECONDS) -> None:
        self._pace = pace
        self._patience = patience
        self._first = trio.StrictFIFOLock()
        self._last = -math.inf

    async def wait(self) -> None:
        """Return when the loop has nothing else to do, or has had no such moment for long enough."""
        async with self._first:
            await trio.sleep_until(self._last + self._pace)
            with trio.move_on_after(self._patience):
                # Made for tests, but it is Trio's own word for "nobody can run and no socket has anything".
                await wait_all_tasks_blocked()
            self._last = trio.current_time()
