"""The appliance's own secrets: the private CA, the key that signs kubeconfig credentials, the key of the audit's seals.

Made at the first start and kept sealed in the store. What always holds: each is made once, whoever starts first; none
is ever written to a disk in clear, and none leaves the process. A store whose secrets do not open stops the start.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.store.store import Store
from appliance.tunnel.authority import Authority

AUTHORITY = "authority"
CREDENTIAL_KEY = "credential-signing-key"
AUDIT_KEY = "audit-checkpoint-key"


@dataclass(frozen=True, slots=True)
class Keys:
    authority: Authority
    credentials: ec.EllipticCurvePrivateKey
    audit: Ed25519PrivateKey


async def open_keys(store: Store, clock: Callable[[], int]) -> Keys:
    """The keys of this installation, made now if this is its first start."""

    def new_authority() -> bytes:
        made = Authority.make(clock())
        return json.dumps({"certificate": made.certificate_pem, "key": made.key_pem.decode()}).encode()

    kept = json.loads(await store.secret(AUTHORITY, new_authority))
    credentials = _load(await store.secret(CREDENTIAL_KEY, lambda: _pem(ec.generate_private_key(ec.SECP256R1()))))
    audit = _load(await store.secret(AUDIT_KEY, lambda: _pem(Ed25519PrivateKey.generate())))
    if not isinstance(credentials, ec.EllipticCurvePrivateKey) or not isinstance(audit, Ed25519PrivateKey):
        raise TypeError("a sealed key is of another kind than it was made")
    return Keys(Authority.load(kept["certificate"], kept["key"].encode()), credentials, audit)


def _pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load(pem: bytes) -> object:
    return serialization.load_pem_private_key(pem, None)
