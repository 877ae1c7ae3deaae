"""An issuer made of keys: publishes what it is told to, and signs whatever a test wants signed."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from appliance.login.keys import KeysUnavailable

NOW = 1_800_000_000_000_000
NAME = "https://id.example.com"
AUDIENCE = "fairlead"
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def jwk(private: Any, **more: Any) -> dict[str, Any]:
    public = private.public_key()
    kind: Any = next(made for made, key in _MAKERS if isinstance(private, key))
    return {**kind.to_jwk(public, as_dict=True), **more}


_MAKERS: Any = (
    (jwt.algorithms.RSAAlgorithm, rsa.RSAPrivateKey),
    (jwt.algorithms.ECAlgorithm, ec.EllipticCurvePrivateKey),
    (jwt.algorithms.OKPAlgorithm, ed25519.Ed25519PrivateKey),
)


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    said = {"iss": NAME, "aud": AUDIENCE, "sub": "248", "iat": NOW // 1_000_000, "exp": NOW // 1_000_000 + 300}
    return {name: value for name, value in (said | changes).items() if value is not None}


def signed(
    key: Any = EC_KEY, algorithm: str = "ES256", kid: str | None = "one", header: Any = None, **changes: Any
) -> str:
    named = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), key, algorithm, headers={**named, **(header or {})})


class Publishing:
    """A key set that can change, disappear and count how often it was asked for."""

    def __init__(self, document: bytes) -> None:
        self.document: bytes | None = document
        self.asked = 0

    async def __call__(self) -> bytes:
        self.asked += 1
        if self.document is None:
            raise KeysUnavailable("it is down")
        return self.document
