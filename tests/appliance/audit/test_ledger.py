"""The audit ledger on a real file: kept in groups, refused when it cannot keep, whole after a kill."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit import ledger as ledger_module
from appliance.audit import scribe as scribe_module
from appliance.audit.binder import BIND_AT
from appliance.audit.ledger import AuditUnavailable, Ledger
from appliance.audit.shelf import AuditRefused
from appliance.audit.verify import verify_chain
from appliance.core.events import AuditEvent, EventType
from tests.appliance.audit.rig import everything

pytestmark = pytest.mark.real_clock

KEY = Ed25519PrivateKey.generate()


def event(number: int = 1, **fields: object) -> AuditEvent:
    return AuditEvent(number, EventType.PROXY_CLOSED, actor="alice@example.com", **fields)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(path, KEY, lambda: 7)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.aclose()


def kept(path: Path) -> list[AuditEvent]:
    return everything(path)


async def test_what_was_acknowledged_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        await ledger.record(event(100, status=201))
        assert kept(path)[0].status == 201
        await ledger.reserve()
        ledger.close(event(101, status=200))
    assert [it.type for it in kept(path)] == [
        EventType.PROXY_CLOSED,
        EventType.PROXY_CLOSED,
        EventType.APPLIANCE_STOPPED,
        EventType.APPLIANCE_STARTED,
    ]
    assert path.stat().st_mode & 0o777 == 0o600
    verdict = verify_chain(path, [KEY.public_key()])
    assert (verdict.faults, verdict.records, verdict.unsigned) == ((), 4, 0)


async def test_many_waiting_at_once_share_commits_and_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        async with trio.open_nursery() as nursery:
            for number in range(100, 160):
                nursery.start_soon(ledger.record, event(number))
        for number in range(1000, 3000):
            assert ledger.try_reserve()
            ledger.close(event(number))
    times = [it.time for it in kept(path) if it.time >= 1000]
    assert times == list(range(2999, 999, -1))
    assert verify_chain(path, [KEY.public_key()]).records == 60 + 2000 + 2


async def test_a_second_appliance_may_not_write_to_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with opened(path):
        with pytest.raises(AuditRefused, match="Another appliance"):
            await Ledger(path, KEY, lambda: 7).start()
    async with opened(path):
        pass


async def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    path.touch(mode=0o644)
    path.chmod(0o644)
    with pytest.raises(Exception, match="chmod 600"):
        await Ledger(path, KEY, lambda: 7).start()


async def test_without_a_disk_requests_are_refused_and_nothing_handed_over_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(scribe_module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr("appliance.audit.sqlite.BUSY_SECONDS", 0.05)
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        assert ledger.try_reserve()
        with closing(sqlite3.connect(path, isolation_level=None)) as locker:
            locker.execute("BEGIN EXCLUSIVE")  # nobody else can write, as with a full disk
            ledger.close(event(50))
            with pytest.raises(AuditUnavailable):
                await ledger.record(event(51))
            assert ledger.fault()
            assert not ledger.try_reserve()
            with pytest.raises(AuditUnavailable, match="locked"):
                await ledger.reserve()
            locker.execute("ROLLBACK")
        with trio.fail_after(20):
            while not ledger.available:
                await trio.lowlevel.checkpoint()
        await ledger.record(event(52))
    assert {50, 52} <= {it.time for it in kept(path)}
    assert verify_chain(path, [KEY.public_key()]).faults == ()


async def test_a_full_disk_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite's own "disk is full", in the middle of a batch; room appears when the file is opened again."""
    monkeypatch.setattr(scribe_module, "RETRY_SECONDS", 0.02)
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        ledger._scribe._book._shelf.rows("PRAGMA max_page_count = 12")
        for number in range(1000, 1400):
            assert ledger.try_reserve()
            ledger.close(event(number, path="/" + "x" * 1000))
        await ledger.record(event(2000))
    assert [
        it.getMessage().rpartition(": ")[2].partition(";")[0] for it in caplog.records if it.levelname == "ERROR"
    ] == ["database or disk is full"]
    assert {it.time for it in kept(path)} >= {*range(1000, 1400), 2000}
    assert verify_chain(path, [KEY.public_key()]).faults == ()


async def test_a_file_deleted_under_us_is_noticed_and_a_new_chain_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scribe_module, "RETRY_SECONDS", 0.02)
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        await ledger.record(event(50))
        for name in ("audit.db", "audit.db-wal", "audit.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        await ledger.record(event(51))
        await ledger.record(event(52))
    assert [it.time for it in kept(path)] == [52, 51, 7]


async def test_what_waits_when_a_new_chain_is_begun_follows_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was bound to records that are gone."""
    monkeypatch.setattr(scribe_module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(scribe_module, "BATCH", BIND_AT)
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        await ledger.record(event(50))
        for name in ("audit.db", "audit.db-wal", "audit.db-shm"):
            (tmp_path / name).unlink(missing_ok=True)
        for number in range(1000, 1000 + 5 * BIND_AT):
            assert ledger.try_reserve()
            ledger.close(event(number))
        await ledger.record(event(2000))
    failures = [it.getMessage() for it in caplog.records if "cannot be written" in it.getMessage()]
    assert len(failures) == 1, "only the first batch finds out"
    assert [it.time for it in kept(path)] == [2000, *range(1000 + 5 * BIND_AT - 1, 999, -1), 7]
    assert not [it for it in verify_chain(path, [KEY.public_key()]).faults if "chain 2" in it]


async def test_a_thread_that_ends_ends_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ended it: nothing is allowed any more that nobody would write down."""
    monkeypatch.setattr(ledger_module, "WAIT_SECONDS", 0.2)
    async with opened(tmp_path / "audit.db") as ledger:
        monkeypatch.setattr(scribe_module, "BATCH", None)
        ledger.close(event(50))
        with trio.fail_after(60):
            while ledger.available:
                await trio.lowlevel.checkpoint()
        assert not ledger.try_reserve()
        with pytest.raises(AuditUnavailable):
            await ledger.record(event(51))


async def test_slots_run_out_instead_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_SLOTS", 2)
    monkeypatch.setattr(ledger_module, "MAX_WAITING_FOR_DENIALS", 0)
    monkeypatch.setattr(ledger_module, "WAIT_SECONDS", 0.2)
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        assert ledger.try_reserve()
        ledger.deny(event(30))  # too much waits: a denial is logged instead
        assert ledger.try_reserve()
        with pytest.raises(AuditUnavailable, match="too many"):
            await ledger.reserve()
        ledger.release()
        await ledger.reserve()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.reserve)
            ledger.close(event(31))  # its commit frees the slot that the other waits for
        ledger.release()
        ledger.release()
    assert [it.time for it in kept(path) if it.time >= 30] == [31]


async def test_a_cancelled_record_leaves_no_slot_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_SLOTS", 1)
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        for number in range(20):
            with trio.move_on_after(0.0005 * (number % 3)):
                await ledger.record(event(number))
        await ledger.record(event(99))
        await ledger.record(event(100))
    assert verify_chain(path, [KEY.public_key()]).faults == ()


async def test_a_record_given_up_before_its_turn_is_not_written_and_frees_its_slot(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        with closing(sqlite3.connect(path, isolation_level=None)) as locker:
            locker.execute("BEGIN EXCLUSIVE")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ledger.record, event(50))
                while ledger._scribe.busy_since is None:
                    await trio.lowlevel.checkpoint()
                with trio.move_on_after(0.02):
                    await ledger.record(event(51))
                locker.execute("ROLLBACK")
        await ledger.record(event(52))
        assert ledger._taken == ledger._scribe.settled
    assert [it.time for it in kept(path) if it.time >= 50] == [52, 50]


async def test_the_second_of_two_denied_tries_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        denied = AuditEvent(0, EventType.PROXY_DENIED, actor_id="p", cluster_id="c", resource="pods", name="web")
        ledger.deny(denied._replace(time=1_000_000, correlation_id="first"))
        ledger.deny(denied._replace(time=2_000_000, correlation_id="second"))
        ledger.deny(denied._replace(time=2_000_001, correlation_id="other", name="db"))
        ledger.deny(denied._replace(time=3_000_000, correlation_id="third"))
        ledger.deny(denied._replace(time=9_000_000, correlation_id="late"))
    assert {it.correlation_id: it.retry_of for it in kept(path) if it.type is EventType.PROXY_DENIED} == {
        "first": "",
        "second": "first",
        "other": "",
        "third": "",
        "late": "",
    }


async def test_discovery_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        for _ in range(24):
            ledger.count("p", "alice@example.com", "c", "prod")
    assert [it.counted for it in kept(path) if it.type is EventType.PROXY_DISCOVERY] == [24]


async def test_listeners_hear_each_record_once_and_one_that_fails_hurts_nobody(tmp_path: Path) -> None:
    heard: list[AuditEvent] = []

    def broken(_: Sequence[AuditEvent]) -> None:
        raise RuntimeError("no terminal")

    async with opened(tmp_path / "audit.db") as ledger:
        ledger.subscribe(broken)
        ledger.subscribe(heard.extend)
        for number in range(1000, 1100):
            assert ledger.try_reserve()
            ledger.close(event(number))
        await ledger.record(event(3))
        assert sorted(it.time for it in heard if it.time != 7) == [3, *range(1000, 1100)]
