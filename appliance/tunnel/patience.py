"""How strangers wait for the loop: whoever is connected already goes first.

A thousand agents that come back at once ask for seconds of computing: a handshake and an opening each. Done in the
order of arrival, every request of everyone would stand behind them; and their bytes come in bunches, thirty handshakes
to go on with at once. So each piece of computing for a stranger, until its session runs, has a turn of its own:
PACE_SECONDS after the one before, when the loop has nothing else to do; and at the latest after PATIENCE_SECONDS more,
so that an appliance which is busy without a pause still takes agents in.

What always holds: one at a time, first come, first served; the wait is bounded for the first in the queue, so for all.
"""

from __future__ import annotations

import math
from typing import Final

import trio
from trio.testing import wait_all_tasks_blocked

PACE_SECONDS: Final = 0.0024
"""A piece is up to 0.8 ms of computing. Twice as long the loop is free, and sleeps: a loop that never did would keep a
processor from those whom a request needs next, the agent among them."""

PATIENCE_SECONDS: Final = 0.001
"""An arrival has four turns: with the pace these make seventy a second however busy the loop is. A thousand are in
after 14 s; an agent waits 20 for its handshake (`agent/outbound.py`)."""


class Patience:
    """The queue in front of what one listener computes for strangers."""

    def __init__(self, pace: float = PACE_SECONDS, patience: float = PATIENCE_SECONDS) -> None:
        self._pace = pace
        self._patience = patience
        self._first = trio.StrictFIFOLock()
        self._last = -math.inf

    async def turn(self) -> None:
        """Return when the loop has nothing else to do, or has had no such moment for long enough."""
        async with self._first:
            await trio.sleep_until(self._last + self._pace)
            with trio.move_on_after(self._patience):
                # Made for tests, but it is Trio's own word for "nobody can run and no socket has anything".
                await wait_all_tasks_blocked()
            self._last = trio.current_time()
