"""The audit ledger on a real file: kept, chained, signed, refused when it cannot keep, and found out when edited."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit import ledger as ledger_module
from appliance.audit.book import Reader
from appliance.audit.chain import parse, render
from appliance.audit.ledger import AuditUnavailable, Ledger
from appliance.audit.verify import verify
from appliance.core.events import AuditEvent, EventType

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
    reader = Reader(path)
    try:
        return reader.recent({}, since=0, until=2**62, limit=10_000)
    finally:
        reader.close()


def test_a_record_reads_back_as_it_was_written() -> None:
    full = event(
        5,
        binding_ids=("b1", "b2"),
        groups=("viewers",),
        command=("sh", "-c", "é"),
        details=(("name", "x"),),
        status=200,
    )
    assert parse(render(full)) == full


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
    report = verify(path, KEY.public_key())
    assert report.faults == ()
    assert (report.records, report.chains, report.unsigned_tail) == (4, 1, 0)


async def test_each_start_is_a_chain_and_all_heads_are_signed(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    for _ in range(3):
        async with opened(path) as ledger:
            await ledger.record(event())
    report = verify(path, KEY.public_key())
    assert (report.faults, report.chains, report.records) == ((), 3, 9)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE records SET text = replace(text, 'alice', 'mallo') WHERE seq = 3",
        "UPDATE records SET actor = 'mallory' WHERE seq = 3",
        "DELETE FROM records WHERE seq = 3",
        "DELETE FROM records WHERE seq >= 4",
        "DELETE FROM records",
        "UPDATE records SET seq = 99 WHERE seq = 3",
        "UPDATE records SET hash = zeroblob(32) WHERE seq = 5",
        "UPDATE checkpoints SET time = time + 1",
        (
            "INSERT INTO records SELECT chain, 77, hash, text, time, type, actor_id, actor, cluster_id, namespace, "
            "verb, resource, name, status, correlation_id, credential_id FROM records WHERE seq = 2"
        ),
    ],
)
async def test_every_edit_is_found(tmp_path: Path, edit: str) -> None:
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        for number in range(5):
            await ledger.record(event(number))
    assert verify(path, KEY.public_key()).faults == ()
    with sqlite3.connect(path) as connection:
        connection.execute(edit)
    connection.close()
    assert verify(path, KEY.public_key()).faults


async def test_an_edit_with_the_hashes_made_anew_is_found_by_the_signature(tmp_path: Path) -> None:
    from appliance.audit.chain import GENESIS, link

    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        for number in range(5):
            await ledger.record(event(number))
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT chain, seq, text FROM records ORDER BY seq").fetchall()
    head = GENESIS
    for chain, seq, text in rows:
        forged = text.replace("alice@", "malla@")
        head = link(head, chain, seq, forged)
        connection.execute("UPDATE records SET text = ?, hash = ? WHERE seq = ?", (forged, head, seq))
    connection.execute("UPDATE records SET actor = replace(actor, 'alice@', 'malla@')")
    connection.commit()
    connection.close()
    assert any("signed" in fault for fault in verify(path, KEY.public_key()).faults)


async def test_without_a_disk_requests_are_refused_and_nothing_handed_over_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(ledger_module, "RETRY_SECONDS", 0.05)
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        assert ledger.try_reserve()
        locker = sqlite3.connect(path, isolation_level=None)
        locker.execute("PRAGMA max_page_count = 1")
        locker.execute("BEGIN EXCLUSIVE")  # nobody else can write, as with a full disk
        ledger.close(event(50))
        with pytest.raises(AuditUnavailable):
            await ledger.record(event(51))
        stalled = ledger.available
        assert not stalled
        with pytest.raises(AuditUnavailable):
            await ledger.reserve()
        locker.execute("ROLLBACK")
        locker.close()
        with trio.fail_after(20):
            while not ledger.available:
                await trio.lowlevel.checkpoint()
        await ledger.record(event(52))
    times = {it.time for it in kept(path)}
    assert {50, 52} <= times
    assert verify(path, KEY.public_key()).faults == ()


async def test_slots_run_out_instead_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "SLOTS", 2)
    monkeypatch.setattr(ledger_module, "STALL_SECONDS", 0.05)
    async with opened(tmp_path / "audit.db") as ledger:
        assert ledger.try_reserve()
        assert ledger.try_reserve()
        with pytest.raises(AuditUnavailable):
            await ledger.reserve()
        ledger.release()
        await ledger.reserve()
        ledger.release()
        ledger.release()


async def test_the_second_of_two_denied_tries_names_the_first(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        denied = AuditEvent(0, EventType.PROXY_DENIED, actor_id="p", cluster_id="c", resource="pods", name="web")
        ledger.deny(denied._replace(time=1_000_000, correlation_id="first"))
        ledger.deny(denied._replace(time=2_000_000, correlation_id="second"))
        ledger.deny(denied._replace(time=9_000_000, correlation_id="third"))
    assert {it.correlation_id: it.retry_of for it in kept(path) if it.type is EventType.PROXY_DENIED} == {
        "first": "",
        "second": "first",
        "third": "",
    }


async def test_discovery_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    async with opened(path) as ledger:
        for _ in range(24):
            ledger.count("p", "alice@example.com", "c", "prod")
    assert [it.counted for it in kept(path) if it.type is EventType.PROXY_DISCOVERY] == [24]


async def test_listeners_hear_what_is_on_disk(tmp_path: Path) -> None:
    heard: list[AuditEvent] = []
    async with opened(tmp_path / "audit.db") as ledger:
        ledger.subscribe(heard.append)
        await ledger.record(event(3))
    assert 3 in [it.time for it in heard]


WRITER = """
import sys, trio
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from appliance.audit.ledger import Ledger
from appliance.core.events import AuditEvent, EventType

async def main():
    ledger = Ledger(Path(sys.argv[1]), Ed25519PrivateKey.generate(), lambda: 7)
    await ledger.start()
    for number in range(1, 100_000):
        await ledger.record(AuditEvent(number, EventType.PROXY_OPENED))
        print(number, flush=True)

trio.run(main)
"""


def test_killed_in_the_middle_every_acknowledged_record_is_there(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = 0
    for line in writer.stdout:
        acknowledged = int(line)
        if acknowledged >= 200:
            os.kill(writer.pid, signal.SIGKILL)
            break
    acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.strip())])
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    assert {it.time for it in kept(path) if it.type is EventType.PROXY_OPENED} >= set(range(1, acknowledged + 1))
    assert verify(path, KEY.public_key()).faults == ()
