"""Sign-in for a machine without a browser (RFC 8628): it shows a code, and someone confirms it in a browser elsewhere.

What always holds: confirming takes a session of the browser and a button on our page that says which machine asked, and
from where; a code lasts ten minutes and buys one session; a guessed code counts as a failed try of the address and the
person.
"""

from __future__ import annotations

import secrets
from urllib.parse import quote

from appliance.core.events import EventType
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.sessions import (
    DEVICE_SECONDS,
    POLL_SECONDS,
    SECOND,
    USER_CODE_LENGTH,
    USER_CODE_LETTERS,
    shown,
    user_code,
)
from appliance.login.arriving import admit, pressed, signed_in
from appliance.login.authorizing import CLIENT_ID
from appliance.login.holding import Holder
from appliance.login.parts import LoginParts
from appliance.login.trail import account_of, limit, note, refused
from appliance.login.visits import SESSION_COOKIE, Json, Page, Redirect, Shown, Visit, derived, label
from appliance.store import flows, ids
from appliance.store.flows import Device, DeviceState

DEVICE_PREFIX = "fld"
DEVICE_PATH = "/fairlead/device"
TRIES = 5  # two equal codes among the open ones come once in millions; five in a row never


class Devices:
    """The device's request, and the pages on which a person answers it."""

    def __init__(self, parts: LoginParts) -> None:
        self._parts = parts

    async def begin(self, visit: Visit) -> Json:
        """A device asks for a code (RFC 8628 §3.1)."""
        if visit.form.get("client_id") != CLIENT_ID:
            raise ProblemError(problem(Code.INVALID_CLIENT))
        admit(self._parts, visit)
        device_code = ids.new_token(DEVICE_PREFIX)
        for _ in range(TRIES):
            code = "".join(secrets.choice(USER_CODE_LETTERS) for _ in range(USER_CODE_LENGTH))
            device = Device(
                sha256=ids.token_hash(device_code),
                user_code=code,
                label=label(visit.form.get("label")) or "fairlead",
                address=visit.address,
                state=DeviceState.PENDING,
                login_id="",
                poll_seconds=POLL_SECONDS,
                polled_at=0,
                created_at=visit.now,
                expires_at=visit.now + DEVICE_SECONDS * SECOND,
            )
            if await self._parts.write(flows.add_device(device)):
                break
        else:
            raise ProblemError(problem(Code.INTERNAL_ERROR))
        where = self._parts.public_url + DEVICE_PATH
        return Json(
            {
                "device_code": device_code,
                "user_code": shown(code),
                "verification_uri": where,
                "verification_uri_complete": f"{where}?code={shown(code)}",
                "expires_in": DEVICE_SECONDS,
                "interval": POLL_SECONDS,
            }
        )

    async def ask(self, visit: Visit) -> Shown:
        """Which code, and is it you who wants this? A code in the URL is only filled in: the page asks all the same."""
        who = await signed_in(self._parts, visit)
        typed = visit.query.get("code", "")
        if who is None:
            here = DEVICE_PATH + (f"?code={quote(typed[:32], safe='')}" if typed else "")
            return Redirect(f"/fairlead/sign-in?next={quote(here, safe='')}")
        proof = derived(visit.cookie(SESSION_COOKIE) or "", "form")
        if not typed:
            return Page("device.html", {"name": who.person.name})
        device = await self._named(visit, typed, who)
        return Page(
            "confirm.html",
            {
                "name": who.person.name,
                "proof": proof,
                "code": shown(device.user_code),
                "label": device.label,
                "address": device.address,
                "minutes": (visit.now - device.created_at) // (60 * SECOND),
            },
        )

    async def answer(self, visit: Visit) -> Shown:
        """The button was pressed."""
        who = await pressed(self._parts, visit)
        device = await self._named(visit, visit.form.get("code", ""), who)
        yes = visit.form.get("answer") == "yes"
        decided = await self._parts.write(
            flows.decide_device(device.user_code, who.login.id if yes else None, visit.now)
        )
        if decided is None:
            raise ProblemError(problem(Code.USER_CODE_UNKNOWN))
        if not yes:
            await note(
                self._parts,
                EventType.SESSION_REFUSED,
                visit,
                who.person,
                why="refused in the browser",
                device=device.label,
            )
        return Page("decided.html", {"yes": yes, "label": device.label, "name": who.person.name})

    async def _named(self, visit: Visit, typed: str, who: Holder) -> Device:
        account = account_of(who.person.issuer, who.person.subject)
        limit(self._parts, visit, account)
        code = user_code(typed[:32])
        device = await self._parts.read(flows.device_named(code, visit.now)) if code is not None else None
        if device is None:
            self._parts.failures.failed(visit.address, visit.now, account)
            found = problem(Code.USER_CODE_UNKNOWN)
            await refused(self._parts, EventType.SESSION_REFUSED, visit, found)
            raise ProblemError(found)
        return device
