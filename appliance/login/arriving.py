"""Signing in at a provider: the code flow, from the button to a session of the browser.

What always holds: state, nonce and PKCE verifier are spent once, and only by the browser that began. The browser keeps
a random secret in a cookie; nonce and verifier follow from it and the state, so that the store, which knows the SHA-256
of both, could not finish the flow itself. Which provider answers is bound to the state as well (RFC 9700 §4.4). Any
appliance of the same store can finish what another began.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable
from typing import Final, NoReturn, TypeVar

from appliance.core import claims
from appliance.core.buckets import source_of
from appliance.core.events import EventType
from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.core.providers import Provider
from appliance.core.sessions import (
    IDLE_SECONDS,
    LOGIN_SECONDS,
    SECOND,
    SIGN_IN_SECONDS,
    ClientKind,
    Login,
    TokenKind,
)
from appliance.login.holding import Holder, fresh, holder, new_session
from appliance.login.parties import Parties
from appliance.login.parts import LoginParts
from appliance.login.relying_party import Given, Refused, RelyingParty, Unavailable
from appliance.login.tokens import TokenRefused
from appliance.login.trail import account_of, limit, note, refused
from appliance.login.visits import (
    BROWSER_COOKIE,
    SESSION_COOKIE,
    Cookie,
    Page,
    Redirect,
    Visit,
    challenge_of,
    check_form,
    derived,
    label,
    next_path,
)
from appliance.store import flows, ids, sessions
from appliance.store.flows import SignIn
from appliance.store.sessions import Arrived, Sealed
from appliance.store.unit import Unit

MAX_PARAMETER_CHARS: Final = 4096  # of a code or a state; Entra ID's codes have some 1,500
T = TypeVar("T")

_AGAIN: Final = {"temporarily_unavailable", "server_error"}

log = logging.getLogger("fairlead.login")


class Arriving:
    """The pages of a sign-in."""

    def __init__(self, parts: LoginParts, parties: Parties) -> None:
        self._parts = parts
        self._parties = parties

    async def choose(self, visit: Visit) -> Page:
        """Which provider? Also for one: a page that says where one is, before somebody else's appears."""
        onwards = next_path(visit.query.get("next"))
        return Page("choose.html", {"providers": self._parties.enabled(), "next": onwards})

    async def start(self, visit: Visit) -> Redirect:
        """Off to the provider."""
        admit(self._parts, visit)
        party = self._parties.named(visit.path["provider"])
        browser = visit.cookie(BROWSER_COOKIE) or ids.new_token("flw")
        state = ids.new_token("flt")
        expires_at = visit.now + SIGN_IN_SECONDS * SECOND
        kept = SignIn(ids.token_hash(browser), party.provider.id, next_path(visit.query.get("next")), expires_at)
        try:
            url = await party.authorization_url(
                self._redirect_uri(party.provider),
                state,
                derived(browser, "nonce", state),
                challenge_of(derived(browser, "verifier", state)),
                visit.now,
            )
        except Unavailable as error:
            raise self._unavailable(party.provider, error) from None
        await self._parts.write(flows.add_sign_in(ids.token_hash(state), kept))
        return Redirect(url, (Cookie(BROWSER_COOKIE, browser, SIGN_IN_SECONDS),))

    async def finish(self, visit: Visit) -> Redirect:
        """Back from the provider. Whom it names is an account from then on: what fails counts against that as well."""
        limit(self._parts, visit)
        party, given, onwards = await self._counted(visit, "", self._redeemed(visit))
        account = account_of(party.provider.issuer, given.claims["sub"])
        limit(self._parts, visit, account)
        return await self._counted(visit, account, self._arrive(visit, party, given, onwards))

    async def _counted(self, visit: Visit, account: str, step: Awaitable[T]) -> T:
        """What fails is on record and, if the provider is up, counts against its address and account."""
        try:
            return await step
        except ProblemError as error:
            found = error.problem
            if found.code is not Code.PROVIDER_UNAVAILABLE:
                self._parts.failures.failed(visit.address, visit.now, account)
            provider = self._parts.snapshot().provider_by_slug.get(visit.path["provider"])
            named = provider.issuer if provider is not None else ""
            await refused(self._parts, EventType.SIGN_IN_FAILED, visit, found, provider=named, why=found.message)
            raise

    async def _redeemed(self, visit: Visit) -> tuple[RelyingParty, Given, str]:
        """What the provider says of whom it sends, and where they wanted to go."""
        party = self._parties.named(visit.path["provider"])
        provider = party.provider
        browser, state = visit.cookie(BROWSER_COOKIE), visit.query.get("state", "")
        spent = await self._spend(visit, browser, state, provider)
        assert browser is not None
        try:
            if not await party.answered_by(visit.query.get("iss"), visit.now):
                _refuse(Code.PROVIDER_REFUSED, provider, detail="the answer is from another provider")
            error = visit.query.get("error")
            if error is not None:
                if error in _AGAIN:
                    _refuse(Code.PROVIDER_UNAVAILABLE, provider)
                _refuse(Code.PROVIDER_REFUSED, provider, detail=label(error) or "it says no")
            given = await party.redeem(
                visit.query.get("code", "")[:MAX_PARAMETER_CHARS],
                derived(browser, "verifier", state),
                self._redirect_uri(provider),
                derived(browser, "nonce", state),
                visit.now,
            )
        except Unavailable as error_:
            raise self._unavailable(provider, error_) from None
        except Refused as error_:
            _refuse(Code.PROVIDER_REFUSED, provider, detail=f"it does not take the code ({error_})")
        except TokenRefused as error_:
            log.warning("the ID token of %s is refused: %s", provider.issuer, error_)
            _refuse(Code.ID_TOKEN_REFUSED, provider, detail=str(error_))
        return party, given, spent.next_path

    async def _spend(self, visit: Visit, browser: str | None, state: str, provider: Provider) -> SignIn:
        """The sign-in that this state is of. Shown by anyone, it is over."""
        known = bool(state) and len(state) <= MAX_PARAMETER_CHARS
        spent = await self._parts.write(flows.spend_sign_in(ids.token_hash(state))) if known else None
        if spent is None or spent.expires_at <= visit.now or spent.provider_id != provider.id:
            raise ProblemError(problem(Code.SIGN_IN_EXPIRED, minutes=SIGN_IN_SECONDS // 60))
        if browser is None or not hmac.compare_digest(spent.browser_sha256, ids.token_hash(browser)):
            raise ProblemError(problem(Code.SIGN_IN_ELSEWHERE))
        return spent

    async def _arrive(self, visit: Visit, party: RelyingParty, given: Given, onwards: str) -> Redirect:
        """Their person, their login, and a session of this browser."""
        now, provider = visit.now, party.provider
        claimed = claims.read(given.claims, provider)
        if isinstance(claimed, Problem):
            raise ProblemError(claimed)
        login = Login(ids.new_id("login"), "", provider.id, now, now, now + LOGIN_SECONDS * SECOND)
        sealed = Sealed(*self._parts.seal(f"login/{login.id}", packed(given)))
        arrive, cookie = with_session(sessions.arrive(claimed, ids.new_id("person"), login, sealed, now), visit)
        arrived = await self._parts.write(arrive)
        person = arrived.person
        if arrived.made:
            await note(self._parts, EventType.PERSON_CREATED, visit, person, person=person.name, issuer=person.issuer)
        if arrived.changed:
            await note(self._parts, EventType.PERSON_UPDATED, visit, person, groups=", ".join(person.groups))
        for binding in arrived.bindings:
            await note(self._parts, EventType.BINDING_CLAIMED, visit, person, binding=binding.id, email=person.email)
        await note(self._parts, EventType.SIGNED_IN, visit, person, provider=provider.issuer, login=arrived.login.id)
        return Redirect(onwards, (cookie, Cookie(BROWSER_COOKIE, "", 0)))

    def _redirect_uri(self, provider: Provider) -> str:
        return f"{self._parts.public_url}/fairlead/callback/{provider.slug}"

    def _unavailable(self, provider: Provider, error: Unavailable) -> ProblemError:
        log.error("the provider %s cannot be used: %s", provider.issuer, error)
        return ProblemError(problem(Code.PROVIDER_UNAVAILABLE, provider=provider.title))


def admit(parts: LoginParts, visit: Visit) -> None:
    """Raises ProblemError when the address begins sign-ins too fast: each is a row, and costs the caller nothing."""
    source = source_of(visit.address)
    limited = parts.beginnings.admit(source, "", visit.now)
    if limited is not None:
        raise ProblemError(limited)
    parts.beginnings.release(source, "")


def with_session(arrive: Unit[Arrived], visit: Visit) -> tuple[Unit[Arrived], Cookie]:
    """The unit that also begins a session of the browser, and the cookie by which the browser holds that."""
    made = fresh(TokenKind.COOKIE, visit.now)

    def unit() -> Unit[Arrived]:
        arrived = yield from arrive
        session = new_session(arrived.login.id, ClientKind.BROWSER, "browser", visit.address, visit.now)
        yield from sessions.begin(session, [made.token], visit.now)
        return arrived

    return unit(), Cookie(SESSION_COOKIE, made.text, IDLE_SECONDS)


async def signed_in(parts: LoginParts, visit: Visit) -> Holder | None:
    """Who holds this browser's session; None: nobody, sign in."""
    return await holder(parts, visit.cookie(SESSION_COOKIE), visit.now)


async def pressed(parts: LoginParts, visit: Visit) -> Holder:
    """Who pressed a button on a page of theirs. Raises ProblemError when that is nobody."""
    who = await signed_in(parts, visit)
    check_form(visit, visit.cookie(SESSION_COOKIE) if who is not None else None, parts.public_url)
    assert who is not None
    return who


def packed(given: Given) -> bytes:
    """What a provider gave, as it is sealed."""
    return json.dumps({"refresh": given.refresh_token, "id_token": given.id_token}).encode()


def _refuse(code: Code, provider: Provider, detail: str = "") -> NoReturn:
    raise ProblemError(problem(code, provider=provider.title, detail=detail))
