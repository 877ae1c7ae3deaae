"""The exchanges that run right now, so that losing a right ends what rests on it within two seconds.

A right is lost by a change of the configuration (the snapshot's version tells), by the clock (a binding's end), or
because the store could not be read for so long that nobody knows. One task looks twice a second; a number compared is
all it costs while nothing changes.
"""

from __future__ import annotations

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


class Held:
    """One running exchange and what it rests on."""

    __slots__ = ("_all", "caller", "permit")

    def __init__(self, permit: Permit, caller: Caller, everyone: dict[int, Held]) -> None:
        self.permit = permit
        self.caller = caller
        self._all = everyone

    def release(self) -> None:
        """End the watch."""
        del self._all[id(self)]


class Running:
    """Every exchange between its permit and its end."""

    def __init__(self, parts: FrontParts) -> None:
        self._parts = parts
        self._held: dict[int, Held] = {}
        self.seen = parts.store.snapshot.version
        """The version of the configuration that what runs was last compared with."""

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, permit: Permit, caller: Caller) -> Held:
        """Keep an exchange under watch until its `release`."""
        held = Held(permit, caller, self._held)
        self._held[id(held)] = held
        return held

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            await trio.sleep(LOOK_SECONDS)
            now = self._parts.clock()
            snapshot = self._parts.store.snapshot
            stale = self._parts.store.lost()
            changed = snapshot.version != self.seen
            self.seen = snapshot.version
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
