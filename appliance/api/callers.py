"""Who calls the admin API: a machine, or a person who signed in, by a random token of which we know only the SHA-256.

What always holds: only `Authorization: Bearer` counts (a browser never sends it by itself, so no other site can make
one act); what a caller may do is what its live bindings give it, each in its scope, worked out from the snapshot at
every call, so a revoked right ends with the next call; failed tries are limited by address before anything is compared.
A machine's token is in the snapshot; a person's access token is looked up in the store, so that a session which was
ended anywhere is ended here. The first token is made on the appliance's own host (`machine_token`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.api.parts import Parts
from appliance.api.token_uses import say_unnoted
from appliance.core.machines import MachineToken
from appliance.core.problems import Code, Problem, problem
from appliance.core.rights import Principal, Rights, rights
from appliance.core.roles import Subject, SubjectKind
from appliance.core.sessions import PREFIXES, Login, Session, TokenKind
from appliance.core.snapshot import Snapshot
from appliance.store import ids, sessions
from appliance.store.sessions import Seen

TOKEN_PREFIXES: Final = ("flm_", "flx_")  # a machine's own token, and a session that another's was exchanged for
MAX_HEADER_CHARS: Final = 256  # ours are about 50


@dataclass(frozen=True, slots=True)
class Caller:
    """Who proved themselves, and what they may do now. `held`: a person's session with the login it rests on; `token`:
    the one a machine showed.
    """

    principal: Principal
    rights: Rights
    token: MachineToken | None = None
    held: tuple[Session, Login] | None = None


NOBODY: Final = Caller(Principal(Subject(SubjectKind.MACHINE, "nobody"), ""), Rights())  # an id that none has


async def caller_of(authorization: str | None, address: str, parts: Parts, now: int) -> Caller | Problem:
    """Who shows this header, be it a machine or a person. A missing one is no failed try; a wrong one is."""
    if not authorization:
        return problem(Code.AUTHENTICATION_REQUIRED)
    limited = parts.failures.refuse(address, now)
    if limited is not None:
        return limited
    scheme, _, token = authorization.partition(" ")
    token = token.strip() if scheme.lower() == "bearer" and len(authorization) <= MAX_HEADER_CHARS else ""
    if token.startswith(PREFIXES[TokenKind.ACCESS] + "_"):
        found = await _person(token, parts, now)
    else:
        found = machine(token, parts.snapshot(), now)
        if found is None and token.startswith(TOKEN_PREFIXES):  # another appliance may have given it out just now
            await parts.catch_up()
            found = machine(token, parts.snapshot(), now)
    if found is not None:
        return found
    parts.failures.failed(address, now)
    return problem(Code.INVALID_TOKEN, detail="it is not one that the admin API knows")


def machine(token: str, snapshot: Snapshot, now: int) -> Caller | Problem | None:
    """The machine whose token this is; None: it is no known one."""
    shown = snapshot.machine_token_by_hash.get(ids.token_hash(token)) if token.startswith(TOKEN_PREFIXES) else None
    found = snapshot.machines.get(shown.machine_id) if shown is not None else None
    if shown is None or found is None:
        return None
    if not shown.live(now):
        return problem(Code.INVALID_TOKEN, detail="this machine token has expired")
    subject = Subject(SubjectKind.MACHINE, found.id)
    return Caller(Principal(subject, found.name), rights(snapshot, subject, now), shown)


async def _person(token: str, parts: Parts, now: int) -> Caller | Problem | None:
    seen = await parts.read(sessions.seen(ids.token_hash(token)))
    if seen is None or seen.token.kind is not TokenKind.ACCESS:
        return None
    if seen.session.person_id not in parts.snapshot().people:  # as with machines
        await parts.catch_up()
    snapshot = parts.snapshot()
    person = snapshot.people.get(seen.session.person_id)
    refusal = seen.refusal(person, now)
    if person is None or refusal is not None:
        return refusal
    if seen.used_at is None:
        await _first_use(seen, parts, now)
    subject = Subject(SubjectKind.PERSON, person.id)
    return Caller(Principal(subject, person.name), rights(snapshot, subject, now), held=(seen.session, seen.login))


async def _first_use(seen: Seen, parts: Parts, now: int) -> None:
    """The answer that this token came with is not given again. A store that cannot be written keeps nobody out."""
    try:
        await parts.write(sessions.use(seen.token.sha256, now))
    except tuple(parts.faults) as error:
        say_unnoted(parts, error, seen.session.id)
