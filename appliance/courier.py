"""Takes what is owed to webhooks out of the outbox and brings it there.

What always holds: a message is tried until a receiver answers 2xx, says that it wants no more (410), or a day is over,
and a message that is given up is on record; a slow receiver holds up only itself, because each is served by one task at
a time; what a receiver says is neither believed nor kept, but for its status. Several appliances on one store share the
work. Where a message may go is the dialler's to say: no redirect is followed, nothing private is dialled unasked.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from typing import Final

import structlog
import trio

from appliance.audit.ledger import Ledger
from appliance.core.access import SECOND
from appliance.core.events import AuditEvent, EventType
from appliance.core.snapshot import Entity
from appliance.core.traces import traceresponse
from appliance.core.webhooks import Delivery, Outcome, Webhook, next_try, signature, target
from appliance.login.dialling import DialError, Dialler
from appliance.store import outbox
from appliance.store.sealing import SealError
from appliance.store.store import Applied, Store

LOOK_SECONDS: Final = 2.0  # for what is due again, and for what other appliances have put in


class Courier:
    """Keep `run` running; `send` also serves those who want to try a webhook."""

    def __init__(
        self, store: Store, ledger: Ledger, dialler: Dialler, clock: Callable[[], int], *, alone: bool
    ) -> None:
        """`alone`: no other appliance uses the store, so whoever was sending when we start has ended."""
        self._alone = alone
        self._store = store
        self._ledger = ledger
        self._dialler = dialler
        self._clock = clock
        self._news = trio.Event()
        self._working: set[str] = set()  # webhooks that have a task now
        self._failing: set[str] = set()  # webhooks whose last message was not taken; "": the store
        store.on_change.append(self._hear)

    async def send(self, webhook: Webhook, delivery: Delivery, key_id: str, box: str) -> Outcome:
        """One try, now. A secret that cannot be opened is a failure like any other: the key's file may come back."""
        try:
            to = target(self._store.unseal(webhook.secret_name, key_id, box), webhook.shown)
        except SealError as error:
            return Outcome(None, str(error))
        body = delivery.body.encode()
        seconds = self._clock() // SECOND
        headers = (
            ("Content-Type", "application/json"),
            ("webhook-id", delivery.id),
            ("webhook-timestamp", str(seconds)),
            ("webhook-signature", signature(to.secret, delivery.id, seconds, body)),
            ("traceparent", traceresponse(secrets.token_hex(16).encode()).decode()),
        )
        try:
            reply = await self._dialler.ask("POST", to.url, headers=headers, body=body)
        except DialError as error:
            return Outcome(None, str(error))
        if 200 <= reply.status < 300:
            return Outcome(reply.status)
        why = "; redirects are not followed" if 300 <= reply.status < 400 else ""
        return Outcome(reply.status, f"It answered {reply.status}{why}.")

    async def run(self) -> None:
        """Brings messages until cancelled. A failure of the store is logged once and tried again."""
        async with trio.open_nursery() as nursery:
            resumed = not self._alone
            while True:
                self._news = trio.Event()
                try:
                    if not resumed:
                        await self._store.write(outbox.resume(self._clock()))
                        resumed = True
                    waiting = await self._store.read(outbox.due(self._clock()))
                except Exception as error:  # noqa: BLE001 -- the store comes back, or the appliance is replaced
                    self._fails("", error)
                    waiting = []
                else:
                    self._failing.discard("")
                for webhook_id in waiting:
                    if webhook_id not in self._working:
                        self._working.add(webhook_id)
                        nursery.start_soon(self._serve, webhook_id)
                with trio.move_on_after(LOOK_SECONDS):
                    await self._news.wait()

    async def _serve(self, webhook_id: str) -> None:
        """Everything that is due for one webhook, one after the other."""
        try:
            while await self._one(webhook_id):
                pass
        except Exception as error:  # noqa: BLE001 -- what we had taken is taken again later
            self._fails("", error)
        finally:
            self._working.discard(webhook_id)

    async def _one(self, webhook_id: str) -> bool:
        taken = await self._store.write(outbox.take(webhook_id, self._clock()))
        if taken is None:
            return False
        outcome = await self.send(taken.webhook, taken.delivery, taken.key_id, taken.box)
        now = self._clock()
        again = next_try(taken.delivery, outcome, now, random.random())  # noqa: S311 -- no secret: it spreads the load
        if outcome.delivered:
            self._failing.discard(webhook_id)
        else:
            self._fails(webhook_id, outcome.error)
        if outcome.delivered or again is not None:
            await self._store.write(outbox.settle(taken.delivery, outcome, again, now))
        else:
            await self._give_up(taken.webhook, taken.delivery, outcome, now)
        return True

    async def _give_up(self, webhook: Webhook, delivery: Delivery, outcome: Outcome, now: int) -> None:
        """On record, or it is not given up."""
        await self._ledger.reserve()
        done = False
        try:
            done = await self._store.write(outbox.settle(delivery, outcome, None, now))
        finally:
            if done:
                self._ledger.close(_given_up(webhook, delivery, outcome, now))
            else:
                self._ledger.release()

    def _fails(self, what: str, why: object) -> None:
        """Says so once, until it works again."""
        if what not in self._failing:
            self._failing.add(what)
            named = f"the webhook {what} was not told" if what else "webhooks cannot be told"
            structlog.get_logger().warning(f"{named}, it is tried again", why=str(why) or type(why).__name__)

    def _hear(self, applied: Applied) -> None:
        if not applied or any(entity is Entity.ACCESS_REQUEST for entity, _ in applied):
            self._news.set()


def _given_up(webhook: Webhook, delivery: Delivery, outcome: Outcome, now: int) -> AuditEvent:
    details = {
        "webhook_id": webhook.id,
        "host": webhook.host,
        "message_id": delivery.id,
        "message": str(delivery.notice),
        "tries": str(delivery.tries),
        "why": outcome.error,
    }
    return AuditEvent(now, EventType.NOTICE_GIVEN_UP, actor="courier", details=tuple(details.items()))
