"""Every edit, removal, insertion and exchange is found and named by someone who holds only the public key."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.book import Book
from appliance.audit.chain import Checkpoint, Head, fingerprint, genesis, key_id, link, sign
from appliance.audit.sheaf import SPAN_MICROS, Line, Sheaf, as_bound, lines
from appliance.audit.statements import SHEAF_ADD
from appliance.audit.verify import verify_chain
from tests.appliance.audit.rig import KEY, Ledger, SQLiteLedger, batch, event, export, judge, recover, write
from tests.support.tampering import sealed

COLUMNS = "body, hash"
MALLORY = "replace(body, 'alice', 'mallo')"
ACTOR = "UPDATE records SET body = replace(body, '\"p{0}\"', '\"p7\"') WHERE chain = 1 AND number = {1}"
COPY = (
    f"INSERT INTO records (chain, number, {COLUMNS}) SELECT 1, {{0}}, {COLUMNS} FROM records "
    "WHERE chain = 1 AND number = {1}"
)


def test_a_ledger_left_alone_is_sound(ledger: Ledger) -> None:
    write(ledger)
    found = judge(ledger)
    # Each start: one checkpoint when it begins, one in the middle, one at the end, and one that ends the chain.
    assert (found.records, found.checkpoints, found.last, found.unsigned, found.faults) == (12, 8, 8, 0, ())
    assert found.sound


def test_what_is_not_signed_yet_is_counted(ledger: Ledger) -> None:
    book = Book(ledger.place, KEY, 1000)
    book.append([event(1), event(2)])
    book.checkpoint(2000)
    book.append([event(3)])
    assert (judge(ledger).unsigned, judge(ledger).faults) == (1, ())
    book.close()
    assert judge(ledger).unsigned == 0


def move(ledger: Ledger, chain: int, number: int, to_chain: int, to_number: int) -> None:
    ledger.run(
        "UPDATE records SET chain = $1, number = $2 WHERE chain = $3 AND number = $4",
        to_chain,
        to_number,
        chain,
        number,
    )


def exchange_rows(ledger: Ledger, one: tuple[int, int], other: tuple[int, int]) -> None:
    move(ledger, *one, 77, 77)
    move(ledger, *other, *one)
    move(ledger, 77, 77, *other)


def exchange_bodies(ledger: Ledger, one: tuple[int, int], other: tuple[int, int]) -> None:
    """The texts change places; the hashes stay."""
    fields = [
        ledger.run(f"SELECT {COLUMNS} FROM records WHERE chain = $1 AND number = $2", *it)[0] for it in (one, other)
    ]
    for place, values in ((one, fields[1]), (other, fields[0])):
        ledger.run("UPDATE records SET body = $1 WHERE chain = $2 AND number = $3", values[0], *place)


def renumber(ledger: Ledger, chain: int, first: int, by: int) -> None:
    """Gives the records from `first` on other numbers, without hashing anew."""
    numbers = [it[0] for it in ledger.run("SELECT number FROM records WHERE chain = $1 AND number >= $2", chain, first)]
    for number in sorted(numbers, reverse=by > 0):
        move(ledger, chain, number, chain, number + by)


def insert_copy(ledger: Ledger, chain: int, number: int, of: int) -> None:
    ledger.run(
        f"INSERT INTO records (chain, number, {COLUMNS}) SELECT chain, CAST($2 AS BIGINT), {COLUMNS} FROM records "
        "WHERE chain = $1 AND number = $3",
        chain, number, of,
    )  # fmt: skip


EDITS = {
    "UPDATE records SET body = replace(body, 'alice2', 'mallo2') WHERE chain = 1 AND number = 3": (
        "chain 1, record 3: edited"
    ),
    "UPDATE sheaves SET since = 1 WHERE chain = 1 AND first = 3": "chain 1, sheaf of record 3: what it is found by",
    "UPDATE sheaves SET until = 9 WHERE chain = 1 AND first = 3": "chain 1, sheaf of record 3: what it is found by",
    "UPDATE sheaves SET last = 4 WHERE chain = 1 AND first = 3": "chain 1, sheaf of record 3: what it is found by",
    "UPDATE sheaves SET first = 9 WHERE chain = 1 AND first = 3": "chain 1, sheaf of record 3: what it is found by",
    "UPDATE records SET body = 'x' WHERE chain = 1 AND number = 3": "chain 1, record 3: edited",
    "UPDATE records SET body = replace(body, 'alice5', 'mallo5') WHERE chain = 1 AND number = 6": (
        "chain 1, record 6: edited"
    ),
    "UPDATE records SET hash = 'x' WHERE chain = 1 AND number = 3": "chain 1, record 3: edited",
    "DELETE FROM records WHERE chain = 1 AND number = 1": "chain 1: record 1 removed",
    "DELETE FROM records WHERE chain = 1 AND number = 3": "chain 1: record 3 removed",
    "DELETE FROM records WHERE chain = 1 AND number IN (3, 4)": "chain 1: records 3 to 4 removed",
    "DELETE FROM records WHERE chain = 1 AND number = 6": "chain 1: record 6 signed by checkpoint 3, but missing",
    "DELETE FROM records WHERE chain = 2 AND number > 4": "chain 2: records 5 to 6 signed by checkpoint 7, but missing",
    "DELETE FROM records WHERE chain = 1": "chain 1: records 1 to 6 signed by checkpoint 3, but missing",
    "DELETE FROM records": "chain 2: records 1 to 6 signed by checkpoint 7, but missing",
    "UPDATE records SET number = 99 WHERE chain = 1 AND number = 3": "chain 1: record 3 removed",
    "UPDATE records SET number = -3 WHERE chain = 1 AND number = 3": "chain 1, record -3: inserted",
    "UPDATE records SET chain = 9 WHERE chain = 1 AND number = 3": "chain 9: inserted; no appliance began it",
    "DELETE FROM chains WHERE number = 1": "chain 1: its beginning was removed",
    "UPDATE chains SET started_at = 7 WHERE number = 1": "chain 1: its beginning was changed",
    "INSERT INTO chains (number, started_at) VALUES (3, 7)": "chain 3: is listed, but no appliance began it",
    "DELETE FROM checkpoints WHERE number = 2": "checkpoint 2 removed",
    "DELETE FROM checkpoints WHERE number < 3": "checkpoints 1 to 2 removed",
    "UPDATE checkpoints SET number = -2 WHERE number = 2": "checkpoint -2: inserted",
    "UPDATE checkpoints SET signature = 'x' WHERE number = 2": "checkpoint 2: changed or forged",
    "UPDATE checkpoints SET body = replace(body, '2000', '2001') WHERE number = 2": "checkpoint 2: changed or forged",
    "UPDATE checkpoints SET body = '[]' WHERE number = 8": "checkpoint 8: changed or forged",
}


@pytest.mark.parametrize("statement", EDITS)
def test_every_edit_is_found_and_named(ledger: Ledger, statement: str) -> None:
    write(ledger)
    ledger.run(statement)
    faults = judge(ledger).faults
    assert any(fault.startswith(EDITS[statement]) for fault in faults), faults


def test_sheaves_may_be_bound_anew_but_not_so_that_a_search_misses_one(ledger: Ledger) -> None:
    book = Book(ledger.place, KEY, 1000)
    for time in (0, SPAN_MICROS, SPAN_MICROS + 1):
        book.append([event(time)])
    book.close()
    rows = [Sheaf(*row) for row in ledger.run("SELECT * FROM sheaves ORDER BY first")]

    def bound_anew(*together: int) -> tuple[str, ...]:
        content = as_bound([line for it in together for line in lines(rows[it].content)])
        first, last = rows[together[0]], rows[together[-1]]
        ledger.run("DELETE FROM sheaves")
        for sheaf in [*rows[: together[0]], Sheaf(1, first.first, last.last, first.since, last.until, content)]:
            ledger.run(SHEAF_ADD, *sheaf)
        return judge(ledger).faults

    assert bound_anew(1, 2) == ()
    assert bound_anew(0, 1, 2) == ("chain 1, sheaf of record 1: what it is found by says something else",)


def test_beside_a_forged_record_that_nobody_can_read_signed_ones_are_still_found(ledger: Ledger) -> None:
    book = Book(ledger.place, KEY, 1000)
    book.append([event(5)])
    book.checkpoint(2000)
    ((content,),) = ledger.run("SELECT content FROM sheaves")
    (line,) = lines(content)
    forged = Line(2, "", "", "x", "")
    forged = forged._replace(hash=link(line.hash, 2, forged.sealed))
    change = "UPDATE sheaves SET last = 2, until = $1, content = $2"
    ledger.run(change, 6, as_bound([line, forged]))
    assert judge(ledger).faults == ()  # it is not signed: nothing can tell
    ledger.run(change, 7 + SPAN_MICROS, as_bound([line, forged]))
    assert judge(ledger).faults == ("chain 1, sheaf of record 1: what it is found by says something else",)
    ledger.run("UPDATE sheaves SET until = 4, since = 4")
    assert judge(ledger).faults == ("chain 1, sheaf of record 1: what it is found by says something else",)
    book.close()


@pytest.mark.parametrize("column", ["chain", "first"])
def test_no_number_is_too_low_to_be_looked_at(ledger: Ledger, column: str) -> None:
    write(ledger)
    row = Sheaf(*ledger.run("SELECT * FROM sheaves WHERE chain = 1 AND first = 1")[0])
    lowest = -(1 << 63)
    ledger.run(SHEAF_ADD, *(row._replace(chain=lowest) if column == "chain" else row._replace(first=lowest)))
    (fault,) = judge(ledger).faults
    assert fault.endswith("inserted; no appliance numbers so low")


def test_one_edited_record_is_one_fault(ledger: Ledger) -> None:
    write(ledger, records=20)
    ledger.run(f"UPDATE records SET body = {MALLORY} WHERE chain = 1 AND number = 7")
    assert judge(ledger).faults == ("chain 1, record 7: edited",)


def test_edited_neighbours_are_named_one_by_one(ledger: Ledger) -> None:
    write(ledger, records=20)
    ledger.run(f"UPDATE records SET body = {MALLORY} WHERE chain = 1 AND number IN (7, 8, 20)")
    assert judge(ledger).faults == tuple(f"chain 1, record {number}: edited" for number in (7, 8, 20))


def test_an_inserted_record_is_named_and_nothing_else(ledger: Ledger) -> None:
    write(ledger, records=20)
    renumber(ledger, 1, 8, by=2)
    insert_copy(ledger, 1, 8, of=3)
    insert_copy(ledger, 1, 9, of=4)
    assert judge(ledger).faults == ("chain 1, record 8: inserted", "chain 1, record 9: inserted")


def test_removed_records_are_missed_though_the_rest_was_numbered_anew(ledger: Ledger) -> None:
    write(ledger, records=20)
    ledger.run("DELETE FROM records WHERE chain = 1 AND number IN (8, 9)")
    renumber(ledger, 1, 10, by=-2)
    assert judge(ledger).faults == ("chain 1, record 8: 2 taken out before it, and the rest numbered anew",)


@pytest.mark.parametrize(("one", "other"), [((1, 3), (1, 9)), ((1, 3), (1, 4)), ((1, 3), (2, 5)), ((1, 6), (2, 6))])
def test_exchanged_records_are_named(ledger: Ledger, one: tuple[int, int], other: tuple[int, int]) -> None:
    write(ledger, records=20)
    exchange_rows(ledger, one, other)
    first, second = f"chain {one[0]}, record {one[1]}", f"chain {other[0]}, record {other[1]}"
    faults = judge(ledger).faults
    assert f"{first}: moved here from {second}" in faults
    assert f"{second}: moved here from {first}" in faults
    assert not [it for it in faults if "edited" in it]


@pytest.mark.parametrize(("one", "other"), [((1, 3), (1, 9)), ((1, 3), (1, 4)), ((1, 3), (2, 5))])
def test_exchanged_texts_are_named(ledger: Ledger, one: tuple[int, int], other: tuple[int, int]) -> None:
    write(ledger, records=20)
    exchange_bodies(ledger, one, other)
    first, second = f"chain {one[0]}, record {one[1]}", f"chain {other[0]}, record {other[1]}"
    assert judge(ledger).faults == (f"{first}: holds what {second} said", f"{second}: holds what {first} said")


def rehash(ledger: Ledger) -> None:
    """What a forger without the key does after an edit: makes every number and hash anew."""
    for chain, started in ledger.run("SELECT number, started_at FROM chains"):
        head = genesis(chain, started)
        rows = ledger.run("SELECT number, body FROM records WHERE chain = $1 ORDER BY number", chain)
        for place, (number, body) in enumerate(rows, 1):
            head = link(head, place, sealed(body))
            ledger.run(
                "UPDATE records SET hash = $1, number = $2 WHERE chain = $3 AND number = $4", head, place, chain, number
            )


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (ACTOR.format(2, 3), "chain 1: records 1 to 4 rewritten: not what checkpoint 2 signed"),
        (ACTOR.format(5, 6), "chain 1: records 5 to 6 rewritten: not what checkpoint 3 signed"),
        ("DELETE FROM records WHERE chain = 1 AND number = 2", "chain 1: record 6 signed by checkpoint 3, but missing"),
        ("DELETE FROM records WHERE chain = 2 AND number = 5", "chain 2: record 6 signed by checkpoint 7, but missing"),
        (COPY.format(0, 2), "chain 1: records 1 to 4 rewritten: not what checkpoint 2 signed"),
        (COPY.format(7, 6), "chain 1: 1 inserted after its end, from record 7 on"),
    ],
)
def test_hashes_made_anew_do_not_fit_the_signatures(ledger: Ledger, statement: str, fault: str) -> None:
    write(ledger)
    ledger.run(statement)
    if "SELECT 1, 0," in statement:
        renumber(ledger, 1, 0, by=1)
    rehash(ledger)
    faults = judge(ledger).faults
    assert fault in faults
    assert not [it for it in faults if "chain 1" not in it and "chain 2" not in it]


def forge_checkpoints(ledger: Ledger, forger: Ed25519PrivateKey) -> None:
    """Signs what is there now, in the form of the checkpoints that were there."""
    previous = ""

    def now(head: Head) -> Head:
        rows = ledger.run("SELECT hash FROM records WHERE chain = $1 AND number = $2", head.chain, head.number)
        return replace(head, hash=rows[0][0]) if rows else head

    for number, body in ledger.run("SELECT number, body FROM checkpoints ORDER BY number"):
        old = Checkpoint.parse(body)
        heads, ended = tuple(map(now, old.heads)), tuple(map(now, old.ended))
        made = replace(old, previous=previous, key_id=key_id(forger.public_key()), heads=heads, ended=ended).body()
        signature = sign(made, forger)
        ledger.run("UPDATE checkpoints SET body = $1, signature = $2 WHERE number = $3", made, signature, number)
        previous = fingerprint(made, signature)


def test_checkpoints_of_another_key_are_not_believed(ledger: Ledger) -> None:
    write(ledger)
    ledger.run("UPDATE records SET body = replace(body, '@example.com', '@example.net')")
    rehash(ledger)
    forger = Ed25519PrivateKey.generate()
    forge_checkpoints(ledger, forger)
    assert verify_chain(ledger.place, [forger.public_key()]).sound
    assert "checkpoint 1: changed or forged: not signed by a key that is trusted" in judge(ledger).faults


def test_a_checkpoint_of_another_history_is_found_though_its_signature_is_good(ledger: Ledger) -> None:
    write(ledger, starts=1)
    ((body,),) = ledger.run("SELECT body FROM checkpoints WHERE number = 4")
    other = replace(Checkpoint.parse(body), previous="0" * 64).body()
    ledger.run("UPDATE checkpoints SET body = $1, signature = $2 WHERE number = 4", other, sign(other, KEY))
    assert judge(ledger).faults == ("checkpoint 4: does not follow the one before it",)


def test_a_cut_off_end_needs_a_checkpoint_kept_elsewhere(ledger: Ledger) -> None:
    write(ledger)
    kept = export(ledger)
    assert judge(ledger, kept=kept).sound
    ledger.run("DELETE FROM checkpoints WHERE number > 6")
    ledger.run("DELETE FROM records WHERE chain = 2 AND number > 4")
    assert judge(ledger).sound
    assert judge(ledger, kept=kept).faults == (
        "the ledger ends before checkpoint 8, which was exported; its end was cut",
    )


def test_a_ledger_put_back_and_written_on_is_not_the_one_that_was_exported(ledger: Ledger) -> None:
    """An older copy of the file, continued by the real appliance: every signature is good."""
    write(ledger, starts=1)
    write(ledger, starts=1)
    kept = export(ledger)
    ledger.run("DELETE FROM checkpoints WHERE number > 4")
    ledger.run("DELETE FROM records WHERE chain = 2")
    ledger.run("DELETE FROM chains WHERE number = 2")
    write(ledger, starts=1, records=7)
    assert judge(ledger).sound
    assert judge(ledger, kept=kept).faults == ("checkpoint 8: not the one that was exported",)


def test_an_edited_end_of_a_killed_start_is_never_signed(tmp_path: Path) -> None:
    ledger = SQLiteLedger(tmp_path / "a.db")
    book = Book(ledger.place, KEY, 1000)
    book.append([event(number) for number in range(5)])
    book._shelf.close()  # as if killed
    ledger.run("UPDATE records SET body = replace(body, 'alice2@', 'mallo2@') WHERE number = 3")
    Book(ledger.place, KEY, 1001).close()
    assert judge(ledger).faults == (
        "chain 1: 3 inserted after its end, from record 3 on",
        "chain 1, record 3: edited",
    )


def test_records_forged_onto_the_end_of_a_running_chain_are_not_signed(ledger: Ledger) -> None:
    """A forger without the key can hash; the appliance knows what it wrote itself."""
    book = Book(ledger.place, KEY, 1000)
    book.append([event(1), event(2)])
    insert_copy(ledger, 1, 3, of=2)
    rehash(ledger)
    with pytest.raises(Exception, match=r"(?i)unique"):
        book.append([event(3)])
    assert not recover(book, 1001, batch(book, [event(3)]))
    book.append([event(3)])
    book.checkpoint(1002)
    book.close()
    assert judge(ledger).faults == ("chain 1: 1 inserted after its end, from record 3 on",)


def test_records_forged_after_a_clean_end_are_found(ledger: Ledger) -> None:
    write(ledger, starts=1)
    insert_copy(ledger, 1, 7, of=6)
    rehash(ledger)
    Book(ledger.place, KEY, 1001).close()
    assert judge(ledger).faults == ("chain 1: 1 inserted after its end, from record 7 on",)


def test_a_forged_chain_is_not_adopted_by_the_next_start(ledger: Ledger) -> None:
    write(ledger, starts=1)
    ledger.run("INSERT INTO chains (number, started_at) VALUES (2, 1500)")
    ledger.run(
        f"INSERT INTO records (chain, number, {COLUMNS}) SELECT 2, number, {COLUMNS} FROM records WHERE chain = 1"
    )
    rehash(ledger)
    write(ledger, starts=1)
    assert judge(ledger).faults == (
        "chain 2: inserted; no appliance began it",
        "chain 2: is listed, but no appliance began it",
    )


def test_a_file_cut_in_the_middle_is_a_fault_not_a_crash(tmp_path: Path) -> None:
    ledger = SQLiteLedger(tmp_path / "a.db")
    write(ledger, records=200)
    ledger.run("PRAGMA wal_checkpoint(TRUNCATE)")
    with ledger.path.open("r+b") as file:
        file.truncate(ledger.path.stat().st_size // 2 // 4096 * 4096)
    assert not judge(ledger).sound


@pytest.mark.parametrize("value", ["'x'", "3.5", "x'00ff'"])
@pytest.mark.parametrize(
    "column",
    ["sheaves.first", "sheaves.last", "sheaves.since", "sheaves.content", "checkpoints.number", "chains.number"],
)
def test_what_is_no_number_is_a_fault_not_a_crash(tmp_path: Path, column: str, value: str) -> None:
    """SQLite keeps anything in any column."""
    ledger = SQLiteLedger(tmp_path / "a.db")
    write(ledger)
    table, name = column.split(".")
    ledger.run(f"UPDATE {table} SET {name} = {value} WHERE {'first' if table == 'sheaves' else 'number'} = 2")
    assert not judge(ledger).sound


CELLS = {
    "sheaves": Sheaf._fields,
    "checkpoints": ("number", "body", "signature"),
    "chains": ("number", "started_at"),
}
NUMBERS = {"chain", "first", "last", "since", "until", "number", "started_at"}


@pytest.mark.parametrize("table", CELLS)
def test_no_cell_can_be_changed_and_no_row_removed_or_doubled(tmp_path: Path, table: str) -> None:
    """All of them, one by one, in a ledger that was cut, continued, killed and closed."""
    original = SQLiteLedger(tmp_path / "original.db")
    write(original, starts=2, records=2)
    Book(original.place, KEY, 9000)._shelf.close()
    write(original, starts=1, records=2)
    original.run("PRAGMA wal_checkpoint(TRUNCATE)")
    assert judge(original).sound
    names = ", ".join(CELLS[table])
    rows = original.run(f"SELECT rowid FROM {table}")
    edits = [f"UPDATE {table} SET {it} = {_other(it)} WHERE rowid = $1" for it in CELLS[table]]
    copy = ", ".join("-7" if it in {"number", "first"} else it for it in CELLS[table])
    edits += [
        f"DELETE FROM {table} WHERE rowid = $1",
        f"INSERT INTO {table} ({names}) SELECT {copy} FROM {table} WHERE rowid = $1",
    ]
    last = original.run("SELECT MAX(rowid) FROM checkpoints")[0][0]
    for (row,), edit in itertools.product(rows, edits):
        if (table, row) == ("checkpoints", last) and edit.startswith("DELETE"):
            continue  # the one thing that only an exported checkpoint tells
        tampered = SQLiteLedger(tmp_path / "tampered.db")
        tampered.path.write_bytes(original.path.read_bytes())
        tampered.path.chmod(0o600)
        tampered.run(edit, row)
        assert not judge(tampered).sound, f"{edit} {row}"
        for name in tmp_path.glob("tampered.db*"):
            name.unlink()


def _other(column: str) -> str:
    return f"{column} + 1000" if column in NUMBERS else f"{column} || ' '"
