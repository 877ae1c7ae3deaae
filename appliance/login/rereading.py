"""Who someone is, asked again: at each refresh, and by the appliance itself when nobody refreshes.

A kubeconfig credential lives for hours without its session being used, so the appliance asks each login's provider at
least every half an hour, and ends logins that it could not ask about for an hour. What always holds: a person whom the
provider does not know any more has no session and no credential an hour later, whatever they do or leave; one
appliance at a time asks about a login, because most providers let a refresh token be used once.
"""

from __future__ import annotations

import json
import logging
from typing import Final

import trio

from appliance.core import claims
from appliance.core.claims import Claimed
from appliance.core.events import EventType
from appliance.core.problems import Code, Problem, problem
from appliance.core.sessions import READ_SECONDS, SECOND, Login
from appliance.login.arriving import packed
from appliance.login.holding import person_of
from appliance.login.parties import Parties
from appliance.login.parts import LoginParts
from appliance.login.relying_party import Given, Refused, RelyingParty, Unavailable
from appliance.login.tokens import TokenFault, TokenRefused
from appliance.login.trail import note
from appliance.store import sessions
from appliance.store.sessions import Sealed

BUSY_SECONDS: Final = 60  # longer than asking may take, so that nobody else asks meanwhile
REST_SECONDS: Final = 30  # for a provider that just failed
ASK_SECONDS: Final = 45.0
AT_ONCE: Final = 8  # logins asked about at the same time
IN_ONE_LOOK: Final = 200
MOST_BETWEEN_LOOKS: Final = 30.0  # seconds; a login that is over ends this late at most

GONE: Final = "its identity provider is no longer used here"
NOT_LET: Final = "the identity provider does not let this sign-in go on"
OTHER: Final = "the identity provider names another person"

log = logging.getLogger("fairlead.login")


class Rereading:
    """Asks providers again. `run` must be running."""

    def __init__(self, parts: LoginParts, parties: Parties) -> None:
        self._parts = parts
        self._parties = parties
        self._room = trio.CapacityLimiter(AT_ONCE)

    async def run(self) -> None:
        """Until cancelled."""
        pause = min(MOST_BETWEEN_LOOKS, self._parts.reread_seconds / 4)
        while True:
            await trio.sleep(pause)
            try:
                await self._look()
            except Exception:  # whatever it is, the next look comes, and what is too old is refused anyway
                log.exception("logins could not be looked after")

    async def before(self, login: Login, now: int) -> Problem | None:
        """Asks before a refresh; a problem when that must wait for the provider to be there again."""
        if not login.provider_id or login.ended_at is not None:
            return None
        unasked = await self._ask(login, now)
        if unasked is None or login.read_at + READ_SECONDS * SECOND > now:
            return None
        provider = self._parts.snapshot().providers.get(login.provider_id)
        return problem(Code.PROVIDER_UNAVAILABLE, provider=provider.title if provider is not None else "")

    async def _look(self) -> None:
        now = self._parts.clock()
        for login in await self._parts.read(sessions.over(now, now - READ_SECONDS * SECOND, IN_ONE_LOOK)):
            await self._end(login, login.fault(await person_of(self._parts, login.person_id), now) or "over", now)
        old = now - self._parts.reread_seconds * SECOND
        async with trio.open_nursery() as nursery:
            for login in await self._parts.read(sessions.to_read(old, now, IN_ONE_LOOK)):
                nursery.start_soon(self._ask, login, now)

    async def _ask(self, login: Login, now: int) -> str | None:
        """Asks the login's provider; why it could not be asked, or None."""
        party = self._parties.of(login.provider_id)
        if party is None:
            await self._end(login, GONE, now)
            return None
        # Not to be given up between the provider's answer, which may have spent the refresh token, and its keeping.
        with trio.move_on_after(ASK_SECONDS, shield=True):
            async with self._room:
                return await self._exchange(party, login, now)
        return "it takes too long"

    async def _exchange(self, party: RelyingParty, login: Login, now: int) -> str | None:
        sealed = await self._parts.write(sessions.take(login.id, now + BUSY_SECONDS * SECOND, now))
        if sealed is None:
            return None  # another asks, or it has ended meanwhile
        row = f"login/{login.id}"
        kept = json.loads(self._parts.unseal(row, sealed.key_id, sealed.box))
        person = await person_of(self._parts, login.person_id)
        if person is None or not kept["refresh"]:
            await self._parts.write(sessions.leave(login.id, login.until()))  # it ends by the clock
            return None
        try:
            given = await party.reread(kept["refresh"], person.subject, kept["id_token"], now)
        except Refused:
            await self._end(login, NOT_LET, now)
            return None
        except (Unavailable, TokenRefused) as error:
            if isinstance(error, TokenRefused) and error.fault is TokenFault.SUBJECT:
                await self._end(login, OTHER, now)
                return None
            log.warning("%s cannot be asked about %s: %s", party.provider.issuer, login.id, error)
            await self._parts.write(sessions.leave(login.id, now + REST_SECONDS * SECOND))
            return str(error)
        claimed = claims.read(given.claims, party.provider)
        if isinstance(claimed, Problem):
            await self._end(login, f"{claimed.code}: {claimed.message}", now)
            return None
        await self._keep(login, claimed, given, row, now)
        return None

    async def _keep(self, login: Login, claimed: Claimed, given: Given, row: str, now: int) -> None:
        told = await self._parts.write(
            sessions.reread(login.id, claimed, Sealed(*self._parts.seal(row, packed(given))), now)
        )
        if told is not None:
            await note(self._parts, EventType.PERSON_UPDATED, None, told, groups=", ".join(told.groups))

    async def _end(self, login: Login, why: str, now: int) -> None:
        if await self._parts.write(sessions.end_login(login.id, why, now)):
            person = await person_of(self._parts, login.person_id)
            await note(self._parts, EventType.SESSION_ENDED, None, person, login=login.id, why=why)
