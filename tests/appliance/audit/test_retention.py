"""What need not be kept goes, at a signed place and in bites; what is left is verified from there on."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit import retention
from appliance.audit.book import Book
from appliance.audit.retention import DAY_MICROS, Cutter, Retention
from appliance.audit.scribe import BATCH
from appliance.core.events import AuditEvent, EventType
from tests.appliance.audit.rig import KEY, Ledger, SQLiteLedger, everything, export, judge, times, write

DAY = DAY_MICROS


def days(ledger: Ledger, *numbers: int, each: int = 4, start: int = 0) -> Book:
    """One appliance over some days; each day a few records and a checkpoint at its end. It is left running."""
    book = Book(ledger.place, KEY, start)
    for number in numbers:
        events = [AuditEvent(number * DAY + it, EventType.PROXY_CLOSED, actor_id=f"d{number}") for it in range(each)]
        for at in range(0, each, BATCH):
            book.append(events[at : at + BATCH])
        book.checkpoint(number * DAY + each)
    return book


def cut(ledger: Ledger, before: int, *, bites: int | None = None, key: Ed25519PrivateKey = KEY) -> int:
    """Cuts and removes; after so many bites it is killed. How many bites it took."""
    cutter = Cutter(ledger.place, key)
    try:
        planned = cutter.plan(before)
        if planned is not None:
            cutter.cut(planned, before)
        taken = 0
        while taken != bites and cutter.bite():
            taken += 1
        return taken
    finally:
        cutter.close()


def test_old_days_go_and_the_rest_is_whole(ledger: Ledger) -> None:
    book = days(ledger, 1, 2, 3, 4)
    cut(ledger, 3 * DAY)
    assert times(everything(ledger.place)) == [4 * DAY + it for it in (3, 2, 1, 0)] + [
        3 * DAY + it for it in (3, 2, 1, 0)
    ]
    found = judge(ledger)
    assert (found.records, found.faults, found.unsigned) == (8, (), 0)
    assert found.cut is not None
    assert (found.cut.number, found.cut.first_kept(1)) == (3, 9)
    assert ledger.run("SELECT MIN(number) FROM checkpoints") == [(4,)]
    book.append([AuditEvent(5 * DAY, EventType.PROXY_CLOSED)])
    book.close()
    assert (judge(ledger).records, judge(ledger).faults) == (9, ())


def test_nothing_is_cut_that_is_not_old_or_not_signed(ledger: Ledger) -> None:
    book = days(ledger, 1, 2)
    book.append([AuditEvent(3 * DAY, EventType.PROXY_CLOSED)])
    assert cut(ledger, DAY // 2) == 1  # nothing but the checkpoint of the start is that old
    cut(ledger, 100 * DAY)
    assert times(everything(ledger.place)) == [3 * DAY]
    assert judge(ledger).faults == ()
    book.close()


def test_chains_that_ended_before_the_cut_go_whole(ledger: Ledger) -> None:
    for number in range(1, 5):
        days(ledger, number, start=number * DAY).close()
    cut(ledger, 3 * DAY)
    assert ledger.run("SELECT number FROM chains ORDER BY number") == [(3,), (4,)]
    found = judge(ledger)
    assert (found.records, found.faults) == (8, ())
    days(ledger, 9, start=9 * DAY).close()
    assert judge(ledger).faults == ()
    cut(ledger, 5 * DAY)
    assert judge(ledger).faults == ()
    assert ledger.run("SELECT number FROM chains ORDER BY number") == [(5,)]


@pytest.mark.parametrize("bites", range(9))
def test_killed_at_any_bite_what_is_left_is_whole_and_the_next_start_goes_on(
    ledger: Ledger, bites: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BITE", 3)
    days(ledger, 1, 2, start=DAY).close()
    book = days(ledger, 3, 4, 5, start=3 * DAY)
    cut(ledger, 4 * DAY, bites=bites)
    assert judge(ledger).faults == ()
    cut(ledger, 4 * DAY)
    found = judge(ledger)
    assert (found.records, found.faults) == (8, ())
    book.close()


@pytest.mark.parametrize("bites", [2, None])
@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("DELETE FROM records WHERE number = (SELECT MAX(number) - 3 FROM records)", "chain 1: record 13 removed"),
        ("DELETE FROM records WHERE number < 11", "chain 1: records 9 to 10 removed"),
        ("UPDATE records SET body = replace(body, 'd3', 'x3') WHERE number = 9", "chain 1, record 9: edited"),
        ("DELETE FROM checkpoints WHERE number < 5", "checkpoint 4 removed"),
        ("DELETE FROM chains", None),
    ],
)
def test_whoever_takes_more_than_was_cut_is_found(
    ledger: Ledger, statement: str, fault: str | None, bites: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BITE", 3)
    days(ledger, 1, 2, 3, 4)._shelf.close()
    cut(ledger, 3 * DAY, bites=bites)
    ledger.run(statement)
    faults = judge(ledger).faults
    if fault is None:
        assert bool(faults) is (bites is not None)  # begun before the cut, its beginning need not be there
    else:
        assert fault in faults


def test_a_thief_who_removes_the_oldest_records_has_no_cut_to_show(ledger: Ledger) -> None:
    days(ledger, 1, 2, 3, 4).close()
    ledger.run("DELETE FROM records WHERE number <= 8")
    ledger.run("DELETE FROM checkpoints WHERE number <= 3")
    faults = judge(ledger).faults
    assert "checkpoints 1 to 3 removed" in faults
    assert "chain 1: records 1 to 8 removed" in faults


def test_nothing_is_removed_on_a_cut_that_somebody_else_signed(ledger: Ledger) -> None:
    days(ledger, 1, 2, 3).close()
    cut(ledger, 3 * DAY, bites=0, key=Ed25519PrivateKey.generate())
    assert cut(ledger, -1) == 0
    assert len(everything(ledger.place)) == 12


def test_a_ledger_that_was_tampered_with_is_left_alone(ledger: Ledger) -> None:
    days(ledger, 1, 2, 3).close()
    ledger.run("UPDATE checkpoints SET body = '[]' WHERE number = 2")
    assert cut(ledger, 3 * DAY) == 0
    assert len(everything(ledger.place)) == 12


def test_a_checkpoint_exported_before_the_cut_is_no_fault_and_one_after_it_still_compares(ledger: Ledger) -> None:
    book = days(ledger, 1, 2)
    old = export(ledger)
    for number in (3, 4):
        book.append([AuditEvent(number * DAY, EventType.PROXY_CLOSED)])
        book.checkpoint(number * DAY + 9)
    new = export(ledger)
    cut(ledger, 3 * DAY)
    assert judge(ledger, kept=old).faults == ()
    assert judge(ledger, kept=new).faults == ()
    ledger.run("DELETE FROM checkpoints WHERE number > $1", new.number - 1)
    assert judge(ledger, kept=new).faults[-1].startswith(f"the ledger ends before checkpoint {new.number}")
    book._shelf.close()


def test_several_appliances_may_cut_at_once(ledger: Ledger) -> None:
    book = days(ledger, 1, 2, 3)
    cutters = [Cutter(ledger.place, KEY) for _ in range(2)]
    plans = [cutter.plan(2 * DAY) for cutter in cutters]
    for cutter, plan in zip(cutters, plans, strict=True):
        assert plan is not None
        cutter.cut(plan, 9 * DAY)
        cutter.bite()
    for cutter in cutters:
        while cutter.bite():
            pass
        cutter.close()
    assert judge(ledger).faults == ()
    book.close()


@pytest.mark.real_clock
async def test_a_cut_is_recorded_before_anything_goes(ledger: Ledger) -> None:
    await trio.to_thread.run_sync(lambda: days(ledger, 1, 2, 3).close())
    recorded: list[AuditEvent] = []

    async def record(event: AuditEvent) -> None:
        assert len(await trio.to_thread.run_sync(everything, ledger.place)) == 12
        recorded.append(event)

    await Retention(ledger.place, KEY, 2, record, lambda: 4 * DAY).once()
    assert [it.type for it in recorded] == [EventType.AUDIT_CUT]
    assert dict(recorded[0].details)["retention_days"] == "2"
    assert len(await trio.to_thread.run_sync(everything, ledger.place)) == 8

    await Retention(ledger.place, KEY, 2, record, lambda: 4 * DAY).once()
    assert len(recorded) == 1


@pytest.mark.real_clock
async def test_without_a_record_nothing_is_cut(ledger: Ledger) -> None:
    await trio.to_thread.run_sync(lambda: days(ledger, 1, 2, 3).close())

    async def refuse(_: AuditEvent) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await Retention(ledger.place, KEY, 2, refuse, lambda: 4 * DAY).once()
    assert len(await trio.to_thread.run_sync(everything, ledger.place)) == 12


@pytest.mark.parametrize("column", ["first", "last"])
def test_what_is_no_number_is_left_and_holds_nothing_up(tmp_path: Path, column: str) -> None:
    """SQLite keeps anything in any column."""
    ledger = SQLiteLedger(tmp_path / "audit.db")
    for start in (1, 2):
        days(ledger, start).close()
    ledger.run(f"UPDATE sheaves SET {column} = 'x' WHERE chain = 1")
    Book(ledger.place, KEY, 3 * DAY)._shelf.close()
    assert 0 < cut(ledger, 9 * DAY, bites=50) < 50
    assert ledger.run("SELECT chain, count(*) FROM sheaves GROUP BY chain") == [(1, 1)]


def test_commits_have_their_turn_while_much_is_removed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A bite is a short transaction: a record that comes meanwhile waits for one bite, not for all."""
    ledger = SQLiteLedger(tmp_path_factory.mktemp("a") / "audit.db")
    write(ledger, starts=1, records=1)
    book = days(ledger, 1, each=3_000)
    cutter = Cutter(ledger.place, KEY)
    planned = cutter.plan(2 * DAY)
    assert planned is not None
    cutter.cut(planned, 2 * DAY)
    written = 0
    while cutter.bite():
        book.append([AuditEvent(3 * DAY + written, EventType.PROXY_CLOSED)])
        written += 1
    cutter.close()
    book.close()
    assert written > 5
    assert (judge(ledger).records, judge(ledger).faults) == (written, ())
