"""The exchanges that run right now, so that losing a right ends what rests on it within two seconds.

A right is lost by a change of the configuration (the snapshot's version tells), by the clock (a binding's end), or
because the store could not be read for so long that nobody knows. One task looks twice a second; a number compared is
all it costs while nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import trio

from appliance.core.decision import Permit, withdrawn
from appliance.core.problems import Code, problem
from appliance.front.caller import Caller
from appliance.front.client import Ending
from appliance.front.parts import FrontParts

LOOK_SECONDS: Final = 0.5
"""With the store's own second this keeps the promise of two."""

SHARE: Final = 256
"""Exchanges looked at before other tasks get the loop."""


@dataclass(slots=True, eq=False)
class Held:
    """One running exchange and what it rests on."""

    permit: Permit
    caller: Caller


class Running:
    """Every exchange between its permit and its end."""

    def __init__(self, parts: FrontParts) -> None:
        self._parts = parts
        self._held: dict[int, Held] = {}
        self._seen = parts.store.snapshot.version

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def holding(self, permit: Permit, caller: Caller) -> Iterator[Held]:
        """Keep an exchange under watch while it runs."""
        held = Held(permit, caller)
        self._held[id(held)] = held
        try:
            yield held
        finally:
            del self._held[id(held)]

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            now = self._parts.clock()
            snapshot = self._parts.store.snapshot
            stale = self._parts.store.lost()
            changed = snapshot.version != self._seen
            self._seen = snapshot.version
            for position, held in enumerate(list(self._held.values())):
                if position % SHARE == SHARE - 1:
                    await trio.lowlevel.checkpoint()
                until = held.permit.until
                if stale:
                    held.caller.client.end(Ending.STALE, problem(Code.STORE_STALE))
                elif changed or (until is not None and until <= now):
                    lost = withdrawn(held.permit, snapshot, now)
                    if lost is not None:
                        held.caller.client.end(Ending.REVOKED, lost)
