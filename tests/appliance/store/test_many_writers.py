"""Eight writers on one PostgreSQL: everyone who looks sees every change, in one order, and none twice.

Five seconds in the suite; `FAIRLEAD_TEST_WRITERS_SECONDS=60` for the minute that a release is measured by.
"""

from __future__ import annotations

import os

import pytest
import trio

from appliance.core.clusters import Cluster
from appliance.core.snapshot import Entity
from appliance.store import feed, units
from appliance.store.store import Applied, Store
from tests.appliance.store.homes import NOW, Home
from tests.appliance.store.programs import Program

pytestmark = [pytest.mark.real_clock, pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = os.environ.get("FAIRLEAD_TEST_WRITERS_SECONDS", "5")
WRITERS = 8


def noting(store: Store, seen: list[str]) -> None:
    def note(applied: Applied) -> None:
        seen.extend(identity for entity, identity in applied if entity is Entity.PERSON)

    store.on_change.append(note)


async def test_every_reader_sees_every_change_in_one_order(pg_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_CHANGES_AT_ONCE", 1_000_000)
    told: list[str] = []
    asked: list[str] = []
    async with pg_home.opened(running=True) as follower, pg_home.opened() as poller:
        noting(follower, told)
        noting(poller, asked)
        await follower.write(units.add_cluster(Cluster("shared", "shared", created_at=NOW), NOW))
        files = [pg_home.directory / f"seen{number}" for number in range(WRITERS)]
        programs = [Program("race", pg_home, f"w{number}", SECONDS, str(file)) for number, file in enumerate(files)]
        for program in programs:
            assert program.line() == "ready"
        for program in programs:
            program.say("go")
        written = []
        for program in programs:
            await poller.poll()
            written.append(int(await trio.to_thread.run_sync(program.line)))
        for program in programs:
            program.say("all have ended")
        for program in programs:
            program.end()
        await follower.poll()
        await poller.poll()
        order = [
            name for (name,) in pg_home.query("SELECT entity_id FROM changes WHERE entity = 'person' ORDER BY number")
        ]
        numbers = [int(number) for (number,) in pg_home.query("SELECT number FROM changes ORDER BY number")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(order) == len(set(order)) == sum(written)
        assert set(order) == {f"w{writer}-{number}" for writer, count in enumerate(written) for number in range(count)}
        for seen in (told, asked, *(file.read_text().split("\n") for file in files)):
            assert seen == order
        assert follower.snapshot.clusters["shared"].generation == 1 + sum(count // 10 for count in written)
        assert follower.snapshot.people == poller.snapshot.people
    print(f"{sum(written)} writes by {WRITERS} in {SECONDS} s, seen alike by {WRITERS + 2}")
