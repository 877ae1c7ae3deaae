"""The units of webhooks: add one, list them, look what they were told, remove one with all it was still to be told.

A webhook hears of every access request there is, so whoever adds one holds `webhooks:write` everywhere. It is no part
of the snapshot: nothing that decides looks at it.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission, Subject
from appliance.core.webhooks import MAX_WEBHOOKS, Delivery, DeliveryState, Webhook
from appliance.store import outbox, outbox_statements, statements
from appliance.store.granting import caller_rights, need
from appliance.store.sessions import Sealed
from appliance.store.unit import Unit, run


@dataclass(frozen=True, slots=True)
class Standing:
    """A webhook and how many messages to it wait, and were given up."""

    webhook: Webhook
    waiting: int
    given_up: int


def add(by: Subject, it: Webhook, secret: Sealed, now: int) -> Unit[None]:
    need((yield from caller_rights(by, now)), Permission.WEBHOOKS_WRITE)
    ((count,),) = yield run(outbox_statements.WEBHOOKS_COUNT)
    if count >= MAX_WEBHOOKS:
        raise ProblemError(problem(Code.TOO_MANY_WEBHOOKS, limit=MAX_WEBHOOKS))
    notices = " ".join(it.notices)
    yield run(outbox_statements.WEBHOOK_ADD, it.id, it.shown, notices, it.description, it.created_at, it.created_by)
    yield run(statements.SEALED_SET, it.secret_name, secret.key_id, secret.box, now)


def remove(by: Subject, webhook_id: str, now: int) -> Unit[Webhook]:
    need((yield from caller_rights(by, now)), Permission.WEBHOOKS_WRITE)
    found = yield from one(webhook_id)
    yield run(outbox_statements.DELIVERIES_REMOVE, webhook_id)
    yield run(outbox_statements.WEBHOOK_REMOVE, webhook_id)
    yield run(statements.SEALED_REMOVE, found.secret_name)
    return found


def listed() -> Unit[list[Standing]]:
    """Every webhook, the oldest first."""
    counted = yield run(outbox_statements.DELIVERIES_COUNT)
    counts = {(str(webhook_id), str(state)): int(count) for webhook_id, state, count in counted}
    hooks = [outbox.webhook(row) for row in (yield run(outbox_statements.WEBHOOKS))]
    return [
        Standing(
            it,
            counts.get((it.id, str(DeliveryState.WAITING)), 0),
            counts.get((it.id, str(DeliveryState.GIVEN_UP)), 0),
        )
        for it in hooks
    ]


def one(webhook_id: str) -> Unit[Webhook]:
    found = yield run(outbox_statements.WEBHOOK, webhook_id)
    if not found:
        raise ProblemError(problem(Code.WEBHOOK_NOT_FOUND))
    return outbox.webhook(found[0])


def with_secret(webhook_id: str) -> Unit[tuple[Webhook, Sealed]]:
    found = yield from one(webhook_id)
    secret = yield run(statements.SEALED, found.secret_name)
    return found, Sealed(*secret[0])


def told(webhook_id: str, limit: int) -> Unit[list[Delivery]]:
    """Its messages, the latest first."""
    yield from one(webhook_id)
    return [outbox.delivery(row) for row in (yield run(outbox_statements.DELIVERIES_OF, webhook_id, limit))]
