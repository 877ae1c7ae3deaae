"""Every edit, removal and insertion in the audit file is found by someone who holds only the public key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.book import Book
from appliance.audit.chain import Checkpoint, fingerprint, genesis, key_id, link, sign
from appliance.audit.verify import Verdict, verify_chain
from appliance.core.events import AuditEvent, EventType

KEY = Ed25519PrivateKey.generate()


def ledger(path: Path, *, starts: int = 2, records: int = 6) -> None:
    """Starts, each with a chain, a checkpoint after half of its records and one at its end."""
    for start in range(starts):
        book = Book(path, KEY, 1000 + start)
        for number in range(records):
            event = AuditEvent(number, EventType.PROXY_CLOSED, actor_id=f"p{number}", actor="alice@example.com")
            book.append([event])
            if number == records // 2:
                book.checkpoint(2000)
        book.checkpoint(3000)
        book.close()


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def verdict(path: Path) -> Verdict:
    return verify_chain(path, [KEY.public_key()])


def test_a_ledger_left_alone_is_sound(tmp_path: Path) -> None:
    ledger(tmp_path / "a.db")
    found = verdict(tmp_path / "a.db")
    assert found == Verdict(12, 4, 0, ())
    assert found.sound


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = replace(body, 'alice', 'mallo') WHERE chain = 1 AND number = 3",
        "UPDATE records SET actor_id = 'mallory' WHERE chain = 1 AND number = 3",
        "UPDATE records SET type = 'CPR002W' WHERE chain = 1 AND number = 3",
        "UPDATE records SET recorded_at = 5 WHERE chain = 1 AND number = 1",
        "UPDATE records SET body = 'x' WHERE chain = 1 AND number = 3",
        "UPDATE records SET body = 7 WHERE chain = 1 AND number = 3",
        "UPDATE records SET hash = 'x' WHERE chain = 1 AND number = 3",
        "UPDATE records SET number = 99 WHERE chain = 1 AND number = 3",
        "DELETE FROM records WHERE chain = 1 AND number = 1",
        "DELETE FROM records WHERE chain = 1 AND number = 3",
        "DELETE FROM records WHERE chain = 1 AND number = 6",
        "DELETE FROM records WHERE chain = 2 AND number = 6",
        "DELETE FROM records WHERE chain = 1",
        "DELETE FROM records",
        "DELETE FROM chains WHERE number = 1",
        "UPDATE chains SET started_at = 7 WHERE number = 1",
        "DELETE FROM checkpoints WHERE number = 2",
        "DELETE FROM checkpoints",
        "UPDATE checkpoints SET signature = replace(signature, '0', '1')",
        "UPDATE checkpoints SET body = replace(body, '2000', '2001')",
        (
            "INSERT INTO records SELECT 1, 7, recorded_at, type, actor_id, cluster_id, correlation_id, body, hash "
            "FROM records WHERE chain = 1 AND number = 6"
        ),
        (
            "INSERT INTO records SELECT 3, number, recorded_at, type, actor_id, cluster_id, correlation_id, body, hash "
            "FROM records WHERE chain = 1"
        ),
    ],
)
def test_every_edit_is_found(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "a.db"
    ledger(path)
    edit(path, statement)
    assert not verdict(path).sound


def rehash(path: Path) -> None:
    """What a forger without the key does after an edit: makes every hash anew."""
    with closing(sqlite3.connect(path)) as connection:
        for chain, started in connection.execute("SELECT number, started_at FROM chains").fetchall():
            head = genesis(chain, started)
            rows = connection.execute("SELECT number, body FROM records WHERE chain = ? ORDER BY number", (chain,))
            for place, (number, body) in enumerate(rows.fetchall(), 1):
                head = link(head, place, body)
                connection.execute(
                    "UPDATE records SET hash = ?, number = ? WHERE chain = ? AND number = ?",
                    (head, place, chain, number),
                )
        connection.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET body = replace(body, 'alice', 'mallo') WHERE chain = 1 AND number = 3",
        "DELETE FROM records WHERE chain = 1 AND number = 2",
        "DELETE FROM records WHERE chain = 2 AND number = 5",
    ],
)
def test_hashes_made_anew_do_not_fit_the_signatures(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "a.db"
    ledger(path)
    edit(path, statement)
    rehash(path)
    assert any("signed" in fault for fault in verdict(path).faults)


def test_checkpoints_of_another_key_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    ledger(path, starts=1)
    edit(path, "UPDATE records SET body = replace(body, 'alice', 'mallo')")
    rehash(path)
    forger = Ed25519PrivateKey.generate()
    with closing(sqlite3.connect(path)) as connection:
        previous = ""
        for number, body in connection.execute("SELECT number, body FROM checkpoints ORDER BY number").fetchall():
            old = Checkpoint.parse(body)
            heads = tuple(
                type(head)(
                    head.chain,
                    head.number,
                    connection.execute(
                        "SELECT hash FROM records WHERE chain = ? AND number = ?", (head.chain, head.number)
                    ).fetchone()[0],
                )
                for head in old.heads
            )
            forged = Checkpoint(number, old.time, previous, key_id(forger.public_key()), heads).body()
            signature = sign(forged, forger)
            connection.execute(
                "UPDATE checkpoints SET body = ?, signature = ? WHERE number = ?", (forged, signature, number)
            )
            previous = fingerprint(forged, signature)
        connection.commit()
    assert not verdict(path).sound
    assert verify_chain(path, [forger.public_key()]).sound


def test_a_checkpoint_of_another_history_is_found_though_its_signature_is_good(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    ledger(path, starts=1)
    with closing(sqlite3.connect(path)) as connection:
        (body,) = connection.execute("SELECT body FROM checkpoints WHERE number = 2").fetchone()
        other = replace(Checkpoint.parse(body), previous="0" * 64).body()
        values = (other, sign(other, KEY))
        connection.execute("UPDATE checkpoints SET body = ?, signature = ? WHERE number = 2", values)
        connection.commit()
    assert verdict(path).faults == ("checkpoint 2 does not follow the one before it",)


def test_a_cut_after_the_last_checkpoint_needs_a_copy_of_a_later_one(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    ledger(path)
    edit(path, "DELETE FROM checkpoints WHERE number = 4", "DELETE FROM records WHERE chain = 2 AND number > 4")
    assert verdict(path).sound
    assert verify_chain(path, [KEY.public_key()], at_least=4).faults == ("the ledger ends before checkpoint 4",)


def test_an_edited_end_of_a_killed_start_is_never_signed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    book = Book(path, KEY, 1000)
    book.append([AuditEvent(number, EventType.PROXY_CLOSED, actor="alice@example.com") for number in range(5)])
    book.close()
    edit(path, "UPDATE records SET body = replace(body, 'alice', 'mallo') WHERE number = 3")
    Book(path, KEY, 1001).close()
    found = verdict(path)
    assert "chain 1, record 3: changed, or what stood before it was" in found.faults
    assert found.checkpoints == 0


def test_a_file_cut_in_the_middle_is_a_fault_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    ledger(path, records=200)
    edit(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // 4096 * 4096)
    assert not verdict(path).sound
