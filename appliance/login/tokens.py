"""Is this token from that issuer, for us, and of now? For ID tokens of providers and for tokens that are exchanged.

What always holds: the algorithm is one of the list in `keys` and the key is for it (RFC 8725 §3.1); nothing
in the token says where its key is found but the `kid`; issuer, audience, kind and times are checked before a claim is
given out. Time is an argument. What a claim means is not decided here.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import jwt

from appliance.core.sessions import SECOND
from appliance.login.keys import ALGORITHMS, Keys

MAX_TOKEN_BYTES: Final = 16 * 1024  # a token with two hundred groups has about 12 KB
LEEWAY_SECONDS: Final = 60  # between our clock and the issuer's
KINDS: Final = frozenset({"", "jwt"})  # what `typ` may be, in lower case; "" for none
_FORM = re.compile(r"[A-Za-z0-9_-]{1,2048}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LARGEST_DATE = 1 << 40  # seconds; beyond the year 30000 is nonsense that would not fit the store


class TokenFault(StrEnum):
    """Why a token is refused."""

    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    KIND = "kind"
    KEY = "unknown key"
    SIGNATURE = "signature"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    NOT_YET = "not yet"
    CLAIMS = "claims"
    NONCE = "nonce"
    SUBJECT = "subject"


_WORDS: Final = {
    TokenFault.MALFORMED: "it is not a signed JSON Web Token",
    TokenFault.ALGORITHM: "it is signed with an algorithm that is not allowed",
    TokenFault.KIND: "it is a token of another kind",
    TokenFault.KEY: "it was signed with a key that its issuer does not publish",
    TokenFault.SIGNATURE: "its signature is wrong",
    TokenFault.ISSUER: "it is from another issuer",
    TokenFault.AUDIENCE: "it was issued for something else",
    TokenFault.EXPIRED: "it has expired; check the clocks if it should not have",
    TokenFault.NOT_YET: "it was issued in the future; check the clocks",
    TokenFault.CLAIMS: "a claim that it must have is missing or of another form",
    TokenFault.NONCE: "it answers to another sign-in",
    TokenFault.SUBJECT: "it is of another person",
}


class TokenRefused(Exception):
    """The text says why, in words for whoever sent it; nothing of the token is in it."""

    def __init__(self, fault: TokenFault) -> None:
        super().__init__(_WORDS[fault])
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Expected:
    """Whose a token must be, and for whom: it must name one of the audiences."""

    issuer: str
    audiences: frozenset[str]


async def verified(token: str, expected: Expected, keys: Keys, now: int) -> Mapping[str, Any]:
    """The claims of a token that is what it must be.

    Raises:
        TokenRefused: it is not.
        KeysUnavailable: its issuer's keys are not known now.

    """
    header = _header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefused(TokenFault.ALGORITHM)
    if "crit" in header or (kid is not None and not isinstance(kid, str)):
        raise TokenRefused(TokenFault.MALFORMED)  # RFC 7515 §4.1.11: what is critical and not understood is refused
    kind = header.get("typ", "")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in KINDS:
        raise TokenRefused(TokenFault.KIND)
    candidates = await keys.find(kid, algorithm, now)
    if not candidates:
        raise TokenRefused(TokenFault.KEY)
    for key in candidates:
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[algorithm],
                # Everything but the signature is checked below: with our time, and each with its own answer.
                options={
                    "verify_aud": False,
                    "verify_iss": False,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise TokenRefused(TokenFault.MALFORMED) from None
        check(claims, expected, now)
        return claims
    raise TokenRefused(TokenFault.SIGNATURE)


def check(claims: Mapping[str, Any], expected: Expected, now: int) -> None:
    """Whether signed claims are from that issuer, for us, and of now; TokenRefused says why not."""
    if claims.get("iss") != expected.issuer:
        raise TokenRefused(TokenFault.ISSUER)
    if not audiences(claims) & expected.audiences:
        raise TokenRefused(TokenFault.AUDIENCE)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise TokenRefused(TokenFault.CLAIMS)
    seconds = now / SECOND
    expires, issued = date(claims, "exp"), date(claims, "iat")
    begins = date(claims, "nbf") if "nbf" in claims else issued
    if expires <= seconds - LEEWAY_SECONDS:
        raise TokenRefused(TokenFault.EXPIRED)
    if max(issued, begins) > seconds + LEEWAY_SECONDS:
        raise TokenRefused(TokenFault.NOT_YET)


def audiences(claims: Mapping[str, Any]) -> frozenset[str]:
    """For whom it was issued: one text, or a list of them (RFC 7519 §4.1.3)."""
    found = claims.get("aud")
    listed = [found] if isinstance(found, str) else found
    if not isinstance(listed, list) or not all(isinstance(it, str) for it in listed):
        return frozenset()
    return frozenset(listed)


def date(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate: seconds since 1970, perhaps with a fraction. A bool is an int in Python, and no date."""
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < _LARGEST_DATE:
        raise TokenRefused(TokenFault.CLAIMS)
    return found


def issuer_of(token: str) -> str:
    """Which issuer a token says it is from, unproven: only to find whose keys to prove it with. Raises TokenRefused."""
    _header(token)
    claims = _json(token.split(".")[1])
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer:
        raise TokenRefused(TokenFault.ISSUER)
    return issuer


def _header(token: str) -> Mapping[str, Any]:
    if len(token) > MAX_TOKEN_BYTES or not _FORM.fullmatch(token):
        # `alg: none` comes without a signature, so it is not of the form either: say what it is.
        unsigned = token.endswith(".") and len(token) <= MAX_TOKEN_BYTES and token.count(".") == 2
        raise TokenRefused(TokenFault.ALGORITHM if unsigned else TokenFault.MALFORMED)
    return _json(token.split(".", 1)[0])


def _json(part: str) -> Mapping[str, Any]:
    try:
        found = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise TokenRefused(TokenFault.MALFORMED) from None
    if not isinstance(found, dict):
        raise TokenRefused(TokenFault.MALFORMED)
    return found
