"""Killed in the middle of 1,000 writes, the writer or the server: what was answered is there, and nothing is half."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from appliance.store import postgres, units
from appliance.store.faults import StoreUnavailable
from appliance.store.store import Store
from tests.appliance.store.homes import NOW, Home
from tests.appliance.store.programs import Program, pair, person
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.real_clock

WRITES = 1_000


async def test_a_writer_that_is_killed_leaves_all_that_was_answered_and_nothing_half(home: Home) -> None:
    program = Program("pairs", home, str(WRITES))
    answered = [int(line) for line in program.lines_until(str(WRITES // 2))]
    answered += [int(line) for line in program.kill()]
    async with home.opened() as store:
        people = set(store.snapshot.people)
        assert {f"{letter}{number}" for letter in "ab" for number in range(max(answered) + 1)} <= people
        assert len(people) == 2 * len({name[1:] for name in people}) < 2 * WRITES
        await store.write(pair(WRITES))  # no lock of the dead one is left
    numbers = [int(number) for (number,) in home.query("SELECT number FROM changes ORDER BY number")]
    assert numbers == list(range(1, len(people) + 3))


def kill(it: PostgresServer) -> None:
    it.kill()
    it.start()


def restart(it: PostgresServer) -> None:
    it.stop()
    it.start()


@pytest.mark.parametrize("strike", [kill, restart])
async def test_a_server_that_dies_under_writers_has_all_that_it_answered(
    fragile_home: Home, fragile: PostgresServer, strike: Callable[[PostgresServer], None]
) -> None:
    home = fragile_home
    answered: list[int] = []
    async with home.opened(running=True) as store:
        async with trio.open_nursery() as nursery:
            for first in range(4):
                nursery.start_soon(write, store, range(first, WRITES, 4), answered)
            for share in (0.3, 0.6):
                while len(answered) < WRITES * share:  # noqa: ASYNC110 -- writers have no event for it
                    await trio.sleep(0.005)
                await trio.to_thread.run_sync(strike, fragile)
        people = set(store.snapshot.people)
    assert len(answered) == WRITES
    async with home.opened() as store:
        assert people == set(store.snapshot.people) == {f"{letter}{n}" for letter in "ab" for n in answered}


async def write(store: Store, numbers: range, answered: list[int]) -> None:
    """Each until it is there; one that was refused may have happened, so it is looked for before it is repeated."""
    for number in numbers:
        while f"a{number}" not in store.snapshot.people:
            try:
                await store.write(pair(number))
            except StoreUnavailable:
                await trio.sleep(0.02)
                await look(store)
        answered.append(number)


async def look(store: Store) -> None:
    with trio.fail_after(30):
        while True:
            try:
                return await store.poll()
            except StoreUnavailable:
                await trio.sleep(0.02)


async def test_a_server_that_stops_under_writers_is_refused_in_time_and_loses_nothing(
    fragile_home: Home, fragile: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "COMMAND_SECONDS", 2.0)
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 2.0)
    home = fragile_home
    answered: list[str] = []
    refused: list[float] = []

    async def go(store: Store, name: str) -> None:
        for number in range(100_000):
            began = trio.current_time()
            try:
                await store.write(units.add_person(person(f"{name}{number}"), NOW))
                answered.append(f"{name}{number}")
            except StoreUnavailable:
                refused.append(trio.current_time() - began)
                return

    async with home.opened(running=True) as store:
        async with trio.open_nursery() as nursery:
            for name in "abcd":
                nursery.start_soon(go, store, name)
            while len(answered) < 100:  # writers have no event for it
                assert not refused
                await trio.sleep(0.005)
            fragile.freeze()
        fragile.thaw()
        assert max(refused) < 10  # a busy machine; the limits above are two seconds each, and twelve as they ship
        with trio.fail_after(20):
            await write(store, range(1), [])
        await look(store)
        assert set(answered) <= set(store.snapshot.people)
