"""Kubeconfig credentials: ES256 JWTs, each bound to one person and one cluster.

`TokenVerifier` proves that this appliance issued a token and what it says, nothing more: whether it has expired, was
revoked or fits the cluster is asked for every request by `decision.decide`. The cache holds proven tokens by their
SHA-256 only, so a memory dump of it opens nothing, and is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.core.problems import Code, Problem, problem

ISSUER = "fairlead"
AUDIENCE = "fairlead-kubeconfig"
SECOND = 1_000_000  # times are microseconds
MAX_STATIC_SECONDS = 8 * 3600  # a working day; a static kubeconfig lies on a disk
MAX_PLUGIN_SECONDS = 15 * 60  # a credential plugin asks again by itself, so what it holds need not live longer
KEPT_SECONDS = 24 * 3600
"""How long the rows of credentials and revocations outlive the token: the list still shows them, streams that outlived
their credential can still be ended by it, and a clock that is set back revives nothing."""
MAX_TOKEN_BYTES = 4096  # ours are about 400; anything longer is not ours
MAX_CACHED_TOKENS = 20_000  # about 10 MB; one verification costs 120 us, a hit 1 us
MAX_CLOCK_SKEW_SECONDS = 60  # between replicas; a token from further in the future is refused


#: What machine and bootstrap tokens begin with; shown at the wrong door, each is told where it belongs.
OTHER_TOKENS = {
    b"flm_": "it is a machine token, which is good for the admin API only",
    b"flx_": "it is a machine's session token, which is good for the admin API only",
    b"flb_": "it is a bootstrap token, which is good for the enrolment of one agent only",
}


class CredentialKind(StrEnum):
    """How a credential is kept, which says how long it may live."""

    STATIC = "static"  # written into a kubeconfig
    PLUGIN = "plugin"  # held by a credential plugin for as long as its commands run

    @property
    def most_seconds(self) -> int:
        return MAX_STATIC_SECONDS if self is CredentialKind.STATIC else MAX_PLUGIN_SECONDS


@dataclass(frozen=True, slots=True)
class Credential:
    """What a proven token says. Times are microseconds UTC; the expiry is a whole second.

    `issued_at` is exact, so that what was issued before and after a refusal (`not_before`) differ within one second.
    """

    id: str
    person_id: str
    cluster_id: str
    issued_at: int
    expires_at: int


def key_id(key: EllipticCurvePublicKey) -> str:
    """The `kid` of a key: the first 16 hex digits of the SHA-256 of its SubjectPublicKeyInfo."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:16]


def mint(credential: Credential, key: EllipticCurvePrivateKey) -> str:
    """The token that says `credential`, signed. The caller has kept the credential's row first."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "jti": credential.id,
        "sub": credential.person_id,
        "cluster": credential.cluster_id,
        "iat": credential.issued_at // SECOND,
        "iat_us": credential.issued_at,
        "exp": credential.expires_at // SECOND,
    }
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": key_id(key.public_key())})


class TokenVerifier:
    """Proves tokens against the appliance's public keys; one per process, used from one thread."""

    def __init__(self, keys: Iterable[EllipticCurvePublicKey]) -> None:
        self._keys = {key_id(key): key for key in keys}
        if not self._keys or not all(isinstance(key.curve, SECP256R1) for key in self._keys.values()):
            raise ValueError("a verifier needs at least one key, and only P-256 keys")
        self._proven: dict[bytes, Credential] = {}

    def known(self, token: bytes) -> Credential | None:
        """What the token says if it was proven before: such a one costs no signature check."""
        return self._proven.get(sha256(token).digest())

    def verify(self, token: bytes, now: int) -> Credential | Problem:
        """What the token says, or INVALID_TOKEN. Expiry and revocation are decided later, on the credential."""
        digest = sha256(token).digest()
        known = self._proven.get(digest)
        if known is not None:
            return known
        proven = self._prove(token, now)
        if isinstance(proven, Problem):
            return proven
        if len(self._proven) >= MAX_CACHED_TOKENS:
            # An eighth at once, oldest first: the cost of making room stays out of most requests.
            for old in list(self._proven)[: MAX_CACHED_TOKENS // 8]:
                del self._proven[old]
        self._proven[digest] = proven
        return proven

    def _prove(self, token: bytes, now: int) -> Credential | Problem:
        if len(token) > MAX_TOKEN_BYTES:
            return _refused("it is too long")
        other = OTHER_TOKENS.get(token[:4])
        if other is not None:
            return _refused(other)
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(kid) if isinstance(kid, str) else None
            if key is None:
                return _refused("it was signed with a key this appliance does not know")
            claims = jwt.decode(
                token,
                key,
                algorithms=["ES256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                # Time is an argument here, so the library's own clock checks are off; `decide` and the lines below
                # do them.
                options={
                    "require": ["iss", "aud", "jti", "sub", "iat", "iat_us", "exp"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidSignatureError:
            return _refused("its signature is wrong")
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
            return _refused("it was issued for something else")
        except (jwt.PyJWTError, ValueError, UnicodeError):
            return _refused("it is not a kubeconfig credential")
        return _credential(claims, now)


def _credential(claims: dict[str, object], now: int) -> Credential | Problem:
    texts = [claims.get(name) for name in ("jti", "sub", "cluster")]
    second, issued, expires = (claims.get(name) for name in ("iat", "iat_us", "exp"))
    if not all(isinstance(text, str) and text for text in texts):
        return _refused("it is not a kubeconfig credential")
    # `type`, because a bool is an int, too.
    if type(second) is not int or type(issued) is not int or type(expires) is not int or issued // SECOND != second:
        return _refused("it is not a kubeconfig credential")
    if issued > now + MAX_CLOCK_SKEW_SECONDS * SECOND:
        return _refused("it was issued in the future; check the clocks")
    identity, person_id, cluster_id = (str(text) for text in texts)
    return Credential(identity, person_id, cluster_id, issued, expires * SECOND)


def _refused(detail: str) -> Problem:
    return problem(Code.INVALID_TOKEN, detail=detail, meta=(("detail", detail),))
