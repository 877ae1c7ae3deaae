"""Binds records in the order they come, some at a time, while what they say is still at hand.

Rendered and chained alone, between two requests, or 50 ms later by the thread that commits them, a record costs three
to five times what it costs among others that were made a moment ago: neither the code nor the event is in the
processor's cache any more. So whoever puts the last of BIND_AT binds them all.

What always holds: what was put is taken once and in that order, and each batch follows the one before it. Records are
put by one thread and taken by another, which binds what is left; the lock is held while records are bound, and whoever
puts never waits for it. Events are let go as soon as their listeners were told, which for most is when they are bound:
kept until the commit they would push what is in use out of the caches.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, final

import trio

from appliance.audit.chain import Head
from appliance.audit.sheaf import Bound, Record, bind, record
from appliance.core.audit_query import FOREVER
from appliance.core.events import AuditEvent

log = logging.getLogger("fairlead.audit")

BIND_AT: Final = 64  # 10 KB of text and 100 KB of events, which fit into a core's own cache; 16 gained half as much
UNREADABLE: Final = (("unreadable", "a field of this event cannot be written"),)
"""What an event says instead of what nobody can render."""
_TEXTS: Final = tuple(name for name, usual in AuditEvent._field_defaults.items() if type(usual) is str)


@dataclass(slots=True, eq=False)
class Awaited:
    """An event whose record somebody waits for. Abandoned before it was bound, it is not written."""

    event: AuditEvent
    done: trio.Event = field(default_factory=trio.Event)
    abandoned: bool = False


@final
class Batch:
    """What became of `count` events that were put; `awaited`: those of them that somebody waits for.

    `unheard`: the events, if they were bound where nobody could be told of them.
    """

    def __init__(self, bound: Bound, awaited: list[Awaited], count: int, unheard: list[AuditEvent]) -> None:
        self.bound = bound
        self.awaited = awaited
        self.count = count
        self.unheard = unheard


@final
class Binder:
    """What waits to be committed: `put` it, `take` it bound."""

    def __init__(self, head: Head, hear: Callable[[list[AuditEvent]], None]) -> None:
        """`hear` is called by whoever puts, with events that are bound; after it nobody holds them."""
        self._hear = hear
        self._head = head  # of the last record bound
        self._fresh: deque[AuditEvent | Awaited] = deque()
        self._batches: deque[Batch] = deque()
        self._put = 0
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Events put and not yet taken."""
        return self._put - self._taken

    def put(self, item: AuditEvent | Awaited) -> None:
        self._put += 1
        self._fresh.append(item)
        if len(self._fresh) >= BIND_AT and self._lock.acquire(blocking=False):
            events: list[AuditEvent] = []
            try:
                events = self._bind(told=True)
            except Exception:
                # Nobody's request is to blame. Nothing was taken: the thread meets the same, and ends access.
                log.exception("audit records could not be bound")
            finally:
                self._lock.release()
            self._hear(events)

    def take(self, most: int) -> list[Batch]:
        """The batches that wait, up to the one that makes `most` events full."""
        with self._lock:
            found: list[Batch] = []
            count = 0
            while count < most and (self._batches or self._fresh):
                if not self._batches:
                    self._bind(told=False)
                batch = self._batches.popleft()
                found.append(batch)
                count += batch.count
            self._taken += count
        return found

    def rebind(self, head: Head, taken: list[Batch]) -> list[Batch]:
        """The batches, taken before, so that they follow `head`, and what waits follows them."""
        with self._lock:
            waiting = list(self._batches)
            everything = taken + waiting
            if everything and everything[0].bound.before == head:
                return taken
            again: list[Batch] = []
            for it in everything:
                bound = bind(head, it.bound.records)
                head = bound.after
                again.append(Batch(bound, it.awaited, it.count, it.unheard))
            self._head, self._batches = head, deque(again[len(taken) :])
        return again[: len(taken)]

    def _bind(self, *, told: bool) -> list[AuditEvent]:
        """The events that were bound."""
        events: list[AuditEvent] = []
        records: list[Record] = []
        awaited: list[Awaited] = []
        count = min(len(self._fresh), BIND_AT)
        if not count:
            return events  # somebody was quicker
        for place in range(count):
            item = self._fresh[place]
            if isinstance(item, Awaited):
                if item.abandoned:
                    continue
                awaited.append(item)
                event = item.event
            else:
                event = item
            events.append(event)
            records.append(_rendered(event))
        bound = bind(self._head, records)
        for _ in range(count):
            self._fresh.popleft()
        self._head = bound.after
        self._batches.append(Batch(bound, awaited, count, [] if told else events))
        return events


def _rendered(event: AuditEvent) -> Record:
    """Its record; of what cannot be rendered, its texts: its neighbours must not suffer for it."""
    fields: tuple[Any, ...] = event  # as it is, not as it should be
    timely = type(fields[0]) is int and 0 <= fields[0] < FOREVER
    if timely:
        try:
            return record(event)
        except Exception:
            log.exception("an audit record could not be rendered")
    else:
        log.error("an audit record has no time")
    texts: dict[str, Any] = {name: value for name in _TEXTS if type(value := getattr(fields, name)) is str}
    return record(AuditEvent(fields[0] if timely else 0, fields[1], details=UNREADABLE)._replace(**texts))
