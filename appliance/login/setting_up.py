"""The first administrator, and the way in when no provider works: a code made on the appliance's own host.

Whoever is signed in becomes an administrator for good; whoever is not gets a person of the host's own, an administrator
for some hours, which is the way in while there is no provider or it is down. What always holds: a code is good once,
for an hour; that it was used is on record as a warning.
"""

from __future__ import annotations

from appliance.core.claims import Claimed
from appliance.core.events import EventType
from appliance.core.people import Person
from appliance.core.problems import Code, ProblemError
from appliance.core.roles import EVERYWHERE, Binding, Subject, SubjectKind
from appliance.core.sessions import BREAK_GLASS_SECONDS, HOST_ISSUER, SECOND, Login, Session
from appliance.login.arriving import signed_in, with_session
from appliance.login.parts import LoginParts
from appliance.login.trail import account_of, limit, note, refused
from appliance.login.visits import (
    BROWSER_COOKIE,
    HOME,
    SESSION_COOKIE,
    Cookie,
    Page,
    Redirect,
    Shown,
    Visit,
    check_form,
    derived,
    label,
)
from appliance.store import administrator, flows, ids, sessions, statements, units
from appliance.store.sessions import Sealed
from appliance.store.unit import Unit, run

FORM_SECONDS = 600


class SettingUp:
    """The page that takes a setup code, and the command that shows one."""

    def __init__(self, parts: LoginParts) -> None:
        self._parts = parts

    async def ask(self, visit: Visit) -> Page:
        who = await signed_in(self._parts, visit)
        secret = visit.cookie(SESSION_COOKIE) if who is not None else visit.cookie(BROWSER_COOKIE)
        cookies: tuple[Cookie, ...] = ()
        if secret is None:
            secret = ids.new_token("flw")
            cookies = (Cookie(BROWSER_COOKIE, secret, FORM_SECONDS),)
        words = {"name": who.person.name if who is not None else "", "proof": derived(secret, "form")}
        return Page("setup.html", words, cookies=cookies)

    async def answer(self, visit: Visit) -> Shown:
        """A code was typed."""
        who = await signed_in(self._parts, visit)
        check_form(visit, visit.cookie(SESSION_COOKIE if who is not None else BROWSER_COOKIE), self._parts.public_url)
        account = account_of(who.person.issuer, who.person.subject) if who is not None else ""
        limit(self._parts, visit, account)
        digest = ids.token_hash(visit.form.get("code", "").strip())
        try:
            if who is not None:
                await self._parts.write(_raise_up(digest, who.person, None, visit.now))
                await note(self._parts, EventType.SETUP_CODE_USED, visit, who.person, person=who.person.name)
                return Redirect(HOME)
            return await self._break_glass(visit, digest)
        except ProblemError as error:
            if error.problem.code is Code.SETUP_CODE_REFUSED:
                self._parts.failures.failed(visit.address, visit.now, account)
            await refused(self._parts, EventType.SIGN_IN_FAILED, visit, error.problem, provider=HOST_ISSUER)
            raise

    async def _break_glass(self, visit: Visit, digest: str) -> Redirect:
        raised, cookie = with_session(self._administrator(digest, visit.now), visit)
        await self._arrived(visit, (await self._parts.write(raised)).person)
        return Redirect(HOME, (cookie, Cookie(BROWSER_COOKIE, "", 0)))

    async def command(self, visit: Visit, made: flows.Made) -> Session:
        """A command shows a code instead of a browser: the session it gets, of a person of the host's own."""
        digest = ids.token_hash(visit.form.get("setup_code", "").strip())

        def unit() -> Unit[tuple[Person, Session]]:
            arrived = yield from self._administrator(digest, visit.now)
            session, tokens = made(arrived.login.id, label(visit.form.get("label")) or "fairlead")
            return arrived.person, (yield from sessions.begin(session, tokens, visit.now))

        person, session = await self._parts.write(unit())
        await self._arrived(visit, person)
        return session

    def _administrator(self, digest: str, now: int) -> Unit[sessions.Arrived]:
        """Someone new, for some hours."""
        ends_at = now + BREAK_GLASS_SECONDS * SECOND
        person_id, login = ids.new_id("person"), Login(ids.new_id("login"), "", "", now, now, ends_at)
        claimed = Claimed(HOST_ISSUER, person_id, f"fairlead:administrator-{person_id[-8:]}", "", ())
        sealed = Sealed(*self._parts.seal(f"login/{login.id}", b"{}"))
        arrived = yield from sessions.arrive(claimed, person_id, login, sealed, now)
        yield from _raise_up(digest, arrived.person, ends_at, now)
        return arrived

    async def _arrived(self, visit: Visit, person: Person) -> None:
        await note(self._parts, EventType.PERSON_CREATED, visit, person, person=person.name, issuer=person.issuer)
        await note(self._parts, EventType.SETUP_CODE_USED, visit, person, person=person.name)


def _raise_up(code_sha256: str, person: Person, until: int | None, now: int) -> Unit[None]:
    """Spends the code and binds the person as an administrator, at once or not at all."""
    yield run(statements.FEED_LOCK)
    yield from flows.spend_setup_code(code_sha256, now)
    role = yield from administrator.role(ids.new_id("role"), now)
    binding = Binding(
        ids.new_id("binding"), Subject(SubjectKind.PERSON, person.id), role.id, EVERYWHERE, until=until, created_at=now
    )
    yield from units.add_binding(binding, now)
