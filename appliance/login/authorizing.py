"""Authorization for the command beside the browser (RFC 8252): a page of ours, a button, a code to a loopback address.

What always holds: nothing goes to an address that is not this machine's loopback, by number; PKCE (S256) is required;
nobody is authorized without pressing the button on our page, because any program on the machine could open the browser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.sessions import CODE_SECONDS, COMMAND_CLIENT_ID, SECOND
from appliance.login.arriving import pressed, signed_in
from appliance.login.holding import Holder
from appliance.login.parts import LoginParts
from appliance.login.trail import note
from appliance.login.visits import (
    SESSION_COOKIE,
    Page,
    Redirect,
    Shown,
    Visit,
    derived,
    label,
    origin_of,
)
from appliance.store import flows, ids
from appliance.store.flows import Authorization

CLIENT_ID: Final = COMMAND_CLIENT_ID
CODE_PREFIX: Final = "flo"

_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|\[::1\]):([1-9][0-9]{0,4})/callback")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_STATE = re.compile(r"[!-~]{1,512}")
_FIELDS: Final = (
    "response_type",
    "client_id",
    "redirect_uri",
    "code_challenge",
    "code_challenge_method",
    "state",
    "label",
)


def loopback(url: str) -> bool:
    """Whether this is where a command on the same machine listens (RFC 8252 §7.3; never the name localhost, §8.3)."""
    match = _LOOPBACK.fullmatch(url)
    return match is not None and int(match[1]) <= 65535


class Authorizing:
    """The page that asks, and what its buttons do."""

    def __init__(self, parts: LoginParts) -> None:
        self._parts = parts

    async def ask(self, visit: Visit) -> Shown:
        """Is it you who wants this? `prompt=login` (OpenID Connect Core §3.1.2.1): or somebody else?"""
        asked = _asked(visit.query)
        who = await signed_in(self._parts, visit)
        if who is None or visit.query.get("prompt") == "login":
            return Redirect(f"/fairlead/sign-in?next={quote('/fairlead/authorize?' + urlencode(asked), safe='')}")
        secret = visit.cookie(SESSION_COOKIE) or ""
        words = {"asked": asked, "name": who.person.name, "proof": derived(secret, "form"), "label": asked["label"]}
        return Page("authorize.html", words, form_to=origin_of(asked["redirect_uri"]))

    async def answer(self, visit: Visit) -> Shown:
        """The button was pressed: a code for yes, an error for no."""
        asked = _asked(visit.form)
        who = await pressed(self._parts, visit)
        back = {"state": asked["state"], "iss": self._parts.public_url}
        if visit.form.get("answer") != "yes":
            await note(self._parts, EventType.SESSION_REFUSED, visit, who.person, why="refused in the browser")
            return Redirect(f"{asked['redirect_uri']}?{urlencode({'error': 'access_denied', **back})}")
        code = await self._code(who, asked, visit.now)
        return Redirect(f"{asked['redirect_uri']}?{urlencode({'code': code, **back})}")

    async def _code(self, who: Holder, asked: dict[str, str], now: int) -> str:
        code = ids.new_token(CODE_PREFIX)
        kept = Authorization(
            who.login.id, asked["redirect_uri"], asked["code_challenge"], asked["label"], now + CODE_SECONDS * SECOND
        )
        await self._parts.write(flows.add_authorization(ids.token_hash(code), kept))
        return code


def _asked(given: Mapping[str, str]) -> dict[str, str]:
    """The request, checked. What is wrong is shown here and sent nowhere (RFC 6749 §4.1.2.1)."""
    asked = {name: given.get(name, "") for name in _FIELDS}
    asked["label"] = label(asked["label"]) or "fairlead"
    if asked["client_id"] != CLIENT_ID:
        raise ProblemError(problem(Code.INVALID_CLIENT))
    if not loopback(asked["redirect_uri"]):
        raise ProblemError(problem(Code.BAD_REQUEST, detail="redirect_uri is not http://127.0.0.1:PORT/callback"))
    if asked["response_type"] != "code" or asked["code_challenge_method"] != "S256":
        raise ProblemError(
            problem(Code.BAD_REQUEST, detail="it takes response_type=code and code_challenge_method=S256")
        )
    if not _CHALLENGE.fullmatch(asked["code_challenge"]) or not _STATE.fullmatch(asked["state"]):
        raise ProblemError(problem(Code.BAD_REQUEST, detail="code_challenge or state is missing or of another form"))
    return asked
