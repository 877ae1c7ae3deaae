"""Kubeconfig credentials: what we minted is believed, anything else is not."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance.core import credentials
from appliance.core.credentials import Credential, TokenVerifier, key_id, mint
from appliance.core.problems import Code, Problem

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = 1_800_000_000_123_456
CREDENTIAL = Credential("cred_1", "person_1", "cluster_1", NOW, 1_800_003_600_000_000)


def verifier() -> TokenVerifier:
    return TokenVerifier([KEY.public_key()])


def token(*, key: Any = KEY, algorithm: str = "ES256", kid: str | None = None, **changes: Any) -> bytes:
    claims = {
        "iss": "fairlead",
        "aud": "fairlead-kubeconfig",
        "jti": "cred_1",
        "sub": "person_1",
        "cluster": "cluster_1",
        "iat": NOW // 1_000_000,
        "iat_us": NOW,
        "exp": NOW // 1_000_000 + 3600,
    }
    claims = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid or key_id(KEY.public_key())}).encode()


def test_what_was_minted_is_believed_and_remembered() -> None:
    it = verifier()
    minted = mint(CREDENTIAL, KEY).encode()
    assert not it.known(minted)
    assert it.verify(minted, NOW) == CREDENTIAL
    assert it.known(minted)
    assert it.verify(minted, NOW) == CREDENTIAL


def test_expiry_is_not_the_verifiers_question() -> None:
    assert verifier().verify(mint(CREDENTIAL, KEY).encode(), NOW + 10**15) == CREDENTIAL


def tampered() -> bytes:
    head, _, signature = token().split(b".")
    payload = {"iss": "fairlead", "aud": "fairlead-kubeconfig", "jti": "cred_1", "sub": "root", "cluster": "cluster_1"}
    return b".".join([head, base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"="), signature])


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"x",
        b"a.b.c",
        b"\xff\xfe.\xff.\xff",
        b"x" * 5000,
        tampered(),
        token() + b"x",
        token()[:-8],
        token(key=ec.generate_private_key(ec.SECP256R1())),
        token(kid="unknown"),
        token(key="a secret that is long enough for HS256, at least", algorithm="HS256"),
        token(key=rsa.generate_private_key(65537, 2048), algorithm="RS256"),
        token(key=None, algorithm="none"),
        token(iss="other"),
        token(aud="other"),
        token(jti=None),
        token(jti=""),
        token(sub=None),
        token(sub=""),
        token(cluster=None),
        token(cluster=7),
        token(exp=None),
        token(exp="9"),
        token(exp=1.5),
        token(iat=True),
        token(iat=NOW // 1_000_000 + 61, iat_us=NOW + 61_000_000),
        token(iat=NOW // 1_000_000 + 1),
        token(iat_us=None),
        token(iat_us=float(NOW)),
        token(iat_us=str(NOW)),
    ],
)
def test_anything_else_is_refused(bad: bytes) -> None:
    it = verifier()
    refused = it.verify(bad, NOW)
    assert isinstance(refused, Problem)
    assert refused.code is Code.INVALID_TOKEN
    assert not it.known(bad)


@pytest.mark.parametrize(("prefix", "said"), [(b"flm_", "a machine token"), (b"flb_", "a bootstrap token")])
def test_another_kind_of_token_is_told_where_it_belongs(prefix: bytes, said: str) -> None:
    refused = verifier().verify(prefix + b"x" * 43, NOW)
    assert isinstance(refused, Problem)
    assert said in refused.message


def test_two_keys_may_be_trusted_at_once() -> None:
    old = ec.generate_private_key(ec.SECP256R1())
    it = TokenVerifier([KEY.public_key(), old.public_key()])
    assert it.verify(mint(CREDENTIAL, old).encode(), NOW) == CREDENTIAL


def test_a_verifier_without_a_key_or_with_another_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="P-256"):
        TokenVerifier([])
    with pytest.raises(ValueError, match="P-256"):
        TokenVerifier([ec.generate_private_key(ec.SECP384R1()).public_key()])


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "MAX_CACHED_TOKENS", 16)
    it = verifier()
    tokens = [token(jti=f"cred_{number}") for number in range(20)]
    for one in tokens:
        it.verify(one, NOW)
    assert sum(it.known(one) is not None for one in tokens) <= 16
    assert it.known(tokens[-1])
    assert not it.known(tokens[0])
