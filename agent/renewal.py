"""Renewing the certificate in time, for as long as the agent runs.

What always holds: it is renewed after a third of its life (a little later in each agent, so that a fleet spreads), and
tried again until it is; soon, too, when the appliance asks its agents to trust other CAs. The sessions are not touched:
whoever holds them hears of it and replaces them, the new one first.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from agent.custody import CustodyError
from agent.enrolment import EnrolmentRefusedError
from agent.identity import Identity, IdentityError, wall_seconds
from agent.outbound import OutboundError
from agent.reporting import Reporter
from wire.calls import CallError, MalformedBodyError, trust_mark

RETRY_SECONDS: Final = 60 * 60.0  # twenty days are left for it
RETRY_SHARE: Final = 1 / 30  # of the certificate's life, where that is shorter
LOOK_SECONDS: Final = 60.0  # a clock may be set, and a suspended host wakes up late
LOOK_SHARE: Final = 1 / 100
TRUST_SECONDS: Final = 60.0  # in which all agents fetch a new set of CAs: a thousand make 17 calls a second

_FAULTS: Final = (OutboundError, CallError, MalformedBodyError, EnrolmentRefusedError, IdentityError, CustodyError)

_log = logging.getLogger("fairlead.agent")


class Renewal:
    """Keeps one identity in time. `renew` exchanges it and keeps the new one; `renewed` hears of each.

    `found`: set once there is an identity.
    """

    def __init__(
        self,
        stored: Callable[[], Identity | None],
        renew: Callable[[Identity], Awaitable[Identity]],
        reporter: Reporter,
        renewed: Callable[[], None],
        found: trio.Event,
    ) -> None:
        self._stored = stored
        self._renew = renew
        self._reporter = reporter
        self._renewed = renewed
        self._found = found
        self._jitter = random.uniform(0, 1)  # noqa: S311 # spreads load; nothing secret

    async def run(self) -> None:
        """Renew whenever it is due, until cancelled. Begins once there is an identity."""
        await self._found.wait()
        while True:
            identity = self._stored()
            if identity is None:  # its files were damaged since: whoever dials says so, and waits for a new bundle
                await trio.sleep(LOOK_SECONDS)
                continue
            await self._until_due(identity)
            if self._stored() != identity:
                self._renewed()  # a new bundle, or another replica, was faster: sessions may stand on the older one
                continue
            try:
                renewed = await self._renew(identity)
            except _FAULTS as error:
                _log.warning("the certificate was not renewed: %s", error)
                await _before_next(identity)
                continue
            _log.info("the certificate was renewed")
            self._renewed()
            if self._reporter.trust not in {"", trust_mark(renewed.ca_pem)}:
                # Two appliances say different things: asking at once would go on for as long as they do.
                _log.warning("the appliance asks to trust other CAs than the ones that it gave")
                await _before_next(renewed)

    async def _until_due(self, identity: Identity) -> None:
        look = min(LOOK_SECONDS, identity.life * LOOK_SHARE)
        while wall_seconds() < identity.renewal_at(self._jitter):
            wanted = self._reporter.trust
            if wanted and wanted != trust_mark(identity.ca_pem):
                _log.info("the appliance asks its agents to trust other CAs")
                spread = random.uniform(0, 1)  # noqa: S311 # spreads load; nothing secret
                await trio.sleep(min(TRUST_SECONDS, identity.life / 10) * spread)
                return
            with trio.move_on_after(look):
                await self._reporter.trust_changed.wait()


async def _before_next(identity: Identity) -> None:
    """Wait before what did not help is tried again."""
    retry = min(RETRY_SECONDS, identity.life * RETRY_SHARE)
    await trio.sleep(retry * random.uniform(0.5, 1))  # noqa: S311 # spreads load; nothing secret
