"""Killed with -9 in the middle of a thousand records, on either engine: every acknowledged record is there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.audit.book import Book
from appliance.core.events import EventType
from tests.appliance.audit.rig import KEY, Ledger, PostgresLedger, SQLiteLedger, everything, judge

RECORDS = 1_000
WRITER = """
import json, sys, trio
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from appliance.audit.ledger import Ledger
from appliance.audit.postgres import PostgresPlace
from appliance.core.events import AuditEvent, EventType
from appliance.store.server import parse

where = json.loads(sys.argv[1])
place = Path(where["path"]) if "path" in where else PostgresPlace(parse(where["url"]))

async def work(ledger, worker):
    for number in range(worker, 1_000_000, 8):
        await ledger.record(AuditEvent(number, EventType.PROXY_OPENED))
        print(number, flush=True)

async def main():
    ledger = Ledger(place, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[2])), lambda: 7)
    await ledger.start()
    async with trio.open_nursery() as nursery:
        for worker in range(8):
            nursery.start_soon(work, ledger, worker)

trio.run(main)
"""


def where(ledger: Ledger) -> dict[str, str]:
    if isinstance(ledger, SQLiteLedger):
        return {"path": str(ledger.path)}
    assert isinstance(ledger, PostgresLedger)
    return {"url": ledger.url}


def written_until_killed(ledger: Ledger, directory: Path, at: int) -> set[int]:
    """What an appliance acknowledged until it was killed with `at` records acknowledged."""
    said = directory / "said"
    command = [sys.executable, "-c", WRITER, json.dumps(where(ledger)), KEY.private_bytes_raw().hex()]
    acknowledged: set[int] = set()
    with (
        said.open("wb") as complaints,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True) as writer,
    ):
        assert writer.stdout is not None
        for line in writer.stdout:
            acknowledged.add(int(line))
            if len(acknowledged) == at:
                writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL, said.read_text()
    return acknowledged


@pytest.mark.parametrize("at", [1, RECORDS // 2])
def test_what_was_acknowledged_is_there_and_the_next_start_signs_it(ledger: Ledger, tmp_path: Path, at: int) -> None:
    acknowledged = written_until_killed(ledger, tmp_path, at)
    kept = {it.time for it in everything(ledger.place) if it.type is EventType.PROXY_OPENED}
    assert acknowledged <= kept
    before = judge(ledger)
    assert before.faults == ()
    assert before.unsigned >= len(acknowledged)

    Book(ledger.place, KEY, 8).close()
    after = judge(ledger)
    assert (after.records, after.faults, after.unsigned) == (before.records, (), 0)
