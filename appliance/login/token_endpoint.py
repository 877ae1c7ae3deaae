"""Codes and refresh tokens for tokens (RFC 6749 §3.2), and taking them back (RFC 7009).

What always holds: each is spent once; a code or refresh token that is shown again ends its session, but for a refresh
token whose answer was lost (`store.renewing`); at each refresh the provider is asked again who the person is, and if it
says no, the session ends; every refusal is on record, and counts against its address.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from appliance.core.events import EventType
from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.core.sessions import ClientKind, Session, TokenKind
from appliance.login.authorizing import CLIENT_ID
from appliance.login.holding import Fresh, fresh, granted, new_session, person_of, successors
from appliance.login.parts import LoginParts
from appliance.login.rereading import Rereading
from appliance.login.setting_up import SettingUp
from appliance.login.trail import limit, note, refused
from appliance.login.visits import Json, Visit, challenge_of
from appliance.store import flows, ids, renewing, sessions
from appliance.store.sessions import Seen, Token

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
SETUP_GRANT: Final = "urn:fairlead:grant-type:setup_code"  # ours: the first administrator has no browser at hand
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 §4.1
_WAITING: Final = frozenset({Code.AUTHORIZATION_PENDING, Code.POLLED_TOO_SOON})


class TokenEndpoint:
    """What a command asks for without a browser."""

    def __init__(self, parts: LoginParts, rereading: Rereading, setting_up: SettingUp) -> None:
        self._parts = parts
        self._rereading = rereading
        self._setting_up = setting_up
        self.grants: dict[str, Callable[[Visit], Awaitable[Json | Problem]]] = {
            "authorization_code": self._code,
            "refresh_token": self._refresh,
            DEVICE_GRANT: self._device,
            SETUP_GRANT: self._setup,
        }

    async def tokens(self, visit: Visit) -> Json:
        """One grant for tokens."""
        limit(self._parts, visit)
        grant = self.grants.get(visit.form.get("grant_type", ""))
        if grant is None:
            raise ProblemError(problem(Code.UNSUPPORTED_GRANT_TYPE, known=", ".join(self.grants)))
        if visit.form.get("client_id") != CLIENT_ID:
            raise ProblemError(problem(Code.INVALID_CLIENT))
        answer = await grant(visit)
        if isinstance(answer, Json):
            return answer
        if answer.code not in _WAITING:
            if answer.code is not Code.PROVIDER_UNAVAILABLE:
                self._parts.failures.failed(visit.address, visit.now)
            kind = visit.form["grant_type"].rpartition(":")[2]
            await refused(self._parts, EventType.SESSION_REFUSED, visit, answer, grant=kind, why=answer.message)
        raise ProblemError(answer)

    async def revoke(self, visit: Visit) -> Json:
        """The session of a token ends. An unknown one is no error (RFC 7009 §2.2)."""
        limit(self._parts, visit)
        seen = await self._seen(visit.form.get("token", ""))
        if seen is None or seen.token.kind is TokenKind.COOKIE:
            self._parts.failures.failed(visit.address, visit.now)
        elif await self._parts.write(sessions.end(seen.session.id, sessions.SIGNED_OUT, visit.now)):
            person = await person_of(self._parts, seen.session.person_id)
            await note(
                self._parts, EventType.SESSION_ENDED, visit, person, session=seen.session.id, why=sessions.SIGNED_OUT
            )
        return Json({})

    async def _code(self, visit: Visit) -> Json | Problem:
        verifier = visit.form.get("code_verifier", "")
        challenge = challenge_of(verifier) if _VERIFIER.fullmatch(verifier) else ""
        code, uri = visit.form.get("code", ""), visit.form.get("redirect_uri", "")
        access, refresh, made = _begun(ClientKind.COMMAND, visit)
        spend = flows.spend_authorization(ids.token_hash(code), uri, challenge, made, visit.now)
        return await self._started(visit, await self._parts.write(spend), access, refresh)

    async def _device(self, visit: Visit) -> Json | Problem:
        access, refresh, made = _begun(ClientKind.DEVICE, visit)
        code = ids.token_hash(visit.form.get("device_code", ""))
        return await self._started(
            visit, await self._parts.write(flows.poll_device(code, made, visit.now)), access, refresh
        )

    async def _setup(self, visit: Visit) -> Json | Problem:
        access, refresh, made = _begun(ClientKind.COMMAND, visit)
        try:
            session = await self._setting_up.command(visit, made)
        except ProblemError as error:
            return error.problem
        return await self._started(visit, session, access, refresh)

    async def _started(self, visit: Visit, session: Session | Problem, access: Fresh, refresh: Fresh) -> Json | Problem:
        if isinstance(session, Problem):
            return session
        person = await person_of(self._parts, session.person_id)
        await note(
            self._parts,
            EventType.SESSION_STARTED,
            visit,
            person,
            session=session.id,
            client=session.client,
            label=session.label,
            login=session.login_id,
        )
        return Json(granted(access, refresh, session, person, visit.now))

    async def _refresh(self, visit: Visit) -> Json | Problem:
        text = visit.form.get("refresh_token", "")
        seen = await self._seen(text)
        if seen is not None and seen.token.kind is TokenKind.REFRESH and not seen.spent:
            limited = await self._rereading.before(seen.login, visit.now)
            if limited is not None:
                return limited
        now = self._parts.clock()  # asking the provider took its time, and that of a repetition begins now

        def bought(salt: str, at: int) -> list[Token]:
            return [it.token for it in successors(text, salt, at)]

        renewed = await self._parts.write(renewing.renew(ids.token_hash(text), ids.new_salt(), bought, now))
        if not isinstance(renewed, Problem):
            session = renewed.session
            person = await person_of(self._parts, session.person_id)
            return Json(granted(*successors(text, renewed.salt, renewed.at), session, person, now))
        if renewed.code is Code.GRANT_REPLAYED and seen is not None:
            person = await person_of(self._parts, seen.session.person_id)
            await note(
                self._parts, EventType.SESSION_ENDED, visit, person, session=seen.session.id, why=sessions.REPLAYED
            )
        return renewed

    async def _seen(self, text: str) -> Seen | None:
        return await self._parts.read(sessions.seen(ids.token_hash(text))) if text else None


def _begun(client: ClientKind, visit: Visit) -> tuple[Fresh, Fresh, flows.Made]:
    """Fresh tokens, and the session they are for once the store says of which login."""
    access, refresh = fresh(TokenKind.ACCESS, visit.now), fresh(TokenKind.REFRESH, visit.now)

    def made(login_id: str, named: str) -> tuple[Session, list[Token]]:
        return new_session(login_id, client, named, visit.address, visit.now), [access.token, refresh.token]

    return access, refresh, made
