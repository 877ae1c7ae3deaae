"""A table read page by page, and rows put together into pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from appliance.store.tables import Table
from appliance.store.unit import Row, Statement, Unit


def pages(table: Table, size: int, take: Callable[[list[Row]], None]) -> Unit[None]:
    """Gives all rows of a table to `take`, so many at once."""
    rows = yield Statement(table.first_page, (size,))
    take(rows)
    while len(rows) == size:
        rows = yield Statement(table.next_page, (table.key_of(rows[-1]), size))
        take(rows)


def batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows, so many at once."""
    following = iter(rows)
    while batch := list(islice(following, size)):
        yield batch
