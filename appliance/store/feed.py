"""The change feed: what every configuration write announces, and how everyone reads along.

What always holds: the numbers have no gaps and rise in the order of the commits, because advancing the head is the
first thing such a unit does and the row it changes is the lock that lets one of them in at a time. `watched` holds
units to that: one that reads or writes before it announces, or takes a number without saying for what, is a bug and is
rolled back. It is all units of work, so both engines read the feed alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from appliance.core.snapshot import Entity
from appliance.store import statements
from appliance.store.rows import READERS
from appliance.store.unit import Rows, Unit, run

T = TypeVar("T")

MAX_CHANGES_AT_ONCE = 1_000  # further behind than this, reading everything again is no slower
UNANNOUNCED = -1  # the number of a unit that changed nothing the snapshot holds

# Expired rows are removed without a word: the snapshot forgets them by the clock.
_EXPIRY = frozenset(text for name, text in vars(statements).items() if name.endswith("_FORGET"))
# Of what is sealed a snapshot knows the authorities by name; only a change of theirs is announced, no other secret.
_UNFOLLOWED = frozenset({"sealed"})
_FOLLOWED = frozenset(table for _, every, _ in READERS.values() for table in re.findall(r"\bFROM (\w+)", every))
_WRITTEN = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader has come: the last change it knows, and when that was, which tells two histories apart."""

    number: int
    changed_at: int | None


UNREAD = Place(-1, None)  # a reader that has seen nothing yet


@dataclass(frozen=True, slots=True)
class Changes:
    """What became different since the last look, in feed order. `everything`: it is the whole state instead."""

    entities: tuple[tuple[Entity, str, Any], ...] = ()
    everything: bool = False


def changes_since(place: Place) -> Unit[tuple[Place, Changes]]:
    """Where the feed ends, and what it holds beyond the place we know; for a read that sees one state of the database.

    Where our place is not in the history any more, or the history there is another one (a database restored, or a
    standby promoted that had not got everything), the whole state is read.
    """
    ((latest, changed_at),) = yield run(statements.FEED_HEAD, place.number)
    same_history = 0 <= place.number <= latest and changed_at == place.changed_at
    if same_history and latest == place.number:
        return place, Changes()
    if same_history:
        numbered = yield run(statements.CHANGES_AFTER, place.number, MAX_CHANGES_AT_ONCE)
        if [row[0] for row in numbered] == list(range(place.number + 1, latest + 1)):
            return Place(latest, numbered[-1][3]), (yield from _entities(numbered))
    ((latest, changed_at),) = yield run(statements.FEED_HEAD, latest)
    return Place(latest, changed_at), (yield from _everything())


def _entities(numbered: Rows) -> Unit[Changes]:
    found = []
    for entity, identity in dict.fromkeys((Entity(entity), str(identity)) for _, entity, identity, _ in numbered):
        one, _, read = READERS[entity]
        rows = yield run(one, identity)
        found.append((entity, identity, read(rows[0]) if rows else None))
    return Changes(tuple(found))


def _everything() -> Unit[Changes]:
    found = []
    for entity, (_, every, read) in READERS.items():
        found += [(entity, str(row[0]), read(row)) for row in (yield run(every))]
    return Changes(tuple(found), everything=True)


_LOCKS = frozenset({statements.FEED_ADVANCE, statements.FEED_LOCK})


def watched(unit: Unit[T]) -> Unit[tuple[T, int]]:
    """The unit, held to the feed's rule; it also returns the last number it announced, or UNANNOUNCED."""
    number = UNANNOUNCED
    owed: set[int] = set()
    try:
        statement = next(unit)
        locked = statement.sql in _LOCKS  # what is read before may have changed when the lock is had
        while True:
            if (statement.sql in _LOCKS and not locked) or (number == UNANNOUNCED and is_followed(statement.sql)):
                raise RuntimeError(f"a unit must advance the feed before anything else: {statement.sql}")
            rows = yield statement
            if statement.sql == statements.FEED_ADVANCE:
                number = int(rows[0][0])
                owed.add(number)
            elif statement.sql == statements.CHANGE_ADD:
                owed.discard(int(statement.values[0] or 0))
            statement = unit.send(rows)
    except StopIteration as finished:
        if owed:
            raise RuntimeError(f"a unit took numbers of the feed without saying for what: {sorted(owed)}") from None
        return finished.value, number
    finally:
        unit.close()


@lru_cache(maxsize=1024)  # there are about a hundred statements, all constants
def is_followed(sql: str) -> bool:
    """Whether a statement writes what snapshots hold, so that its unit must have announced it."""
    return sql not in _EXPIRY and any(table in _FOLLOWED - _UNFOLLOWED for table in _WRITTEN.findall(sql))
