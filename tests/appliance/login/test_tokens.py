"""Tokens of other issuers: what is refused, and as what."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.login.keys import StaticKeys
from appliance.login.tokens import LEEWAY_SECONDS, Expected, TokenFault, TokenRefused, issuer_of, verified
from tests.appliance.login.issuer import AUDIENCE, EC_KEY, NAME, NOW, RSA_KEY, claims, jwk, jwks, signed

SECONDS = NOW // 1_000_000
KEYS = StaticKeys(jwks(jwk(EC_KEY, kid="one"), jwk(RSA_KEY, kid="two", alg="RS256")))
EXPECTED = Expected(NAME, frozenset({AUDIENCE}))
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


async def verdict(token: str, expected: Expected = EXPECTED) -> str:
    try:
        await verified(token, expected, KEYS, NOW)
    except TokenRefused as refused:
        return refused.fault
    return "good"


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned(header: Any, signature: str = "") -> str:
    return f"{part(header)}.{part(claims())}.{signature}"


def hmac_with_the_public_key() -> str:
    """The old confusion: the public key, which everybody has, as the secret of an HMAC."""
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'two'})}.{part(claims())}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head.encode(), pem)
    return f"{head}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


TEN_MINUTES = 600
TABLE: dict[str, tuple[str, str]] = {
    "as it should be": (signed(), "good"),
    "another key of the issuer": (signed(RSA_KEY, "RS256", "two"), "good"),
    "no kid": (signed(kid=None), "good"),
    "several audiences": (signed(aud=["other", AUDIENCE]), "good"),
    "a fraction of a second": (signed(iat=SECONDS - 0.5), "good"),
    "within the leeway": (signed(iat=SECONDS + LEEWAY_SECONDS, exp=SECONDS - LEEWAY_SECONDS + 1), "good"),
    "alg none": (unsigned({"alg": "none"}), TokenFault.ALGORITHM),
    "alg none with a signature": (unsigned({"alg": "none"}, "AAAA"), TokenFault.ALGORITHM),
    "alg nOnE": (unsigned({"alg": "nOnE"}, "AAAA"), TokenFault.ALGORITHM),
    "alg a list": (unsigned({"alg": ["ES256"]}, "AAAA"), TokenFault.ALGORITHM),
    "no alg": (unsigned({}, "AAAA"), TokenFault.ALGORITHM),
    "the public key as a secret": (hmac_with_the_public_key(), TokenFault.ALGORITHM),
    "an algorithm the key is not for": (signed(RSA_KEY, "PS256", "two"), TokenFault.KEY),
    "another kind of key": (unsigned({"alg": "RS256", "kid": "one"}, "AAAA"), TokenFault.KEY),
    "another's key": (signed(OTHER_KEY), TokenFault.SIGNATURE),
    "another's key under no name": (signed(OTHER_KEY, kid=None), TokenFault.SIGNATURE),
    "a key it brings along": (signed(OTHER_KEY, header={"jwk": jwk(OTHER_KEY)}), TokenFault.SIGNATURE),
    "an unknown kid": (signed(kid="three"), TokenFault.KEY),
    "a kid that is no text": (unsigned({"alg": "ES256", "kid": 1}, "AAAA"), TokenFault.MALFORMED),
    "something critical": (signed(header={"crit": ["x"], "x": 1}), TokenFault.MALFORMED),
    "no signature": (unsigned({"alg": "ES256", "kid": "one"}, "AAAA"), TokenFault.SIGNATURE),
    "an access token": (signed(header={"typ": "at+jwt"}), TokenFault.KIND),
    "a logout token": (signed(header={"typ": "application/logout+jwt"}), TokenFault.KIND),
    "a kind that is no text": (unsigned({"alg": "ES256", "typ": 1}, "AAAA"), TokenFault.KIND),
    "another issuer": (signed(iss="https://evil.example.com"), TokenFault.ISSUER),
    "almost the issuer": (signed(iss=NAME + "/"), TokenFault.ISSUER),
    "another audience": (signed(aud="other"), TokenFault.AUDIENCE),
    "other audiences": (signed(aud=["other", "fairlead2"]), TokenFault.AUDIENCE),
    "no audience": (signed(aud=None), TokenFault.AUDIENCE),
    "an audience that is no text": (signed(aud=[AUDIENCE, 1]), TokenFault.AUDIENCE),
    "expired ten minutes ago": (signed(iat=SECONDS - 900, exp=SECONDS - TEN_MINUTES), TokenFault.EXPIRED),
    "expired just beyond the leeway": (signed(exp=SECONDS - LEEWAY_SECONDS), TokenFault.EXPIRED),
    "issued in ten minutes": (signed(iat=SECONDS + TEN_MINUTES, exp=SECONDS + 900), TokenFault.NOT_YET),
    "valid in ten minutes": (signed(nbf=SECONDS + TEN_MINUTES), TokenFault.NOT_YET),
    "no expiry": (signed(exp=None), TokenFault.CLAIMS),
    "no issue": (signed(iat=None), TokenFault.CLAIMS),
    "an expiry that is true": (signed(exp=True), TokenFault.CLAIMS),
    "an expiry without end": (signed(exp=1e300), TokenFault.CLAIMS),
    "no subject": (signed(sub=None), TokenFault.CLAIMS),
    "an empty subject": (signed(sub=""), TokenFault.CLAIMS),
    "nothing": ("", TokenFault.MALFORMED),
    "two parts": ("a.b", TokenFault.MALFORMED),
    "five parts": ("a.b.c.d.e", TokenFault.MALFORMED),
    "no JSON": ("AAAA.AAAA.AAAA", TokenFault.MALFORMED),
    "a list": (f"{part([])}.{part({})}.AAAA", TokenFault.MALFORMED),
    "too long": (signed(more="x" * 20_000), TokenFault.MALFORMED),
    "with a newline": (signed() + "\n", TokenFault.MALFORMED),
}


@pytest.mark.parametrize(("token", "fault"), TABLE.values(), ids=TABLE.keys())
async def test_each_token_is_what_it_is(token: str, fault: str) -> None:
    assert await verdict(token) == fault


def test_whose_token_it_says_it_is() -> None:
    assert issuer_of(signed()) == NAME
    for token in (signed(iss=None), f"{part({})}.{part({'iss': 7})}.AAAA", "a.b.c", ""):
        with pytest.raises(TokenRefused):
            issuer_of(token)
