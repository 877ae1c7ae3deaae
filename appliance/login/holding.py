"""What clients hold: fresh tokens for a session, and what a token that is shown stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.core.people import Person
from appliance.core.sessions import (
    ACCESS_SECONDS,
    IDLE_SECONDS,
    PREFIXES,
    SECOND,
    ClientKind,
    Login,
    Session,
    TokenKind,
)
from appliance.login.parts import LoginParts
from appliance.login.visits import derived
from appliance.store import ids, sessions
from appliance.store.sessions import Token


@dataclass(frozen=True, slots=True)
class Fresh:
    """A new token, which is shown once."""

    text: str
    token: Token


@dataclass(frozen=True, slots=True)
class Holder:
    """Someone with a session that is good now."""

    session: Session
    login: Login
    person: Person


def fresh(kind: TokenKind, now: int) -> Fresh:
    seconds = ACCESS_SECONDS if kind is TokenKind.ACCESS else IDLE_SECONDS
    text = ids.new_token(PREFIXES[kind])
    return Fresh(text, Token(ids.token_hash(text), kind, now + seconds * SECOND))


def successors(refresh_token: str, salt: str, at: int) -> tuple[Fresh, Fresh]:
    """Access and refresh token that a refresh token buys.

    They follow from it and a salt that the store keeps, so that the same can be given again when the answer was lost:
    whoever has the store alone, or the old token alone, cannot make them.
    """

    def one(kind: TokenKind, seconds: int) -> Fresh:
        text = f"{PREFIXES[kind]}_{derived(refresh_token, kind, salt)}"
        return Fresh(text, Token(ids.token_hash(text), kind, at + seconds * SECOND))

    return one(TokenKind.ACCESS, ACCESS_SECONDS), one(TokenKind.REFRESH, IDLE_SECONDS)


def new_session(login_id: str, client: ClientKind, label: str, address: str, now: int) -> Session:
    """One that the store completes with its person."""
    return Session(ids.new_id("session"), login_id, "", client, label, address, now, now)


async def person_of(parts: LoginParts, person_id: str) -> Person | None:
    """Whom a row names. Another appliance may have made them a moment ago: then what it wrote is read first."""
    if person_id not in parts.snapshot().people:
        await parts.catch_up()
    return parts.snapshot().people.get(person_id)


async def holder(parts: LoginParts, cookie: str | None, now: int) -> Holder | None:
    """Whose browser that is, if its session is good now."""
    seen = await parts.read(sessions.seen(ids.token_hash(cookie))) if cookie else None
    if seen is None or seen.token.kind is not TokenKind.COOKIE:
        return None
    person = await person_of(parts, seen.session.person_id)
    if person is None or seen.refusal(person, now) is not None:
        return None
    return Holder(seen.session, seen.login, person)


def granted(access: Fresh, refresh: Fresh, session: Session, person: Person | None, now: int) -> Mapping[str, Any]:
    """As RFC 6749 §5.1 has it, with who it is for."""
    return {
        "access_token": access.text,
        "token_type": "Bearer",
        "expires_in": (access.token.expires_at - now) // SECOND,
        "refresh_token": refresh.text,
        "session_id": session.id,
        "person": {"id": session.person_id, "name": person.name if person is not None else ""},
    }
