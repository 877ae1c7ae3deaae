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


async def follow(store: Store, trust: Trust, clock: Callable[[], int], changed: Callable[[], None]) -> None:
    """Take up each change, and say so, until cancelled."""
    log = structlog.get_logger()
    known, seen = names(store), store.snapshot.version
    while True:
        await trio.sleep(LOOK_SECONDS)
        if store.snapshot.version == seen:
            continue
        seen = store.snapshot.version
        now_known = names(store)
        if now_known == known:
            continue
        try:
            trust.replace(await opened(store, clock))
        except StoreUnavailable:
            seen = -1
            continue
        known = now_known
        changed()
        log.info("the certificate authorities in force are others now", authorities=", ".join(known))


async def keep_agents_current(
    source: Source, make: Callable[[Path, Path], ssl.SSLContext], use: Callable[[ssl.SSLContext], None]
) -> None:
    """Give the agents' listener a new context for each new certificate or authority, until cancelled.

    A context that trusts one authority less cannot be made from one that trusted it.
    """
    while True:
        await source.changed()
        await take_up(source, lambda chain, key: use(make(chain, key)))
