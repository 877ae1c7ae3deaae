"""How strangers wait for the loop: whoever is connected already goes first.

A thousand agents that come back at once ask for seconds of computing: a handshake and an opening each. Done in the
order of arrival, every request of everyone would stand behind them. So each begins only when the loop has nothing else
to do, one by one; and at the latest after PATIENCE_SECONDS, so that an appliance which is busy without a pause still
takes agents in.

What always holds: one at a time, first come, first served; the wait is bounded for the first in the queue, so for all.
"""

from __future__ import annotations

from typing import Final

import trio
from trio.testing import wait_all_tasks_blocked

PATIENCE_SECONDS: Final = 0.02
"""Fifty a second come in however busy the loop is: a thousand within 20 s, for an eighth of one core."""


class Patience:
    """The queue in front of one listener's handshakes."""

    def __init__(self, seconds: float = PATIENCE_SECONDS) -> None:
        self._seconds = seconds
        self._first = trio.StrictFIFOLock()

    async def wait(self) -> None:
        """Return when the loop has nothing else to do, or has had none for long enough."""
        async with self._first:
            with trio.move_on_after(self._seconds):
                # Made for tests, but it is Trio's own word for "nobody can run and no socket has anything".
                await wait_all_tasks_blocked()
