"""Units of work about refresh tokens: each is spent for its successors, once.

What always holds: a refresh token that is shown twice ends its session, because somebody else has it; unless nothing of
what it bought was ever shown, and it is a minute later at most. Then its answer was lost, and is given again, the same.
So a thief who shows it in that minute has what being first would have given: a token whose next use, by one of the two,
makes the other's the second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.core.problems import Code, Problem, problem
from appliance.core.sessions import REPEAT_SECONDS, SECOND, Session, TokenKind
from appliance.store import sessions, statements
from appliance.store.sessions import Token
from appliance.store.unit import Unit, run


@dataclass(frozen=True, slots=True)
class Renewed:
    """A refresh token's answer: its tokens follow from these. `at`: of an earlier time when that answer was lost."""

    session: Session
    salt: str
    at: int


Successors = Callable[[str, int], Sequence[Token]]
"""The tokens that a refresh token buys, given the salt and the time of its answer."""


def renew(token_sha256: str, salt: str, successors: Successors, now: int) -> Unit[Renewed | Problem]:
    """Spends a refresh token for its successors. A problem that is returned left something behind; see the module."""
    yield run(statements.FEED_LOCK)
    found = yield from sessions.seen(token_sha256)
    if found is None or found.token.kind is not TokenKind.REFRESH:
        return problem(Code.INVALID_GRANT, detail="the refresh token is not a known one")
    person = yield from sessions.person_of(found.session.person_id)
    fault = found.session.fault(found.login, person, now)
    if fault is not None:
        return problem(Code.INVALID_GRANT, detail=fault)
    if found.used_at is None:
        yield run(statements.SESSION_SALTS_FORGET, found.session.id)  # whoever shows it has the answer it came with
        yield run(statements.SESSION_TOKEN_SPEND, token_sha256, now, salt)
        yield run(statements.SESSION_USE, found.session.id, now)
        yield from sessions.keep(found.session.id, successors(salt, now))
        return Renewed(found.session, salt, now)
    soon = abs(now - found.used_at) < REPEAT_SECONDS * SECOND
    if found.salt and soon and (yield from _unused(successors(found.salt, found.used_at))):
        return Renewed(found.session, found.salt, found.used_at)
    yield from sessions.end(found.session.id, sessions.REPLAYED, now)
    return problem(Code.GRANT_REPLAYED)


def _unused(tokens: Sequence[Token]) -> Unit[bool]:
    """Whether they are there, and nobody has shown one."""
    for token in tokens:
        found = yield from sessions.seen(token.sha256)
        if found is None or found.used_at is not None:
            return False
    return True
