"""Is the ledger what was written? Reads all of it once and names every place where it is not.

It trusts the given public keys and nothing in the file. Found: any record changed, removed or put in at or before a
checkpoint, a searchable column that says something else than its record, a checkpoint changed, removed or forged, an
earlier chain whose end is not signed. Not found, because nothing can tell: the loss of everything after some
checkpoint, unless a later one was kept elsewhere (`at_least` says how far the ledger must reach).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.audit import statements
from appliance.audit.book import Reader
from appliance.audit.chain import Checkpoint, Head, fingerprint, genesis, keyring, link, signed_by
from appliance.audit.records import columns, parse

MAX_FAULTS = 100  # after so many the rest is no news


@dataclass(frozen=True, slots=True)
class Verdict:
    """`unsigned`: records after the last checkpoint, which no signature covers yet."""

    records: int
    checkpoints: int
    unsigned: int
    faults: tuple[str, ...]

    @property
    def sound(self) -> bool:
        return not self.faults


def verify_chain(path: Path, keys: Iterable[Ed25519PublicKey], *, at_least: int = 0) -> Verdict:
    """Checks the whole file; `at_least` is the number of a checkpoint known to exist."""
    faults: list[str] = []
    with Reader(path) as reader:
        connection = reader.connection
        connection.execute("BEGIN")
        try:
            checkpoints = _checkpoints(connection, dict(keyring(keys)), faults)
            if len(checkpoints) < at_least:
                faults.append(f"the ledger ends before checkpoint {at_least}")
            return _records(connection, checkpoints, faults)
        except sqlite3.DatabaseError as error:
            return Verdict(0, 0, 0, (*faults[:MAX_FAULTS], f"the file cannot be read: {error}"))


def _checkpoints(
    connection: sqlite3.Connection, keys: dict[str, Ed25519PublicKey], faults: list[str]
) -> list[Checkpoint]:
    sound: list[Checkpoint] = []
    previous, expected = "", 1
    for number, body, signature in connection.execute(statements.CHECKPOINTS):
        try:
            checkpoint = Checkpoint.parse(body)
        except ValueError:
            faults.append(f"checkpoint {number} is not one")
            continue
        if number != expected or checkpoint.number != number:
            faults.append(f"checkpoint {expected} is missing")
        elif checkpoint.previous != previous:
            faults.append(f"checkpoint {number} does not follow the one before it")
        if not signed_by(body, signature, keys, checkpoint.key_id):
            faults.append(f"checkpoint {number} is not signed by a key that is trusted")
        else:
            sound.append(checkpoint)
        previous, expected = fingerprint(body, signature), number + 1
    return sound


def _records(connection: sqlite3.Connection, checkpoints: list[Checkpoint], faults: list[str]) -> Verdict:
    started = {int(number): int(at) for number, at in connection.execute(statements.CHAINS)}
    if list(started) != list(range(1, len(started) + 1)):
        faults.append("the chains are not numbered 1, 2, 3, ...")
    claims = {(head.chain, head.number): head.hash for it in checkpoints for head in it.heads}
    signed = {chain: max((n for c, n in claims if c == chain), default=0) for chain in {c for c, _ in claims}}
    heads = {chain: Head(chain, 0, genesis(chain, at)) for chain, at in started.items()}
    records = 0
    for row in connection.execute(statements.RECORDS):
        if len(faults) >= MAX_FAULTS:
            break
        records += 1
        chain = row[0]
        if chain not in heads:
            faults.append(f"record {row[1]} belongs to chain {chain}, which does not exist")
            heads[chain] = Head(chain, 0, "")
        heads[chain] = _record(row, heads[chain], faults)
        claim = claims.pop((chain, row[1]), None)
        if claim is not None and claim != row[8]:
            faults.append(f"chain {chain}, record {row[1]}: not the one that was signed")
    faults.extend(f"chain {chain}, record {number}: signed, but missing" for chain, number in sorted(claims) if number)
    last = max(started, default=0)
    unsigned = 0
    for chain, head in heads.items():
        beyond = head.number - signed.get(chain, 0)
        if chain == last:
            unsigned = max(0, beyond)
        elif beyond > 0:
            faults.append(f"chain {chain}: {beyond} records at its end were never signed")
    return Verdict(records, len(checkpoints), unsigned, tuple(faults[:MAX_FAULTS]))


def _record(row: tuple[object, ...], head: Head, faults: list[str]) -> Head:
    """Checks one record against the one before it; the next is checked against what this one claims to be."""
    chain, number, *shown, body, found = row
    where = f"chain {chain}, record {number}"
    if not isinstance(body, str) or not isinstance(found, str) or not isinstance(number, int):
        faults.append(f"{where}: not a record")
        return Head(head.chain, head.number + 1, "")
    if number != head.number + 1:
        faults.append(f"chain {chain}: record {head.number + 1} is missing")
    if link(head.hash, number, body) != found:
        faults.append(f"{where}: changed, or what stood before it was")
    try:
        if columns(parse(body)) != tuple(shown):
            faults.append(f"{where}: its searchable fields say something else than the record")
    except ValueError:
        faults.append(f"{where}: not a record")
    return Head(head.chain, number, found)
