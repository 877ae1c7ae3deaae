"""How every list of the admin API is shown: page by page, of what the caller may see, in an order that stays.

`items` and `next`: the cursor of what follows, null at the end. A page may hold fewer than `limit` and yet lead on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import trio

from appliance.api import readers
from appliance.api.bodies import Field
from appliance.api.routes import Answer, Call
from appliance.core.paging import DEFAULT_LIMIT, MAX_LIMIT, Asked, Key, Order
from appliance.core.snapshot import Entity

AT_ONCE: Final = 256  # entries looked at, some microseconds each, before others have their turn

T = TypeVar("T")

#: What every list takes beside its filters.
QUERY: Final = (
    Field("limit", readers.digits(1, MAX_LIMIT), required=False, default=DEFAULT_LIMIT),
    Field("cursor", readers.query_text, required=False),
)
_PAGING: Final = frozenset(field.name for field in QUERY)


def asked(call: Call, what: str, *like: type) -> Asked:
    """The question this call asks, to make and read its cursors."""
    filters = [(name, value) for name, value in call.query.items() if name not in _PAGING and value is not None]
    return Asked(what, filters, call.caller.id, like)


async def page(
    call: Call,
    entity: Entity,
    entries: Iterable[T],
    key: Callable[[T], Key],
    *like: type,
    seen: Callable[[T], bool],
    shown: Callable[[T], Any],
) -> Answer:
    """A page of what the snapshot holds; `key` orders it, and its values are of the types `like`."""
    found, following = await cut(call, asked(call, entity, *like), order(call, entity, entries, key), seen)
    return answer([shown(it) for it in found], following)


def order(call: Call, entity: Entity, entries: Iterable[T], key: Callable[[T], Key]) -> Order[T]:
    """All the snapshot holds of these, by the one key that this kind is always ordered by."""
    return call.parts.orders.of(entity, call.parts.snapshot().changed.get(entity, 0), entries, key)


async def cut(call: Call, ask: Asked, order: Order[T], seen: Callable[[T], bool]) -> tuple[list[T], str | None]:
    """What the caller may see of an order, from the cursor on, and the cursor of what follows."""
    limit: int = call.query["limit"]
    found: list[T] = []
    start = last = order.after(ask.position(call.query["cursor"]))
    for index in range(start, len(order.entries)):
        if index % AT_ONCE == AT_ONCE - 1:
            await trio.lowlevel.checkpoint()
        entry = order.entries[index]
        if not seen(entry):
            continue
        if len(found) == limit:
            return found, ask.cursor(order.keys[last])
        found.append(entry)
        last = index
    return found, None


def answer(items: Sequence[Any], following: str | None) -> Answer:
    return Answer(200, {"items": items, "next": following})
