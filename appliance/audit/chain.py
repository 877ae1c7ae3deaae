"""How records hang together: each hash covers the record and the hash before it; checkpoints sign where a chain stands.

One chain per start of the appliance. A checkpoint is a signed line that names heads (chain, number, hash) and the
checkpoint before it. What holds: nobody without the signing key can change, remove or insert a record at or before a
checkpoint and stay unseen. What does not: records after the last checkpoint that anyone has kept a copy of can be cut
off without a trace. Pure: bytes in, bytes out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_CHECKPOINT_PURPOSE = b"fairlead audit checkpoint 1\n"  # so that a signature is good for nothing else


@dataclass(frozen=True, slots=True)
class Head:
    """The last record of a chain: its number from 1 and its hash (hex). Number 0: no record yet."""

    chain: int
    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    number: int
    time: int
    previous: str  # SHA-256 (hex) of the checkpoint before; empty for the first
    key_id: str
    heads: tuple[Head, ...]

    def body(self) -> str:
        heads = [[it.chain, it.number, it.hash] for it in self.heads]
        content = [self.number, self.time, self.previous, self.key_id, heads]
        return json.dumps(content, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """Raises ValueError for any other form than the one `body` gives."""
        try:
            number, time, previous, key, heads = json.loads(body)
            checkpoint = cls(number, time, previous, key, tuple(Head(*head) for head in heads))
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a checkpoint: {error}") from None
        if checkpoint.body() != body:
            raise ValueError("not a checkpoint: written in another form")
        return checkpoint


def genesis(chain: int, started_at: int) -> str:
    """What the first record of a chain hangs on."""
    return sha256(f"fairlead audit chain 1\n{chain}\n{started_at}\n".encode()).hexdigest()


def link(previous: str, number: int, body: str) -> str:
    """The hash of a record."""
    return sha256(f"{previous}\n{number}\n{body}".encode()).hexdigest()


def key_id(key: Ed25519PublicKey) -> str:
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def fingerprint(body: str, signature: str) -> str:
    """What the next checkpoint names as `previous`."""
    return sha256(f"{body}\n{signature}".encode()).hexdigest()


def sign(body: str, key: Ed25519PrivateKey) -> str:
    return key.sign(_CHECKPOINT_PURPOSE + body.encode()).hex()


def signed_by(body: str, signature: str, keys: Mapping[str, Ed25519PublicKey], key: str) -> bool:
    """Whether the checkpoint's signature is that of the key it names, and we trust that key."""
    public = keys.get(key)
    if public is None:
        return False
    try:
        public.verify(bytes.fromhex(signature), _CHECKPOINT_PURPOSE + body.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def keyring(keys: Iterable[Ed25519PublicKey]) -> dict[str, Ed25519PublicKey]:
    return {key_id(key): key for key in keys}
