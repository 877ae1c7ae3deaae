"""One pass of the loop over everything that can run, and how long it may take, whoever sends whatever how fast.

Whoever is about to do a piece of work for a peer asks `spent`; when this pass has had its share, `wait` gives the loop
to others and takes a place in a queue. What always holds: a pass lasts no longer than PASS_SECONDS, the piece of work
under way at that moment and one piece of the first in the queue; the queue moves in every pass, first come, first
served. So many flooding connections together delay a timer no more than one of them, and each gets its turn. Where a
pass is short, as it nearly always is, nobody queues and asking costs a look at the clock.

What a piece is, is for its owner to keep small: one record, one request, a few thousand bytes of tiny frames.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, cast

import trio

PASS_SECONDS: Final = 0.005
"""A timer that expires at the worst moment waits for two passes: with pieces of 5 ms that is 30 ms of the 50 promised.
At 5 ms a pass the loop's own cost of one, about 50 us, stays below what anybody could measure."""


class Passes:
    """The passes of one loop."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._due = clock() + PASS_SECONDS
        self._queue = trio.lowlevel.ParkingLot()
        self._led = False  # somebody is first in the queue, and awake

    def follow(self) -> None:
        """Hear from Trio of each pass from now on."""
        # An instrument in all but its base class, which would keep this one from being compiled.
        trio.lowlevel.add_instrument(cast("trio.abc.Instrument", self))

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 -- Trio's signature
        """Hear from Trio that a pass begins."""
        self._due = self._clock() + PASS_SECONDS

    @property
    def spent(self) -> bool:
        """Tell whether this pass has had its share."""
        return self._clock() >= self._due

    async def wait(self) -> None:
        """Let others run; returns in a later pass, in the order of asking."""
        if self._led:
            await self._queue.park()
        self._led = True
        try:
            # The first in the queue goes on in the next pass whatever that has cost by then: nobody starves.
            await trio.lowlevel.checkpoint()
        finally:
            self._led = bool(self._queue.unpark())


_of_this_run: Final[trio.lowlevel.RunVar[Passes]] = trio.lowlevel.RunVar("passes")


def passes() -> Passes:
    """Return the passes of the loop that is running."""
    try:
        return _of_this_run.get()
    except LookupError:
        made = Passes()
        made.follow()
        _of_this_run.set(made)
        return made
