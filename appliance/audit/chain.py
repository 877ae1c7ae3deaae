"""The chain of records and what signs it. Pure.

Each start of the appliance begins a chain; each record's hash covers the one before it, so no record can be changed,
removed or put in between without every later hash being wrong. Someone who can write the file can compute hashes too:
so a checkpoint, signed with a key that is not in the file, names the head of every chain. What was cut off after the
last checkpoint cannot be found out from the file alone; export checkpoints to have it found out.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.core.events import NAMES, AuditEvent, EventType

GENESIS: Final = b"\0" * 32
"""Stands before the first record of a chain."""

_DOMAIN: Final = b"fairlead audit checkpoint 1\n"

_FIELDS: Final = AuditEvent._fields
_EMPTY: Final = tuple(AuditEvent._field_defaults.get(name) for name in _FIELDS)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement: at `time`, these were the heads. heads: (chain, seq, hash), sorted by chain."""

    time: int
    heads: tuple[tuple[str, int, bytes], ...]
    signature: bytes


def render(event: AuditEvent) -> str:
    """Return the one text form of a record: JSON, empty fields left out, in the order of the fields."""
    fields: dict[str, Any] = {"event": NAMES[event.type]}
    fields |= {name: value for name, value, empty in zip(_FIELDS, event, _EMPTY, strict=True) if value != empty}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def parse(text: str) -> AuditEvent:
    """Return the record that `render` made this text of."""
    fields = json.loads(text)
    del fields["event"]
    fields["type"] = EventType(fields["type"])
    for name in ("binding_ids", "groups", "command"):
        if name in fields:
            fields[name] = tuple(fields[name])
    if "details" in fields:
        fields["details"] = tuple((key, value) for key, value in fields["details"])
    return AuditEvent(**fields)


def link(previous: bytes, chain: str, seq: int, text: str) -> bytes:
    """Return the hash of a record: SHA-256 over the hash before it, its place, and its text."""
    return hashlib.sha256(b"%b%b\n%d\n%b" % (previous, chain.encode(), seq, text.encode())).digest()


def sign(key: Ed25519PrivateKey, time: int, heads: tuple[tuple[str, int, bytes], ...]) -> Checkpoint:
    """Return a checkpoint over these heads."""
    ordered = tuple(sorted(heads))
    return Checkpoint(time, ordered, key.sign(_statement(time, ordered)))


def signed_by(key: Ed25519PublicKey, checkpoint: Checkpoint) -> bool:
    """Tell whether this key made the checkpoint."""
    try:
        key.verify(checkpoint.signature, _statement(checkpoint.time, checkpoint.heads))
    except InvalidSignature:
        return False
    return True


def _statement(time: int, heads: tuple[tuple[str, int, bytes], ...]) -> bytes:
    lines = [f"{chain} {seq} {head.hex()}\n" for chain, seq, head in heads]
    return _DOMAIN + f"{time}\n".encode() + "".join(lines).encode()


def heads_text(heads: tuple[tuple[str, int, bytes], ...]) -> str:
    """Return heads as they are stored."""
    return json.dumps([[chain, seq, head.hex()] for chain, seq, head in heads], separators=(",", ":"))


def heads_of(text: str) -> tuple[tuple[str, int, bytes], ...]:
    """Return heads from what `heads_text` made."""
    return tuple((chain, seq, bytes.fromhex(head)) for chain, seq, head in json.loads(text))
