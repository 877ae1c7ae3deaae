"""How a list of the admin API is followed to its end, whatever its page is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

from ops.cli.faults import Fault

PAGE: Final = 500  # the most the API gives at once
MAX_PAGES: Final = 10_000  # five million items: a `next` that never ends is a fault of the other end


class Asked(Protocol):
    """Whoever can be asked for a page."""

    def get(self, path: str, /, **query: str | int | None) -> Any: ...


def pages(api: Asked, path: str, /, **query: str | int | None) -> Iterator[list[Any]]:
    """The pages, as they come."""
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        answer = api.get(path, **{"limit": PAGE, **query, "cursor": cursor})
        yield list(answer["items"])
        cursor = answer.get("next")
        if not cursor:
            return
    raise Fault("The appliance's list has no end.")
