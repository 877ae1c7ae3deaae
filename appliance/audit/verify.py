"""Finds whether anyone without the signing key has edited, removed or put in a record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.audit.book import Reader, copies
from appliance.audit.chain import GENESIS, link, parse, signed_by

MAX_FAULTS: Final = 100
"""Reported at most; one edit makes many."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification saw. No faults: the chains are as they were written."""

    records: int
    chains: int
    checkpoints: int
    unsigned_tail: int  # records that no checkpoint covers yet
    faults: tuple[str, ...]


def verify(path: Path, key: Ed25519PublicKey) -> Report:
    """Read the whole book. Constant memory but for one hash per checkpointed head."""
    reader = Reader(path)
    try:
        return _verify(reader, key)
    finally:
        reader.close()


def _verify(reader: Reader, key: Ed25519PublicKey) -> Report:
    faults: list[str] = []
    wanted: dict[tuple[str, int], bytes] = {}
    covered: dict[str, int] = {}
    checkpoints = 0
    for checkpoint in reader.checkpoints():
        checkpoints += 1
        if not signed_by(key, checkpoint):
            faults.append(f"checkpoint {checkpoints} was not signed by this appliance")
            continue
        for chain, seq, digest in checkpoint.heads:
            if wanted.setdefault((chain, seq), digest) != digest:
                faults.append(f"chain {chain}: two checkpoints name record {seq} differently")
            covered[chain] = max(covered.get(chain, 0), seq)
    last: dict[str, int] = {}
    records = tail = 0
    chain_now, expected, head = "", 0, GENESIS
    for chain, seq, digest, text, beside in reader.rows():
        if chain != chain_now:
            chain_now, expected, head = chain, 0, GENESIS
        expected += 1
        if seq != expected:
            faults.append(f"chain {chain}: record {expected} is missing")
            expected = seq
        if link(head, chain, seq, text) != digest:
            faults.append(f"chain {chain}: record {seq} does not follow the one before it, or was edited")
        elif copies(parse(text)) != beside:
            faults.append(f"chain {chain}: the columns of record {seq} differ from its text")
        signed = wanted.pop((chain, seq), None)
        if signed is not None and signed != digest:
            faults.append(f"chain {chain}: record {seq} is not the one that was signed")
        head = digest
        last[chain] = seq
        records += 1
        tail += seq > covered.get(chain, 0)
    faults += [f"chain {chain}: record {seq}, which a checkpoint names, is missing" for chain, seq in sorted(wanted)]
    return Report(records, len(last), checkpoints, tail, tuple(faults[:MAX_FAULTS]))
