"""What audit records and calls of the admin API say about the use of bindings, written down once in a while."""

from __future__ import annotations

from itertools import islice
from typing import Final

import structlog
import trio

from appliance.core.uses import BindingUses
from appliance.store import uses as units
from appliance.store.store import Store

WRITE_SECONDS: Final = 60.0  # what a process that dies forgets
MAX_AT_ONCE: Final = 500  # in one transaction: some milliseconds


async def run(store: Store, uses: BindingUses) -> None:
    """Writes until cancelled. What cannot be written is noted with the next use."""
    while True:
        await trio.sleep(WRITE_SECONDS)
        try:
            await write(store, uses)
        except Exception as error:  # noqa: BLE001 -- the store, which comes back or is replaced
            structlog.get_logger().warning("the use of bindings could not be noted", error=str(error))


async def write(store: Store, uses: BindingUses) -> None:
    """Writes down what is due now."""
    due = iter(uses.due().items())
    while some := dict(islice(due, MAX_AT_ONCE)):
        await store.write(units.keep(some))
        uses.wrote(some)
