"""Who calls the admin API: a machine, or a person who signed in, by a random token of which we know only the SHA-256.

What always holds: only `Authorization: Bearer` counts (a browser never sends it by itself, so no other site can make
one act); what a caller may do is what its live bindings give it, each in its scope, worked out from the snapshot at
every call, so a revoked right ends with the next call; failed tries are limited by address before anything is compared.
A machine's token is in the snapshot; a person's access token is looked up in the store, so that a session which was
ended anywhere is ended here. The first token is made on the appliance's own host (`machine_token`).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from appliance.api.parts import Parts
from appliance.core.buckets import FailedLogins
from appliance.core.machines import MachineToken
from appliance.core.problems import Code, Problem, problem
from appliance.core.rights import Principal, Rights, rights
from appliance.core.roles import Subject, SubjectKind
from appliance.core.sessions import PREFIXES, Login, Session, TokenKind
from appliance.core.snapshot import Snapshot
from appliance.store import sessions

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


def token_digest(token: str) -> str:
    """How a token is known to the store. Looking it up by digest leaks nothing through timing."""
    return hashlib.sha256(token.encode()).hexdigest()


def authenticate(
    authorization: str | None, address: str, snapshot: Snapshot, failures: FailedLogins, now: int
) -> Caller | Problem:
    """Who shows this header. A missing one is no failed try; a wrong one is."""
    if not authorization:
        return problem(Code.AUTHENTICATION_REQUIRED)
    limited = failures.refuse(address, now)
    if limited is not None:
        return limited
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    digest = token_digest(token)
    known = scheme.lower() == "bearer" and len(authorization) <= MAX_HEADER_CHARS and token.startswith(TOKEN_PREFIXES)
    shown = snapshot.machine_token_by_hash.get(digest) if known else None
    machine = snapshot.machines.get(shown.machine_id) if shown is not None else None
    if shown is None or machine is None or not hmac.compare_digest(shown.sha256, digest):
        failures.failed(address, now)
        return problem(Code.INVALID_TOKEN, detail="the admin API takes machine tokens, and this is not a known one")
    if not shown.live(now):
        return problem(Code.INVALID_TOKEN, detail="this machine token has expired")
    subject = Subject(SubjectKind.MACHINE, machine.id)
    return Caller(Principal(subject, machine.name), rights(snapshot, subject, now), shown)


async def caller_of(
    authorization: str | None, address: str, parts: Parts, failures: FailedLogins, now: int
) -> Caller | Problem:
    """Who shows this header, be it a machine or a person."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token.startswith(PREFIXES[TokenKind.ACCESS] + "_"):
        return authenticate(authorization, address, parts.snapshot(), failures, now)
    limited = failures.refuse(address, now)
    if limited is not None:
        return limited
    seen = await parts.read(sessions.seen(token_digest(token))) if len(token) <= MAX_HEADER_CHARS else None
    if seen is None or seen.token.kind is not TokenKind.ACCESS:
        failures.failed(address, now)
        return problem(Code.INVALID_TOKEN, detail="it is not a known access token")
    snapshot = parts.snapshot()
    person = snapshot.people.get(seen.session.person_id)
    fault = seen.session.fault(seen.login, person, now)
    if person is None or fault is not None:
        return problem(Code.SESSION_ENDED, why=fault)
    if seen.token.expires_at <= now:
        return problem(Code.SESSION_EXPIRED)
    subject = Subject(SubjectKind.PERSON, person.id)
    return Caller(Principal(subject, person.name), rights(snapshot, subject, now), held=(seen.session, seen.login))
