"""The feed: no unit gets round it, and no reader is left behind in a history that is not the database's any more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from appliance.core.clusters import Cluster
from appliance.core.roles import Role
from appliance.core.snapshot import Entity
from appliance.store import forgetting, rows, statements, units
from appliance.store.feed import is_followed
from appliance.store.store import Applied
from appliance.store.unit import Unit, run
from tests.appliance.store.homes import NOW, Home

pytestmark = pytest.mark.real_clock

ROLE = Role("role_1", "viewer", "", created_at=NOW)
ADD_ROLE = run(statements.ROLE_ADD, *rows.role_values(ROLE))


def unannounced() -> Unit[None]:
    yield ADD_ROLE


def announced_late() -> Unit[None]:
    yield ADD_ROLE
    yield from units.change(Entity.ROLE, ROLE.id, NOW)


def read_before() -> Unit[None]:
    """What it read may be different once it has its turn: this is how write skew happens."""
    yield run(statements.ROLE_USES, ROLE.id)
    yield from units.change(Entity.ROLE, ROLE.id, NOW)
    yield ADD_ROLE


def number_wasted() -> Unit[None]:
    yield run(statements.FEED_ADVANCE)
    yield from units.change(Entity.ROLE, ROLE.id, NOW)
    yield ADD_ROLE


def locked_late() -> Unit[None]:
    yield run(statements.ROLE_USES, ROLE.id)
    yield run(statements.FEED_LOCK)
    yield from units.change(Entity.ROLE, ROLE.id, NOW)
    yield ADD_ROLE


def locked_but_unannounced() -> Unit[None]:
    yield run(statements.FEED_LOCK)
    yield ADD_ROLE


@pytest.mark.parametrize(
    "unit", [unannounced, announced_late, read_before, number_wasted, locked_late, locked_but_unannounced]
)
async def test_a_unit_that_gets_round_the_feed_is_a_bug_and_leaves_nothing(
    home: Home, unit: Callable[[], Unit[None]]
) -> None:
    async with home.opened() as store:
        with pytest.raises(RuntimeError, match=r"^a unit (must advance the feed|took numbers)"):
            await store.write(unit())
        assert home.query("SELECT count(*) FROM roles") == [("0",)]
        assert home.query("SELECT head FROM feed") == [("0",)]
        await store.write(units.add_role(ROLE, NOW))


async def test_a_unit_that_takes_the_lock_first_may_read_before_it_announces(home: Home) -> None:
    def careful() -> Unit[int]:
        yield run(statements.FEED_LOCK)
        ((uses,),) = yield run(statements.ROLE_USES, ROLE.id)
        yield from units.add_role(ROLE, NOW)
        return int(uses)

    def reading() -> Unit[None]:
        yield run(statements.FEED_LOCK)
        yield run(statements.ROLE_USES, ROLE.id)

    async with home.opened() as store:
        assert await store.write(careful()) == 0
        await store.write(reading())  # it found that there was nothing to do
        assert home.query("SELECT head FROM feed") == [("1",)]
        assert store.snapshot.roles == {ROLE.id: ROLE}


@pytest.mark.parametrize("entity", sorted(set(Entity) - {Entity.AUTHORITY}))  # of whose table it is only a part
def test_whatever_the_snapshot_holds_is_followed(entity: Entity) -> None:
    _, every, _ = rows.READERS[entity]
    table = every.split(" FROM ")[1].split()[0]
    for statement in (f"INSERT INTO {table} (id) VALUES ($1)", f"UPDATE {table} SET id = $1", f"DELETE FROM {table}"):
        assert is_followed(statement)
    assert not is_followed(every)


def test_credentials_and_expiry_are_not() -> None:
    assert not is_followed(statements.CREDENTIAL_ADD)
    assert not is_followed(statements.REVOCATIONS_FORGET)
    assert is_followed(statements.REVOCATION_ADD)


@pytest.mark.parametrize(
    "restored",
    [
        # An older copy of the database.
        ["DELETE FROM changes WHERE number = 3", "UPDATE feed SET head = 2", "DELETE FROM clusters WHERE id = 'c3'"],
        # The same, and someone has written since: the number is the one we know, the change is another.
        [
            "UPDATE changes SET entity_id = 'c4', changed_at = changed_at + 1 WHERE number = 3",
            "UPDATE clusters SET id = 'c4', name = 'c4' WHERE id = 'c3'",
        ],
        # And more than that.
        [
            "UPDATE changes SET entity_id = 'c4', changed_at = changed_at + 1 WHERE number = 3",
            "INSERT INTO changes (number, entity, entity_id, changed_at) VALUES (4, 'cluster', 'c5', 9)",
            "UPDATE feed SET head = 4",
            "UPDATE clusters SET id = 'c4', name = 'c4' WHERE id = 'c3'",
        ],
    ],
    ids=["shorter", "other", "longer"],
)
async def test_a_reader_whose_history_was_replaced_reads_everything(home: Home, restored: list[str]) -> None:
    """As after a restore, or when a standby was promoted that had not got everything."""
    heard: list[Applied] = []
    async with home.opened() as store:
        for number in (1, 2, 3):
            await store.write(units.add_cluster(Cluster(f"c{number}", f"c{number}", created_at=NOW), NOW + number))
        for statement in restored:
            home.query(statement)
        store.on_change.append(heard.append)
        await store.poll()
        there = {name for (name,) in home.query("SELECT id FROM clusters")}
        assert set(store.snapshot.clusters) == there
        assert {identity for _, identity in heard[0]} == there
        await store.poll()
        assert len(heard) == 1


async def test_what_is_forgotten_leaves_no_gap_when_a_clock_was_set_back(home: Home) -> None:
    """Two appliances, or one whose clock was corrected: a later change may have an earlier time."""
    async with home.opened() as store:
        for number, at in enumerate((NOW, NOW + 5, NOW + 1, NOW + 9), 1):
            await store.write(units.add_role(Role(f"role_{number}", f"r{number}", ""), at))
        await store.write(forgetting.forget_expired(NOW, NOW + 2))
        assert home.query("SELECT number FROM changes ORDER BY number") == [("2",), ("3",), ("4",)]
        await store.write(forgetting.forget_expired(NOW, NOW + 100))
        assert home.query("SELECT number FROM changes") == [("4",)]
