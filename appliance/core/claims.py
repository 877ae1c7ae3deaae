"""Who someone is, read from what a provider claims of them.

What always holds: (issuer, subject) is the key and nothing else is; an e-mail counts only if the provider says that it
is verified; what cannot be sent to Kubernetes, or could be taken for something of its own, is refused; a list of groups
that the provider says is not all of them is an error and never an empty list. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.core.people import email_key, name_fault
from appliance.core.problems import Code, Problem, problem
from appliance.core.providers import ClaimPath, Provider

MAX_GROUPS: Final = 500  # providers that send more say so elsewhere; each is a look-up for every decision
MAX_SUBJECT_CHARS: Final = 255  # OpenID Connect Core §2
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Claimed:
    """A person as the provider names them now. `email` is verified, or empty."""

    issuer: str
    subject: str
    name: str
    email: str
    groups: tuple[str, ...]


def read(claims: Mapping[str, Any], provider: Provider) -> Claimed | Problem:
    """The person; or why they cannot be let in. The claims are proven, and the issuer's."""
    reading = provider.reading
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARS or not subject.isprintable():
        return _bad("sub", "is not a text of at most 255 characters")
    for path, allowed in reading.required:
        found = _at(claims, path)
        values = found if isinstance(found, list) else [found]
        if not any(_text(value) in allowed for value in values):
            return problem(Code.SIGN_IN_NOT_ALLOWED, claim=".".join(path))
    email = _email(claims, provider)
    name = _name(claims, provider, email)
    if isinstance(name, Problem):
        return name
    groups = _groups(claims, provider)
    if isinstance(groups, Problem):
        return groups
    for text in (name, *groups):
        fault = name_fault(text)
        if fault is not None:
            return problem(Code.RESERVED_IDENTITY, detail=f"{text[:64]}: {fault}")
    return Claimed(provider.issuer, subject, name, email, groups)


def _email(claims: Mapping[str, Any], provider: Provider) -> str:
    """The verified e-mail, or nothing. Some providers write true as text."""
    email, verified = _at(claims, provider.reading.email), _at(claims, provider.reading.email_verified)
    if not isinstance(email, str) or email_key(email) is None or not (verified is True or verified == "true"):
        return ""
    return email


def _name(claims: Mapping[str, Any], provider: Provider, email: str) -> str | Problem:
    reading = provider.reading
    found = _at(claims, reading.name)
    if not isinstance(found, str) or not found:
        return _bad(".".join(reading.name), "is missing or no text, and people are to be named by it")
    if reading.name == reading.email and not email:
        return problem(Code.EMAIL_NOT_VERIFIED)
    return reading.name_prefix + found


def _groups(claims: Mapping[str, Any], provider: Provider) -> tuple[str, ...] | Problem:
    path = provider.reading.groups
    if not path:
        return ()
    if _elsewhere(claims, path):
        return problem(Code.GROUP_OVERAGE)
    found = _at(claims, path)
    if found is _MISSING or found is None:
        return ()  # most providers leave out an empty list
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(it, str) and it for it in listed):
        return _bad(".".join(path), "is not a list of texts")
    if len(listed) > MAX_GROUPS:
        return problem(Code.GROUP_OVERAGE)
    return tuple(sorted({provider.reading.groups_prefix + it for it in listed}))


def _elsewhere(claims: Mapping[str, Any], path: ClaimPath) -> bool:
    """Whether the provider says that there are groups, and that they are not in the token.

    OpenID Connect Core §5.6.2 names such claims in `_claim_names`; Entra ID also says `hasgroups`.
    """
    names = claims.get("_claim_names")
    return (
        (isinstance(names, Mapping) and path[0] in names)
        or (names is not None and not isinstance(names, Mapping))
        or claims.get("hasgroups") is True
        or claims.get("hasgroups") == "true"
    )


def _at(claims: Mapping[str, Any], path: ClaimPath) -> Any:
    found: Any = claims
    for name in path:
        if not isinstance(found, Mapping) or name not in found:
            return _MISSING
        found = found[name]
    return found


def _text(value: Any) -> str:
    """How a value is compared with an allowed one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else ""


def _bad(claim: str, detail: str) -> Problem:
    return problem(Code.CLAIM_UNUSABLE, claim=claim, detail=detail)
