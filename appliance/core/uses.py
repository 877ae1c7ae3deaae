"""When each binding last allowed something, so that a review can say which rights nobody uses.

Noting costs a request one look into a dict, however many bindings allowed it: what allowed it is one tuple that the
decision gives again and again. What is written down is right to GRAIN_SECONDS, so that a busy binding costs the store a
write an hour. What was not written when a process died is noted with the next use. Pure: `now` is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from appliance.core.credentials import SECOND
from appliance.core.events import AuditEvent

GRAIN_SECONDS: Final = 3_600
MAX_HEARD: Final = 4_096  # different tuples until they are gathered; beyond, their uses are noted the next time
MAX_WRITTEN: Final = 100_000  # bindings whose last note is remembered; beyond, one is written again too soon


class BindingUses:
    """For one process."""

    def __init__(self) -> None:
        self._heard: dict[int, tuple[tuple[str, ...], int]] = {}  # by the identity of the tuple, which is held here
        self._latest: dict[str, int] = {}
        self._written: dict[str, int] = {}

    def note(self, binding_ids: tuple[str, ...], now: int) -> None:
        """These have allowed something."""
        if binding_ids and (id(binding_ids) in self._heard or len(self._heard) < MAX_HEARD):
            self._heard[id(binding_ids)] = (binding_ids, now)

    def hear(self, events: Sequence[AuditEvent]) -> None:
        """A listener to the ledger: a record names the bindings that allowed what it is about."""
        for event in events:
            self.note(event.binding_ids, event.time)

    def note_one(self, binding_id: str, now: int) -> None:
        """This one has, outside of what is noted for every request."""
        if len(self._latest) < MAX_HEARD:
            self._latest[binding_id] = now

    def due(self) -> Mapping[str, int]:
        """What is to be written down now: each binding whose last note is too old."""
        heard, self._heard = self._heard, {}
        latest, self._latest = self._latest, {}
        for binding_ids, at in heard.values():
            for binding_id in binding_ids:
                latest[binding_id] = max(at, latest.get(binding_id, at))
        return {it: at for it, at in latest.items() if at - self._written.get(it, 0) >= GRAIN_SECONDS * SECOND}

    def wrote(self, noted: Mapping[str, int]) -> None:
        """These are written down."""
        if len(self._written) + len(noted) > MAX_WRITTEN:
            self._written.clear()
        self._written.update(noted)
