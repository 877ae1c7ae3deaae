"""Signing out: here, or everywhere and at the provider too (RP-Initiated Logout)."""

from __future__ import annotations

import json
import logging

from appliance.core.events import EventType
from appliance.core.sessions import SECOND
from appliance.login.arriving import pressed, signed_in
from appliance.login.holding import Holder
from appliance.login.parties import Parties
from appliance.login.parts import LoginParts
from appliance.login.relying_party import Unavailable
from appliance.login.trail import note
from appliance.login.visits import (
    SESSION_COOKIE,
    Cookie,
    Page,
    Redirect,
    Shown,
    Visit,
    derived,
    origin_of,
)
from appliance.store import sessions

SIGNED_OUT_PATH = "/fairlead/signed-out"

log = logging.getLogger("fairlead.login")


class Leaving:
    """The page that says who is signed in, and the buttons that end it."""

    def __init__(self, parts: LoginParts, parties: Parties) -> None:
        self._parts = parts
        self._parties = parties

    async def home(self, visit: Visit) -> Shown:
        """Who is signed in here, and with which sessions."""
        who = await signed_in(self._parts, visit)
        if who is None:
            return Redirect("/fairlead/sign-in")
        held = await self._parts.read(sessions.listed(who.person.id))
        live = [it for it, login in held if it.fault(login, who.person, visit.now) is None]
        away = await self._provider_page(who, visit.now)
        words = {
            "name": who.person.name,
            "groups": who.person.groups,
            "sessions": [
                {
                    "client": it.client,
                    "label": it.label,
                    "address": it.address,
                    "here": it.id == who.session.id,
                    "age": (visit.now - it.created_at) // (60 * SECOND),
                }
                for it in live
            ],
            "proof": derived(visit.cookie(SESSION_COOKIE) or "", "form"),
            "away": away is not None,
        }
        return Page("home.html", words, form_to=origin_of(away) if away is not None else "")

    async def leave(self, visit: Visit) -> Shown:
        """A button was pressed."""
        who = await pressed(self._parts, visit)
        gone = (Cookie(SESSION_COOKIE, "", 0),)
        everywhere = visit.form.get("where") == "everywhere"
        away = await self._provider_page(who, visit.now) if everywhere else None
        if everywhere:
            await self._parts.write(sessions.end_login(who.login.id, sessions.SIGNED_OUT, visit.now))
        else:
            await self._parts.write(sessions.end(who.session.id, sessions.SIGNED_OUT, visit.now))
        ended = {"login": who.login.id} if everywhere else {"session": who.session.id}
        await note(self._parts, EventType.SESSION_ENDED, visit, who.person, why=sessions.SIGNED_OUT, **ended)
        return Redirect(away or SIGNED_OUT_PATH, gone)

    async def left(self, visit: Visit) -> Page:
        """Also where the provider sends the browser back to."""
        del visit
        return Page("left.html")

    async def _provider_page(self, who: Holder, now: int) -> str | None:
        party = self._parties.of(who.login.provider_id) if who.login.provider_id else None
        sealed = await self._parts.read(sessions.secret_of(who.login.id)) if party is not None else None
        if party is None or sealed is None:
            return None
        kept = json.loads(self._parts.unseal(f"login/{who.login.id}", sealed.key_id, sealed.box))
        try:
            return await party.end_session_url(kept["id_token"], self._parts.public_url + SIGNED_OUT_PATH, now)
        except Unavailable as error:
            log.warning("%s cannot be asked for its page to sign out at: %s", party.provider.issuer, error)
            return None
