"""Who calls the admin API: a machine that shows a random token, of which we know only the SHA-256.

What always holds: only `Authorization: Bearer` counts (a browser never sends it by itself, so no other site can make
one act); what a caller may do is what its live bindings give it, each in its scope, worked out from the snapshot at
every call, so a revoked right ends with the next call; failed tries are limited by address before anything is compared.
The first token is made on the appliance's own host (`machine_token`).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from appliance.core.buckets import FailedLogins
from appliance.core.machines import MachineToken
from appliance.core.problems import Code, Problem, problem
from appliance.core.rights import Principal, Rights, rights
from appliance.core.roles import Subject, SubjectKind
from appliance.core.snapshot import Snapshot

TOKEN_PREFIXES: Final = ("flm_", "flx_")  # a machine's own token, and a session that another's was exchanged for
MAX_HEADER_CHARS: Final = 256  # ours are about 50


@dataclass(frozen=True, slots=True)
class Caller:
    """Who proved themselves, and what they may do now. `token`: the one a machine showed."""

    principal: Principal
    rights: Rights
    token: MachineToken | None = None


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
