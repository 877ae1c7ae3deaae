"""How records hang together: each hash covers the record and the hash before it; checkpoints sign where chains stand.

One chain per start of an appliance; several appliances on one database each write their own. The checkpoints are one
chain over all of them: each names the one before it and says where every open chain stands, which chains have ended,
and from where on records must still be there (the cut). So the last checkpoint describes the whole ledger. What holds:
nobody without the signing key can change, remove or insert a record at or before a checkpoint and stay unseen. What
does not: records after the last checkpoint that anyone has kept a copy of can be cut off without a trace. Pure: bytes
in, bytes out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
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
class Cut:
    """What retention may have removed: whatever checkpoint `number` and those before it signed.

    `time`, `chains` and `heads` repeat what that checkpoint said, because it is removed, too.
    """

    number: int
    fingerprint: str
    time: int
    chains: int
    heads: tuple[Head, ...]

    def first_kept(self, chain: int) -> int:
        """The number of the first record of a chain that must still be there; 0: none of it need be."""
        if chain > self.chains:
            return 1
        return next((head.number + 1 for head in self.heads if head.chain == chain), 0)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`heads`: every open chain. `ended`: chains that end here, for good. `chains`: the highest number given so far."""

    number: int
    time: int
    previous: str  # SHA-256 (hex) of the checkpoint before; empty for the first
    key_id: str
    heads: tuple[Head, ...]
    ended: tuple[Head, ...] = ()
    chains: int = 0
    cut: Cut | None = None

    def body(self) -> str:
        cut = self.cut
        content = [
            self.number,
            self.time,
            self.previous,
            self.key_id,
            _plain(self.heads),
            _plain(self.ended),
            self.chains,
            None if cut is None else [cut.number, cut.fingerprint, cut.time, cut.chains, _plain(cut.heads)],
        ]
        return json.dumps(content, ensure_ascii=True, separators=(",", ":"))

    @classmethod
    def parse(cls, body: str) -> Checkpoint:
        """Raises ValueError for any other form than the one `body` gives."""
        try:
            number, time, previous, key, heads, ended, chains, cut = json.loads(body)
            if cut is not None:
                at, mark, cut_time, cut_chains, cut_heads = cut
                cut = Cut(at, mark, cut_time, cut_chains, _heads(cut_heads))
            checkpoint = cls(number, time, previous, key, _heads(heads), _heads(ended), chains, cut)
            if checkpoint.body() != body or not checkpoint.typed():
                raise ValueError("written in another form")
        except (TypeError, ValueError, IndexError, RecursionError) as error:
            raise ValueError(f"not a checkpoint: {error}") from None
        return checkpoint

    def typed(self) -> bool:
        """Whether numbers are numbers and texts are texts: JSON alone does not say."""
        cut = self.cut
        heads = (*self.heads, *self.ended, *(cut.heads if cut else ()))
        whole = [self.number, self.time, self.chains, *(it for head in heads for it in (head.chain, head.number))]
        texts = [self.previous, self.key_id, *(head.hash for head in heads)]
        if cut is not None:
            whole += [cut.number, cut.time, cut.chains]
            texts.append(cut.fingerprint)
        return all(type(it) is int for it in whole) and all(type(it) is str for it in texts)

    def follow(
        self,
        mark: str,
        time: int,
        key: str,
        moved: Sequence[Head],
        ended: Sequence[Head],
        cut: Cut | None = None,
    ) -> Checkpoint:
        """The next checkpoint: what this one says, with chains further on, new or ended. `mark`: our fingerprint."""
        heads = {head.chain: head for head in (*self.heads, *moved)}
        for head in ended:
            heads.pop(head.chain, None)
        chains = max([self.chains, *(head.chain for head in moved)])
        return Checkpoint(
            self.number + 1, time, mark, key, tuple(heads.values()), tuple(ended), chains, cut or self.cut
        )


NOTHING = Checkpoint(0, 0, "", "", ())  # what the first checkpoint follows


def genesis(chain: int, started_at: int) -> str:
    """What the first record of a chain hangs on."""
    return sha256(f"fairlead audit chain 1\n{chain}\n{started_at}\n".encode()).hexdigest()


def digest(run: str) -> str:
    """What stands for a run of fields that records share."""
    return sha256(run.encode()).hexdigest()


def sealed(head: str, tail: str, own: str) -> str:
    """What the hash of a record covers; its head and its tail by their digests."""
    return f"{head} {tail} {own}"


def link(previous: str, number: int, record: str) -> str:
    """The hash of a record, given what is sealed of it."""
    return sha256(f"{previous}\n{number}\n{record}".encode()).hexdigest()


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
        raw = bytes.fromhex(signature)
        if raw.hex() != signature:
            return False  # written in another form: whatever follows names the form that was written
        public.verify(raw, _CHECKPOINT_PURPOSE + body.encode())
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def keyring(keys: Iterable[Ed25519PublicKey]) -> dict[str, Ed25519PublicKey]:
    return {key_id(key): key for key in keys}


def _plain(heads: tuple[Head, ...]) -> list[list[object]]:
    return [[it.chain, it.number, it.hash] for it in heads]


def _heads(content: Sequence[Sequence[object]]) -> tuple[Head, ...]:
    return tuple(Head(*head) for head in content)  # type: ignore[arg-type]  # `typed` looks at what they are
