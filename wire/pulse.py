"""Whether a session's peer lives: when it was heard last, what it was asked, how long a write has been stuck. Pure."""

from __future__ import annotations

from typing import Final

SILENCE_SECONDS: Final = 10.0
"""After this long without a byte we PING: shorter than any load balancer's idle limit."""

DEATH_SECONDS: Final = 10.0
"""How long the PING may stay unanswered. Any byte counts as life."""

STALLED_WRITE_SECONDS: Final = 20.0
"""A write that makes no progress for this long means the path is dead."""

LATE_LOOP_SECONDS: Final = 2.0
"""If our own loop was late by more, the silence may be our fault: the clock starts again."""

MEASURE_SECONDS: Final = 30.0
"""A busy session is never silent; its round trip is measured this often all the same."""


class Pulse:
    """What one session knows of its peer's life. Times are seconds of the loop's clock."""

    def __init__(self, now: float) -> None:
        self._heard = now
        self._asked: float | None = None
        self._measured = now
        self.writing_since: float | None = None
        """When the write under way began, or last made progress."""

    def heard(self, now: float) -> None:
        """Any byte counts."""
        self._heard = now
        self._asked = None

    def excuse(self, now: float, late: float) -> None:
        """Our own loop was late: what looks like silence or a stuck write may be that."""
        if late > LATE_LOOP_SECONDS:
            self.heard(now)
            if self.writing_since is not None:
                self.writing_since = now

    def fault(self, now: float) -> str | None:
        """Say why the session must end, if it must."""
        if self.writing_since is not None and now - self.writing_since >= STALLED_WRITE_SECONDS:
            return f"no byte could be written for {STALLED_WRITE_SECONDS:.0f} s"
        if self._asked is not None and now - self._asked >= DEATH_SECONDS:
            return f"the peer has been silent for {now - self._heard:.0f} s"
        return None

    def asks(self, now: float) -> bool:
        """Tell whether to PING now, because of silence or to measure."""
        if self._asked is not None:
            return False
        if now - self._heard >= SILENCE_SECONDS:
            self._asked = now
            return True
        return now - self._measured >= MEASURE_SECONDS

    def measured(self, now: float) -> None:
        """A PING leaves."""
        self._measured = now
