"""What somebody else publishes, remembered: a provider's description of itself, an issuer's keys.

What always holds: it is fetched when it is old or someone found it wanting, but never more often than RETRY_SECONDS, so
that strangers cannot make us ask; many who want it at once wait for one fetch; while it cannot be fetched, what was
last fetched is believed for STALE_SECONDS.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import trio

from appliance.core.sessions import SECOND

T = TypeVar("T")

RETRY_SECONDS: Final = 15  # between two tries, whatever caused them
STALE_SECONDS: Final = 24 * 3600  # somebody's bad day is survived; withdrawn keys do not live on for ever
FETCH_SECONDS: Final = 10.0  # whoever answers slower is down

log = logging.getLogger("fairlead.login")


class Unreachable(Exception):
    """It cannot be fetched; the text is for an operator, without anything the other side sent."""


class Remembered(Generic[T]):
    """One thing, fetched by `fetch`, which raises Unreachable when it cannot. One per process and thing."""

    def __init__(self, name: str, fetch: Callable[[], Awaitable[T]], *, refresh_seconds: int) -> None:
        self._name = name
        self._fetch = fetch
        self._refresh_seconds = refresh_seconds
        self._known: tuple[T, int] | None = None  # and when it was fetched
        self._tried_at: int | None = None
        self._fetching = trio.Lock()

    async def get(self, now: int) -> T:
        """What is known and not old; or what can be had. Raises Unreachable."""
        if self._known is not None and abs(now - self._known[1]) < self._refresh_seconds * SECOND:
            return self._known[0]
        return await self.again(now)

    async def again(self, now: int) -> T:
        """Fetches it, unless that was tried just now. Raises Unreachable when nothing is known that may be believed."""
        async with self._fetching:
            # A clock that was set back makes nothing younger than it can be.
            if self._tried_at is None or abs(now - self._tried_at) >= RETRY_SECONDS * SECOND:
                self._tried_at = now
                try:
                    # Whoever asked may go away: others wait for the same, and it counts as the one try.
                    with trio.fail_after(FETCH_SECONDS, shield=True):
                        self._known = await self._fetch(), now
                except Unreachable as error:
                    log.warning("%s cannot be fetched: %s", self._name, error)
                except trio.TooSlowError:
                    log.warning("%s cannot be fetched: it takes too long", self._name)
        if self._known is None or abs(now - self._known[1]) > STALE_SECONDS * SECOND:
            raise Unreachable(f"{self._name} cannot be fetched")
        return self._known[0]
