"""Taking up the certificate authorities that the store holds, at the start and whenever they change.

Each appliance follows for itself: it hears of a change through the configuration's feed, opens the sealed keys, and
gives its listeners other certificates. Connections that stand are not touched.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
import trio

from appliance.certificates import Source, take_up
from appliance.core.authorities import FIRST, in_order
from appliance.store.faults import StoreUnavailable
from appliance.store.store import Store
from appliance.tunnel.authority import Authority
from appliance.tunnel.trust import Trust

LOOK_SECONDS: Final = 0.25  # a comparison of two numbers
SETTLE_SECONDS: Final = 5.0  # more is a store that does not answer; the change is made all the same


def made(now: int) -> bytes:
    """A new authority as it is sealed."""
    authority = Authority.make(now)
    return json.dumps({"certificate": authority.certificate_pem, "key": authority.key_pem.decode()}).encode()


def names(store: Store) -> tuple[str, ...]:
    """Under which names the authorities in force are sealed, the oldest first."""
    return tuple(it.name for it in in_order(store.snapshot.authorities)) or (FIRST,)


async def opened(store: Store, clock: Callable[[], int]) -> list[Authority]:
    """The authorities in force; the first one is made now if this is the first start."""
    found = []
    for name in names(store):
        kept = json.loads(await store.secret(name, lambda: made(clock())))
        found.append(Authority.load(kept["certificate"], kept["key"].encode()))
    return found


class Following:
    """Has one process use what the store holds."""

    def __init__(self, store: Store, trust: Trust, clock: Callable[[], int]) -> None:
        self._store, self._trust, self._clock = store, trust, clock
        self._known = names(store)

    async def run(self, changed: Callable[[], None]) -> None:
        """Take up each change, and say so, until cancelled."""
        seen = self._store.snapshot.version
        while True:
            await trio.sleep(LOOK_SECONDS)
            if self._store.snapshot.version == seen:
                continue
            seen = self._store.snapshot.version
            held = names(self._store)
            if held == self._known:
                continue
            try:
                authorities = await opened(self._store, self._clock)
            except StoreUnavailable:
                seen = -1
                continue
            self._known = held
            self._trust.replace(authorities)
            changed()
            structlog.get_logger().info("other certificate authorities are in force", authorities=", ".join(held))

    async def settled(self) -> None:
        """Return once this process uses what its snapshot holds, or after a while."""
        with trio.move_on_after(SETTLE_SECONDS):
            while names(self._store) != self._known:  # noqa: ASYNC110 -- it is the look of `run` that is waited for
                await trio.sleep(LOOK_SECONDS / 4)


async def keep_agents_current(
    source: Source, make: Callable[[Path, Path], ssl.SSLContext], use: Callable[[ssl.SSLContext], None]
) -> None:
    """Give the agents' listener a new context for each new certificate or authority, until cancelled.

    A context that trusts one authority less cannot be made from one that trusted it.
    """
    while True:
        await source.changed()
        await take_up(source, lambda chain, key: use(make(chain, key)))
