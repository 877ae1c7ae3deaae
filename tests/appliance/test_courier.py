"""The courier gives up what it can never send, as it gives up a receiver that is never there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.ledger import Ledger
from appliance.core.access import SECOND
from appliance.core.events import EventType
from appliance.core.webhooks import GIVE_UP_SECONDS, Delivery, DeliveryState
from appliance.courier import Courier
from appliance.login.dialling import Dialler
from appliance.store import webhooks
from appliance.store.store import Store
from tests.appliance.audit.rig import everything
from tests.appliance.store.cast import NOW
from tests.appliance.store.homes import in_file
from tests.appliance.store.test_outbox import hook
from tests.appliance.store.test_requests import scene

pytestmark = pytest.mark.real_clock


@dataclass
class Hours:
    """A clock that a test moves on."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now


@asynccontextmanager
async def opened(path: Path, clock: Hours) -> AsyncIterator[Ledger]:
    ledger = Ledger(path, Ed25519PrivateKey.generate(), clock)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def settled(store: Store, state: DeliveryState, tries: int) -> Delivery:
    """The only message there is, once it has come so far."""
    with trio.fail_after(20):
        while True:
            (it,) = await store.read(webhooks.told("webhook_1", 10))
            if it.state is state and it.tries == tries and it.error:
                return it
            await trio.sleep(0.05)


async def test_a_secret_that_cannot_be_opened_is_given_up_in_time(tmp_path: Path) -> None:
    home, clock = in_file(tmp_path / "store"), Hours()
    home.directory.mkdir()
    async with opened(tmp_path / "audit.db", clock) as ledger, scene(home) as it, trio.open_nursery() as nursery:
        made = await hook(it)
        other = it.store.seal("webhook:another", b"secret")
        home.query(f"UPDATE sealed SET box = '{other[1]}' WHERE name = '{made.secret_name}'")
        nursery.start_soon(Courier(it.store, ledger, Dialler(), clock, alone=True).run)
        await it.ask(await it.policy())
        tried = await settled(it.store, DeliveryState.WAITING, 1)
        assert NOW < tried.next_at <= NOW + 10 * SECOND
        clock.now += GIVE_UP_SECONDS * SECOND
        given_up = await settled(it.store, DeliveryState.GIVEN_UP, 2)
        assert (given_up.done_at, given_up.status, given_up.body) == (clock.now, None, "")
        assert given_up.error.startswith(f"The sealed secret {made.secret_name} was changed.")
        nursery.cancel_scope.cancel()
    (record,) = (it for it in everything(tmp_path / "audit.db") if it.type is EventType.NOTICE_GIVEN_UP)
    details = dict(record.details)
    assert (details["webhook_id"], details["host"], details["why"]) == (made.id, "chat.example.com", given_up.error)
