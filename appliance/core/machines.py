"""How machines prove who they are: tokens of ours, and tokens of issuers that a trust rule believes.

A trust rule says which tokens of an issuer make their bearer one of our machines. What always holds: a rule names an
audience and a condition on the subject, and no condition fits everything; a `*` ends a pattern and stands behind a
separator, so that `repo:example/*` never fits `repo:example-evil`; a claim that is not there, or not a plain value,
fits nothing. Pure; signatures are checked elsewhere, before. Times are microseconds UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SECOND: Final = 1_000_000
MIN_TOKEN_SECONDS: Final = 60
MAX_TOKEN_SECONDS: Final = 365 * 86400  # as the command on the host: a token nobody has renewed for a year is forgotten
DEFAULT_TOKEN_SECONDS: Final = 30 * 86400
MAX_TOKENS: Final = 20  # of one machine: two while one replaces the other, and some that were forgotten

MIN_SESSION_SECONDS: Final = 60
MAX_SESSION_SECONDS: Final = 3600  # a job that takes longer exchanges again
DEFAULT_SESSION_SECONDS: Final = 900
MAX_SESSIONS: Final = 500  # of one machine at once: jobs of a large pipeline; each is a row and a line in memory
MAX_FOREIGN_SECONDS: Final = 86400  # how long an exchanged token may live: what is good for longer is no proof of now
USED_SECONDS: Final = 600  # between two notes of when a token was used: a write for each would be one per request

MAX_RULES: Final = 200  # all of them; each token is held against those of its issuer
MAX_CONDITIONS: Final = 16
MAX_PATTERNS: Final = 32
MAX_JWKS_BYTES: Final = 32 * 1024

SUBJECT: Final = "sub"
_PATTERN: Final = re.compile(r"[^*]*[^*\w-]\*|[^*]+", re.ASCII)  # a separator is what no name is made of
_POINTER: Final = re.compile(r"/[^/]+(/[^/]+){0,3}")


@dataclass(frozen=True, slots=True)
class MachineToken:
    """A bearer token of a machine, of which only the SHA-256 (hex) is kept.

    `rule_id`: the trust rule it was exchanged under, and `subject` whom the issuer meant; both are empty for one that
    was made here. `used_at` is as exact as USED_SECONDS.
    """

    id: str
    machine_id: str
    sha256: str
    expires_at: int
    label: str = ""
    rule_id: str = ""
    subject: str = ""
    created_at: int = 0
    created_by: str = ""  # empty: on the appliance's own host, or nobody but the rule
    used_at: int | None = None

    def live(self, now: int) -> bool:
        return now < self.expires_at

    def use_is_due(self, now: int) -> bool:
        """Whether it is time to note that it is used."""
        return self.used_at is None or now - self.used_at >= USED_SECONDS * SECOND


@dataclass(frozen=True, slots=True)
class Condition:
    """One claim, by its name or by a JSON pointer to it (RFC 6901), and what it may be."""

    claim: str
    patterns: tuple[str, ...]

    def holds(self, claims: Mapping[str, Any]) -> bool:
        found = _claim(self.claim, claims)
        if isinstance(found, bool):
            found = "true" if found else "false"
        elif isinstance(found, int):
            found = str(found)
        return isinstance(found, str) and any(_fits(pattern, found) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class TrustRule:
    """Whose tokens make their bearer this machine. `jwks`: the issuer's keys, where they cannot be fetched.

    `single_use`: a token is exchanged once, by its `jti`. `seconds`: how long a session lasts.
    """

    id: str
    machine_id: str
    issuer: str
    audience: str
    conditions: tuple[Condition, ...]
    jwks: str = ""
    single_use: bool = True
    seconds: int = DEFAULT_SESSION_SECONDS
    created_at: int = 0
    created_by: str = ""

    def fits(self, claims: Mapping[str, Any]) -> bool:
        """Whether a token, whose signature, issuer and times are in order, is one of those meant.

        It must be for this audience and nobody else: another recipient could show it to us.
        """
        alone = claims.get("aud") in (self.audience, [self.audience])
        return alone and bool(self.conditions) and all(it.holds(claims) for it in self.conditions)


def conditions_fault(conditions: tuple[Condition, ...]) -> str | None:
    """Why these conditions would let in more than was meant, as a sentence; None when they would not."""
    names = [it.claim for it in conditions]
    if SUBJECT not in names:
        return f"one of the conditions must be on {SUBJECT}: an issuer may serve others than you"
    if len(names) != len(set(names)) or len(names) > MAX_CONDITIONS:
        return f"there may be at most {MAX_CONDITIONS} conditions, each on another claim"
    for it in conditions:
        if it.claim.startswith("/") and not _POINTER.fullmatch(it.claim):
            return f"{it.claim} is no JSON pointer to a claim"
        if not 1 <= len(it.patterns) <= MAX_PATTERNS:
            return f"{it.claim} needs from 1 to {MAX_PATTERNS} values"
        if not all(_PATTERN.fullmatch(pattern) for pattern in it.patterns):
            return f'a value of {it.claim} may only end in *, behind a separator, as in "repo:example/*"'
    return None


def _fits(pattern: str, text: str) -> bool:
    return text == pattern if not pattern.endswith("*") else text.startswith(pattern[:-1]) and len(text) >= len(pattern)


def _claim(name: str, claims: Mapping[str, Any]) -> Any:
    if not name.startswith("/"):
        return claims.get(name)
    found: Any = claims
    for part in name[1:].split("/"):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part.replace("~1", "/").replace("~0", "~"))
    return found
