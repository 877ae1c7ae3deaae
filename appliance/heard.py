"""What is counted from the audit trail, event by event."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from appliance.core.events import AuditEvent, EventType
from appliance.core.liveness import SECOND

BOUNDS: Final[Sequence[float]] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
ANSWERS: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")  # by the hundreds of a status; 0 is none
_MICROS: Final = [round(bound * SECOND) for bound in BOUNDS]
LASTING: Final = frozenset({"watch", "connect"})
LASTING_PARTS: Final = frozenset({"exec", "attach", "portforward", "proxy", "log"})


@dataclass
class Heard:
    """The counts."""

    events: Counter[EventType] = field(default_factory=Counter)
    answers: list[int] = field(default_factory=lambda: [0] * len(ANSWERS))
    received: int = 0
    sent: int = 0
    took: int = 0  # microseconds, of requests that do not last
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def hear(self, events: Sequence[AuditEvent]) -> None:
        """Count records."""
        closed = 0
        for event in events:
            if event.type is not EventType.PROXY_CLOSED:
                self.events[event.type] += 1
                continue
            closed += 1  # each of them into `events` would cost more than all the rest
            self.answers[min(event.status // 100, 5)] += 1
            self.received += event.bytes_in
            self.sent += event.bytes_out
            if event.verb not in LASTING and event.subresource not in LASTING_PARTS:
                self.took += event.duration
                self.buckets[bisect_left(_MICROS, event.duration)] += 1
        self.events[EventType.PROXY_CLOSED] += closed
