"""Whose signatures an issuer's tokens carry: its published keys (JWKS, RFC 7517), and how they are kept current.

What always holds: a key is used with the algorithms of its own kind only, and the list of those is here; symmetric,
private, weak and encryption keys are passed over. An issuer is asked again when its keys are old or a token names a key
we do not know; how often at most, and what is believed while it cannot be reached, is `remembered`'s. Keys of an issuer
that we cannot reach at all are given once.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import jwt
import trio
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from appliance.login.remembered import Remembered, Unreachable

REFRESH_SECONDS: Final = 600  # a key that an issuer withdrew is believed no longer than this while it answers
MAX_KEYS: Final = 100  # the largest published set known is about a dozen
MAX_TRIED: Final = 4  # keys tried for one signature, when the token names none
MIN_RSA_BITS: Final = 2048  # RFC 7518 §3.3
MAX_RSA_BITS: Final = 8192  # beyond, one verification costs milliseconds that a stranger chooses

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey
Fetch: TypeAlias = Callable[[], Awaitable[bytes]]
"""Gets the issuer's key set, through the guard of `dialling`; raises KeysUnavailable when it cannot."""

RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVE_ALGORITHMS: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
ALGORITHMS: Final = frozenset({*RSA_ALGORITHMS, *_CURVE_ALGORITHMS.values(), "EdDSA"})
"""What an issuer may sign with. Not `none`, and nothing symmetric: a public key is no secret (RFC 8725 §2.1)."""


class KeysUnavailable(Exception):
    """The issuer's keys are not known now; the text is for the operator, without anything the issuer sent."""


class BadKeys(Exception):
    """What should be a key set is none; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key, and what may be signed with it."""

    kid: str | None
    algorithms: frozenset[str]
    public: PublicKey


class Keys(Protocol):
    """Where the keys of one issuer come from."""

    async def find(self, kid: str | None, algorithm: str, now: int) -> tuple[Key, ...]:
        """The keys that may have signed this; none: the issuer does not have such a key. Raises KeysUnavailable."""
        ...


def parse(document: bytes) -> tuple[Key, ...]:
    """The usable keys of a published set. Raises BadKeys when it is no set, or nothing in it is usable."""
    try:
        found = json.loads(document)
        listed = found["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadKeys("This is not a JSON Web Key Set.") from None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise BadKeys(f"A key set is a list of at most {MAX_KEYS} keys.")
    keys = tuple(key for one in listed if (key := _key(one)) is not None)
    if not keys:
        raise BadKeys("The key set holds no public key that signatures can be checked with.")
    return keys


def fitting(keys: tuple[Key, ...], kid: str | None, algorithm: str) -> tuple[Key, ...]:
    """Those of that id, or of any when the token names none, that this algorithm goes with."""
    return tuple(it for it in keys if (kid is None or it.kid == kid) and algorithm in it.algorithms)[:MAX_TRIED]


class StaticKeys:
    """Keys given by an administrator, for an issuer that cannot be reached from here."""

    def __init__(self, document: bytes) -> None:
        self._keys = parse(document)

    async def find(self, kid: str | None, algorithm: str, now: int) -> tuple[Key, ...]:  # noqa: ARG002 -- as Keys has it
        await trio.lowlevel.checkpoint()
        return fitting(self._keys, kid, algorithm)


class PublishedKeys:
    """Keys an issuer publishes, fetched through the guard of `dialling`."""

    def __init__(self, name: str, fetch: Fetch) -> None:
        async def fetched() -> tuple[Key, ...]:
            try:
                return parse(await fetch())
            except (BadKeys, KeysUnavailable) as error:
                raise Unreachable(str(error)) from None

        self._keys = Remembered(f"the keys of {name}", fetched, refresh_seconds=REFRESH_SECONDS)

    async def find(self, kid: str | None, algorithm: str, now: int) -> tuple[Key, ...]:
        try:
            found = fitting(await self._keys.get(now), kid, algorithm)
            return found or fitting(await self._keys.again(now), kid, algorithm)  # rotated, perhaps, since we looked
        except Unreachable as error:
            raise KeysUnavailable(str(error)) from None


def _key(one: Any) -> Key | None:
    """A key we may use; None: another kind, which RFC 7517 §5 says to pass over."""
    if not isinstance(one, Mapping) or "d" in one or one.get("use", "sig") != "sig":
        return None
    operations = one.get("key_ops")
    if operations is not None and (not isinstance(operations, list) or "verify" not in operations):
        return None
    kid, named = one.get("kid"), one.get("alg")
    if kid is not None and not isinstance(kid, str):
        return None
    try:
        match one.get("kty"):
            case "RSA":
                public: Any = jwt.algorithms.RSAAlgorithm.from_jwk(dict(one))
            case "EC":
                public = jwt.algorithms.ECAlgorithm.from_jwk(dict(one))
            case "OKP":
                public = jwt.algorithms.OKPAlgorithm.from_jwk(dict(one))
            case _:
                return None
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    algorithms = _algorithms(public)
    if named is not None:
        algorithms &= {named} if isinstance(named, str) else frozenset()
    return Key(kid, algorithms, public) if algorithms else None


def _algorithms(public: object) -> frozenset[str]:
    match public:
        case RSAPublicKey():
            strong = MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS
            return frozenset(RSA_ALGORITHMS) if strong else frozenset()
        case EllipticCurvePublicKey():
            name = _CURVE_ALGORITHMS.get(public.curve.name)
            return frozenset({name}) if name is not None else frozenset()
        case Ed25519PublicKey():
            return frozenset({"EdDSA"})
        case _:
            return frozenset()
