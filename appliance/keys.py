"""The appliance's own secrets: the private CA, the keys that sign kubeconfig credentials, the key of the audit's seals.

Made at the first start and kept sealed in the store. What always holds: each is made once, whoever starts first; none
is ever written to a disk in clear, and none leaves the process. A store whose secrets do not open stops the start.
Credentials are signed with the newest of their keys; the one before it is still believed (`key_rotation` makes more).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance import authorities
from appliance.store import statements
from appliance.store.faults import StoreUnavailable
from appliance.store.store import Store
from appliance.store.unit import Unit, run
from appliance.tunnel.trust import Trust

CREDENTIAL_KEY = "credential-signing-key"  # the first; those after it have a number
AUDIT_KEY = "audit-checkpoint-key"


RETRY_SECONDS = 1.0  # between two looks at a store that does not answer
BELIEVED = 2  # signing keys: tokens live hours, so one older key outlasts them, and two rotations refuse them all


@dataclass(frozen=True, slots=True)
class Keys:
    trust: Trust
    credentials: ec.EllipticCurvePrivateKey  # what new ones are signed with
    believed: tuple[ec.EllipticCurvePublicKey, ...]  # what they may be signed with
    audit: Ed25519PrivateKey
    signing_names: tuple[str, ...] = ()  # of the keys that credentials were ever signed with, the oldest first


class KeyWatch:
    """Notices that keys were replaced while nobody could know that we run: PostgreSQL was away, or out of reach.

    Whoever replaces keys is alone with the database; see `key_rotation`. What we hold is read at the start only, so an
    appliance whose keys are old has to end.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._known = list(keys.signing_names)
        self.replaced = False

    async def until_replaced(self) -> None:
        """Returns when they were; looks each time we are known, again, to use the database."""
        while True:
            await self._store.joined()
            self.replaced = await self._look() != self._known
            if self.replaced:
                return

    async def _look(self) -> list[str]:
        while True:
            try:
                return await signing_key_names(self._store) or [CREDENTIAL_KEY]
            except StoreUnavailable:
                await trio.sleep(RETRY_SECONDS)


async def open_keys(store: Store, clock: Callable[[], int]) -> Keys:
    """The keys of this installation, made now if this is its first start."""
    trust = Trust(await authorities.opened(store, clock))
    names = await signing_key_names(store) or [CREDENTIAL_KEY]
    signing = [await signing_key(store, name) for name in names[-BELIEVED:]]
    audit = _load(await store.secret(AUDIT_KEY, lambda: _pem(Ed25519PrivateKey.generate())))
    if not isinstance(audit, Ed25519PrivateKey):
        raise TypeError("a sealed key is of another kind than it was made")
    believed = tuple(key.public_key() for key in signing)
    return Keys(trust, signing[-1], believed, audit, tuple(names))


async def signing_key_names(store: Store) -> list[str]:
    """Under which names keys for credentials are kept, the oldest first."""

    def names() -> Unit[list[str]]:
        found = yield run(statements.SEALED_NAMES)
        return [str(name) for (name,) in found]

    kept = [name for name in await store.read(names()) if name.partition("/")[0] == CREDENTIAL_KEY]
    return sorted(kept, key=lambda name: int(name.partition("/")[2] or 1))


async def signing_key(store: Store, name: str) -> ec.EllipticCurvePrivateKey:
    """The key kept under a name; the first time it is made."""
    key = _load(await store.secret(name, lambda: _pem(ec.generate_private_key(ec.SECP256R1()))))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("a sealed key is of another kind than it was made")
    return key


def _pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load(pem: bytes) -> object:
    return serialization.load_pem_private_key(pem, None)
