"""The ledger of a running appliance while PostgreSQL restarts, hangs, or drops connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from appliance.audit import ledger as ledger_module
from appliance.audit import scribe as scribe_module
from appliance.audit.ledger import AuditUnavailable, Ledger
from appliance.core.events import AuditEvent, EventType
from tests.appliance.audit.rig import KEY, PostgresLedger, everything, judge

pytestmark = pytest.mark.real_clock


def event(number: int) -> AuditEvent:
    return AuditEvent(number, EventType.PROXY_CLOSED)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "WAIT_SECONDS", 0.5)
    monkeypatch.setattr(scribe_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr("appliance.audit.postgres.STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr("appliance.audit.postgres.CONNECT_SECONDS", 0.5)


@asynccontextmanager
async def opened(mortal: PostgresLedger) -> AsyncIterator[Ledger]:
    ledger = Ledger(mortal.place, KEY, lambda: 7)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def until(it_is_so: Callable[[], bool]) -> None:
    with trio.fail_after(60):
        while not it_is_so():
            await trio.lowlevel.checkpoint()


async def survives(mortal: PostgresLedger, break_it: Callable[[], object], mend_it: Callable[[], object]) -> None:
    """Requests are refused while it lasts; whatever was handed over before, meanwhile and after is kept once."""
    async with opened(mortal) as ledger:
        await ledger.record(event(50))
        for _ in range(3):
            assert ledger.try_reserve()  # reads under way
        await trio.to_thread.run_sync(break_it)
        try:
            ledger.close(event(51))
            with pytest.raises(AuditUnavailable):
                await ledger.record(event(60))
            ledger.close(event(52))
            await until(lambda: not ledger.available)
            assert not ledger.try_reserve()
            with pytest.raises(AuditUnavailable):
                await ledger.reserve()
        finally:  # also for the next test
            await trio.to_thread.run_sync(mend_it)
        await until(lambda: ledger.available)
        await ledger.record(event(53))
        ledger.close(event(54))
    kept = await trio.to_thread.run_sync(everything, mortal.place)
    found = sorted(it.time for it in kept if it.type is EventType.PROXY_CLOSED)
    assert [number for number in found if number != 60] == [50, 51, 52, 53, 54]
    assert found.count(60) <= 1  # refused: it may still have come to be there
    verdict = await trio.to_thread.run_sync(judge, mortal)
    assert (verdict.faults, verdict.unsigned) == ((), 0)


async def test_a_server_that_is_stopped_and_started(mortal: PostgresLedger) -> None:
    await survives(mortal, mortal.server.stop, mortal.server.start)


async def test_a_server_that_is_killed(mortal: PostgresLedger) -> None:
    await survives(mortal, mortal.server.kill, mortal.server.start)


async def test_a_server_that_hangs(mortal: PostgresLedger) -> None:
    await survives(mortal, mortal.server.freeze, mortal.server.thaw)


async def test_a_table_that_somebody_locks(mortal: PostgresLedger) -> None:
    locker = await trio.to_thread.run_sync(mortal.place.open)
    try:
        await survives(
            mortal,
            lambda: [locker.rows(it) for it in ("BEGIN", "LOCK TABLE sheaves IN EXCLUSIVE MODE")],
            lambda: locker.rows("ROLLBACK"),
        )
    finally:
        await trio.to_thread.run_sync(locker.close)


async def test_a_connection_that_is_ended(mortal: PostgresLedger) -> None:
    """Found at the next record, mended by itself: nobody is refused."""
    async with opened(mortal) as ledger:
        await ledger.record(event(50))
        ended = (
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = $1 AND pid <> pg_backend_pid()"
        )
        await trio.to_thread.run_sync(mortal.run, ended, "fairlead audit")
        with trio.fail_after(10):
            while True:
                try:
                    await ledger.record(event(51))
                    break
                except AuditUnavailable:
                    continue
    assert 51 in {it.time for it in await trio.to_thread.run_sync(everything, mortal.place)}
    assert (await trio.to_thread.run_sync(judge, mortal)).faults == ()
