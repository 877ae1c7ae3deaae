"""Units of work about logins and sessions: who signed in, what they hold, and how it ends.

What always holds: whoever signs in is found by (issuer, subject), and made a person at most once; a name that belongs
to another is not given; a session and the kubeconfig credentials got in it end in one transaction, and none can be got
in it afterwards, because both lock one row. How a refresh token is renewed is in `renewing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.core.claims import Claimed
from appliance.core.paging import Key
from appliance.core.people import Person
from appliance.core.problems import Code, Problem, ProblemError, problem
from appliance.core.roles import Binding
from appliance.core.sessions import Login, Session, TokenKind
from appliance.core.snapshot import Entity
from appliance.store import rows, statements, units
from appliance.store.unit import Row, Unit, run

SIGNED_OUT = "signed out"
REPLAYED = "a token of it was used twice, so somebody else may hold it"
MAX_LISTED = 500
FIRST = (1 << 62, "")  # before which everything was made
_SESSION_COLUMNS = 10


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the store knows it."""

    sha256: str
    kind: TokenKind
    expires_at: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a token stands for. `used_at`: when a refresh token was spent, or an access token first shown.

    `salt`: what the successors of a spent refresh token follow from, while they may be asked for again.
    """

    token: Token
    used_at: int | None
    salt: str
    session: Session
    login: Login

    @property
    def spent(self) -> bool:
        return self.token.kind is TokenKind.REFRESH and self.used_at is not None

    def refusal(self, person: Person | None, now: int) -> Problem | None:
        """Why it is not good any more for this person, who holds it; None while it is. Without one it never is."""
        fault = self.session.fault(self.login, person, now)
        if fault is not None:
            return problem(Code.SESSION_ENDED, why=fault)
        return problem(Code.SESSION_EXPIRED) if self.spent or self.token.expires_at <= now else None


@dataclass(frozen=True, slots=True)
class Arrived:
    """Who signed in. `changed`: e-mail or groups are others than before. `bindings`: claimed by their e-mail."""

    person: Person
    login: Login
    made: bool
    changed: bool
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as a row keeps it."""

    key_id: str
    box: str


def arrive(claimed: Claimed, person_id: str, login: Login, secret: Sealed, now: int) -> Unit[Arrived]:
    """Someone signed in: their person (a new one has this id), what was bound to their e-mail, and their login.

    The login's person and time are filled in here: it is younger than every refusal of the person.
    """
    yield run(statements.FEED_LOCK)
    found = yield run(statements.PERSON_OF_SUBJECT, claimed.issuer, claimed.subject)
    if found:
        known = rows.person(found[0])
        if not known.enabled:
            raise ProblemError(problem(Code.PERSON_DISABLED))
        person = yield from _told(known, claimed, now)
    else:
        known = None
        person = Person(
            person_id, claimed.issuer, claimed.subject, claimed.name, claimed.email, claimed.groups, created_at=now
        )
        try:
            yield from units.add_person(person, now)
        except ProblemError:
            raise ProblemError(problem(Code.USER_NAME_TAKEN, name=claimed.name)) from None
    bindings = (yield from units.claim_bindings(person, claimed.email, now)) if claimed.email else []
    ((latest,),) = yield run(statements.ISSUES_HOLD, person.id)
    made = replace(login, person_id=person.id, created_at=max(now, person.not_before + 1, latest))
    yield run(statements.ISSUES_NOTE, person.id, made.created_at)
    values = (made.id, made.person_id, made.provider_id, made.read_at, made.created_at, made.ends_at)
    yield run(statements.LOGIN_ADD, *values, secret.key_id, secret.box)
    return Arrived(person, made, known is None, known is not None and person != known, tuple(bindings))


def begin(session: Session, tokens: Sequence[Token], now: int) -> Unit[Session]:
    """A session of a login that is good now. Raises ProblemError (SESSION_ENDED) when it is not."""
    login, person = yield from _resting_on(session.login_id)
    fault = "there is no such sign-in" if login is None else login.fault(person, now)
    if login is None or fault is not None:
        raise ProblemError(problem(Code.SESSION_ENDED, why=fault))
    it = replace(session, person_id=login.person_id)
    values = (it.id, it.login_id, it.person_id, str(it.client), it.label, it.address, it.created_at, it.used_at)
    yield run(statements.SESSION_ADD, *values)
    yield from keep(it.id, tokens)
    return it


def seen(token_sha256: str) -> Unit[Seen | None]:
    """What a token stands for; whether that is still good is the caller's question."""
    found = yield run(statements.SESSION_TOKEN, token_sha256)
    if not found:
        return None
    kind, expires_at, used_at, salt, *rest = found[0]
    session, login = _both(tuple(rest))
    return Seen(Token(token_sha256, TokenKind(kind), expires_at), used_at, salt, session, login)


def use(token_sha256: str, now: int) -> Unit[None]:
    """An access token is shown for the first time: the answer that it came with has arrived."""
    yield run(statements.SESSION_TOKEN_SPEND, token_sha256, now, "")


def end(session_id: str, why: str, now: int) -> Unit[bool]:
    """Ends a session and refuses the credentials got in it; False: it had ended before."""
    yield run(statements.FEED_LOCK)
    yield run(statements.ISSUES_HOLD, session_id)
    if not (yield run(statements.SESSION_END, session_id, now, why)):
        return False
    for credential_id, expires_at in (yield run(statements.CREDENTIALS_OF_SESSION, session_id, now)):
        yield from units.change(Entity.REVOCATION, credential_id, now)
        yield run(statements.REVOCATION_ADD, credential_id, expires_at, now, f"its session ended: {why}")
    return True


def end_login(login_id: str, why: str, now: int) -> Unit[bool]:
    """Ends a login with all sessions that rest on it; False: it had ended before."""
    yield run(statements.FEED_LOCK)
    if not (yield run(statements.LOGIN_END, login_id, now, why)):
        return False
    for (session_id,) in (yield run(statements.SESSIONS_OF_LOGIN, login_id)):
        yield from end(session_id, why, now)
    return True


def take(login_id: str, until: int, now: int) -> Unit[Sealed | None]:
    """What the provider gave, for one appliance at a time to ask it again with; None: another does, or it has ended."""
    found = yield run(statements.LOGIN_TAKE, login_id, now, until)
    return Sealed(*found[0]) if found else None


def leave(login_id: str, until: int) -> Unit[None]:
    """It was not asked after all, and is not to be before then."""
    yield run(statements.LOGIN_LEAVE, login_id, until)


def secret_of(login_id: str) -> Unit[Sealed | None]:
    found = yield run(statements.LOGIN_BOX, login_id)
    return Sealed(*found[0]) if found and found[0][1] else None


def reread(login_id: str, claimed: Claimed, secret: Sealed, now: int) -> Unit[Person | None]:
    """What the provider says of the person now; returns them if something is different."""
    yield run(statements.FEED_LOCK)
    login, person = yield from _resting_on(login_id)
    yield run(statements.LOGIN_READ, login_id, now, secret.key_id, secret.box)
    if login is None or person is None:
        return None
    told = yield from _told(person, claimed, now)
    return told if told != person else None


def to_read(before: int, now: int, limit: int) -> Unit[list[Login]]:
    """The logins whose provider was last asked before that, the longest ago first."""
    return [rows.login(row) for row in (yield run(statements.LOGINS_TO_READ, before, now, limit))]


def over(now: int, read_before: int, limit: int) -> Unit[list[Login]]:
    """The logins that have ended by the clock and were not closed yet."""
    return [rows.login(row) for row in (yield run(statements.LOGINS_OVER, now, read_before, limit))]


def page(person_id: str, beyond: Key | None, limit: int) -> Unit[list[tuple[Session, Login]]]:
    """Sessions that nobody ended, the latest first, beyond (made at, id); without a person's id, everybody's."""
    if person_id:
        found = yield run(statements.SESSIONS_PAGE_OF, *(beyond or FIRST), limit, person_id)
    else:
        found = yield run(statements.SESSIONS_PAGE, *(beyond or FIRST), limit)
    return [_both(row) for row in found]


def listed(person_id: str) -> Unit[list[tuple[Session, Login]]]:
    """A person's latest."""
    return page(person_id, None, MAX_LISTED)


def one(session_id: str) -> Unit[Session | None]:
    found = yield run(statements.SESSION, session_id)
    return rows.session(found[0]) if found else None


def person_of(person_id: str) -> Unit[Person | None]:
    found = yield run(statements.PERSON, person_id)
    return rows.person(found[0]) if found else None


def keep(session_id: str, tokens: Sequence[Token]) -> Unit[None]:
    """What a client of the session holds from now on."""
    for token in tokens:
        yield run(statements.SESSION_TOKEN_ADD, token.sha256, session_id, str(token.kind), token.expires_at)


def _both(row: Row) -> tuple[Session, Login]:
    return rows.session(row[:_SESSION_COLUMNS]), rows.login(row[_SESSION_COLUMNS:])


def _told(person: Person, claimed: Claimed, now: int) -> Unit[Person]:
    """The person with e-mail and groups as claimed. An e-mail that is not verified any more is forgotten."""
    if (person.email, person.groups) == (claimed.email, claimed.groups):
        return person
    return (
        yield from units.set_person(person.id, lambda it: replace(it, email=claimed.email, groups=claimed.groups), now)
    )


def _resting_on(login_id: str) -> Unit[tuple[Login | None, Person | None]]:
    found = yield run(statements.LOGIN, login_id)
    if not found:
        return None, None
    login = rows.login(found[0])
    return login, (yield from person_of(login.person_id))
