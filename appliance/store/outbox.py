"""The outbox: what webhooks are to be told, written in the very transaction of what it tells, and taken out one by one.

So what happened is told at least once, however the appliance ends: a message is there when and only when its change is,
and is only done when a receiver has answered or it was given up. Whoever takes one has it for a while, and nobody else;
if they end meanwhile, it is taken again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.core.access import SECOND, AccessRequest
from appliance.core.roles import SubjectKind
from appliance.core.webhooks import Delivery, DeliveryState, Names, Notice, Outcome, Webhook, message
from appliance.store import ids, outbox_statements, rows, statements
from appliance.store.unit import Row, Unit, Value, run

TAKEN_SECONDS: Final = 30  # twice what a try may take, from the look-up to the store's answer


@dataclass(frozen=True, slots=True)
class Taken:
    """One message that is ours to send now, and the sealed secret to sign it with."""

    webhook: Webhook
    delivery: Delivery
    key_id: str
    box: str


def announce(notice: Notice, request: AccessRequest, now: int) -> Unit[None]:
    """Puts it into the outbox of everyone who wants to hear of it."""
    hooks = [webhook(row) for row in (yield run(outbox_statements.WEBHOOKS))]
    wanting = [it for it in hooks if it.wants(notice)]
    if not wanting:
        return
    body = message(notice, request, (yield from _names(request)), now)
    for it in wanting:
        values = (ids.new_id("msg"), it.id, str(notice), body, now, str(DeliveryState.WAITING))
        yield run(outbox_statements.DELIVERY_ADD, *values)


def due(now: int) -> Unit[list[str]]:
    """The webhooks to which something is to be sent now."""
    return [str(row[0]) for row in (yield run(outbox_statements.DELIVERIES_DUE, str(DeliveryState.WAITING), now))]


def resume(now: int) -> Unit[None]:
    """Everything that waits may be taken now. For the only appliance on a store, at its start: nobody is sending."""
    yield run(outbox_statements.DELIVERIES_RESUME, str(DeliveryState.WAITING), now)


def take(webhook_id: str, now: int) -> Unit[Taken | None]:
    """The next message to this webhook, for us to send; None: there is none, or somebody else is sending it."""
    waiting = str(DeliveryState.WAITING)
    found = yield run(outbox_statements.WEBHOOK, webhook_id)
    following = yield run(outbox_statements.DELIVERY_NEXT, webhook_id, waiting, now)
    if not found or not following:
        return None
    taken = yield run(outbox_statements.DELIVERY_TAKE, following[0][0], waiting, now, now + TAKEN_SECONDS * SECOND)
    hook = webhook(found[0])
    secret = yield run(statements.SEALED, hook.secret_name)
    return Taken(hook, delivery(taken[0]), *secret[0]) if taken and secret else None


def settle(it: Delivery, outcome: Outcome, again: int | None, now: int) -> Unit[bool]:
    """Writes down what a try gave; `again`: when it is tried next; when never, the body has served.

    False: its webhook was removed meanwhile, or somebody else took it, whose try counts.
    """
    state = DeliveryState.DELIVERED if outcome.delivered else DeliveryState.GIVEN_UP
    values: tuple[Value, ...] = (str(state), it.next_at, outcome.status, outcome.error, now, "")
    waiting = str(DeliveryState.WAITING)
    if not outcome.delivered and again is not None:
        values = (waiting, again, outcome.status, outcome.error, None, it.body)
    return bool((yield run(outbox_statements.DELIVERY_SET, it.id, *values, waiting, it.tries)))


def webhook(row: Row) -> Webhook:
    identity, shown, notices, description, created_at, created_by = row
    wanted = tuple(Notice(it) for it in str(notices).split()) if notices else ()
    return Webhook(identity, shown, wanted, description, created_at, created_by)


def delivery(row: Row) -> Delivery:
    identity, webhook_id, notice, body, created_at, tries, next_at, state, status, error, done_at = row
    return Delivery(
        identity,
        webhook_id,
        Notice(notice),
        body,
        created_at,
        tries,
        next_at,
        DeliveryState(state),
        status,
        error,
        done_at,
    )


def _names(request: AccessRequest) -> Unit[Names]:
    name, email = "", ""
    if request.subject.kind is SubjectKind.PERSON:
        people = yield run(statements.PERSON, request.subject.id)
        if people:
            person = rows.person(people[0])
            name, email = person.name, person.email
    else:
        machines = yield run(statements.MACHINE, request.subject.id)
        name = rows.machine(machines[0]).name if machines else ""
    roles = yield run(statements.ROLE, request.role_id)
    clusters = yield run(statements.CLUSTER, request.scope.cluster_id)
    return Names(
        name, email, rows.role(roles[0]).name if roles else "", rows.cluster(clusters[0]).name if clusters else ""
    )
