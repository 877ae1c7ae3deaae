"""Webhooks: who is told of access requests. Add one, list them, try one, see what it was told, remove it.

The secret that signs its messages is made here and shown once. Of the URL, only the host is shown again: what follows
may be all that a receiver asks of whoever posts there. A webhook hears of every request there is, so the
permissions are needed everywhere. How a receiver verifies a message is in docs/webhooks.md.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from appliance.api import bodies, pages, readers, render, shapes
from appliance.api.bodies import BodyError, Field
from appliance.api.journal import note
from appliance.api.routes import Answer, Call, Route
from appliance.core.destinations import BadURL, destination
from appliance.core.events import EventType
from appliance.core.paging import ordered
from appliance.core.problems import Code, ProblemError, problem
from appliance.core.roles import Permission
from appliance.core.webhooks import (
    SECRET_BYTES,
    SUBSCRIBABLE,
    Delivery,
    Notice,
    Target,
    Webhook,
    enveloped,
    shown_secret,
    shown_url,
)
from appliance.store import ids, webhooks
from appliance.store.sessions import Sealed
from appliance.store.webhooks import Standing

MAX_TOLD: Final = 1_000  # messages shown of one webhook: what is looked at when something did not arrive


async def listed(call: Call) -> Answer:
    """The oldest first."""
    every = ordered(await call.parts.read(webhooks.listed()), lambda it: (it.webhook.created_at, it.webhook.id))
    found, following = await pages.cut(call, pages.asked(call, "webhooks", int, str), every, lambda _: True)
    return pages.answer([_standing(it) for it in found], following)


async def one(call: Call) -> Answer:
    """With how many messages wait and were given up."""
    found = next((it for it in await call.parts.read(webhooks.listed()) if it.webhook.id == call.path["webhook"]), None)
    if found is None:
        raise ProblemError(problem(Code.WEBHOOK_NOT_FOUND))
    return Answer(200, _standing(found))


async def create(call: Call) -> Answer:
    """Its URL is dialled for the first time when there is something to tell, or by `test`."""
    body = call.body
    to, by = Target(body["url"], secrets.token_bytes(SECRET_BYTES)), call.caller.id
    made = Webhook(ids.new_id("webhook"), shown_url(to.url), body["events"], body["description"], call.now, by)
    sealed = Sealed(*call.parts.seal(made.secret_name, to.text()))
    await call.parts.write(webhooks.add(call.caller.subject, made, sealed, call.now))
    await _note(call, EventType.WEBHOOK_CREATED, made)
    return Answer(201, {**_shown(made), "secret": shown_secret(to.secret)})


async def remove(call: Call) -> Answer:
    """What it was still to be told is dropped."""
    gone = await call.parts.write(webhooks.remove(call.caller.subject, call.path["webhook"], call.now))
    await _note(call, EventType.WEBHOOK_DELETED, gone)
    return Answer(204)


async def told(call: Call) -> Answer:
    """The latest first: each message with how far it has come."""
    webhook_id = call.path["webhook"]
    latest = ordered(await call.parts.read(webhooks.told(webhook_id, MAX_TOLD)), lambda it: (-it.created_at, it.id))
    found, following = await pages.cut(call, pages.asked(call, webhook_id, int, str), latest, lambda _: True)
    return pages.answer([_delivery(it) for it in found], following)


async def test(call: Call) -> Answer:
    """Sends it a message of type `webhook.test` now, once, and says what became of that."""
    hook, sealed = await call.parts.read(webhooks.with_secret(call.path["webhook"]))
    body = enveloped(Notice.TEST, {"webhook": hook.id, "by": call.caller.name}, call.now)
    message = Delivery(ids.new_id("msg"), hook.id, Notice.TEST, body, call.now)
    outcome = await call.parts.send_notice(hook, message, sealed.key_id, sealed.box)
    await _note(call, EventType.WEBHOOK_TESTED, hook, delivered=outcome.delivered, answered=outcome.status or "")
    shown = {"delivered": outcome.delivered, "status": outcome.status, "error": outcome.error}
    return Answer(200, {"id": message.id, **shown})


@bodies.reads(readers.issuer)
def url(where: str, value: Any) -> str:
    """An https URL; whether it may be dialled is known when it is."""
    if not isinstance(value, str):
        raise BodyError(where, f"{where} must be a text.")
    try:
        destination(value)
    except BadURL as error:
        raise BodyError(where, f"{where} {error}.") from None
    return value


@bodies.reads(
    {
        "type": "array",
        "items": {"type": "string", "enum": [str(it) for it in SUBSCRIBABLE]},
        "uniqueItems": True,
        "maxItems": len(SUBSCRIBABLE),
    }
)
def events(where: str, value: Any) -> tuple[Notice, ...]:
    found: tuple[Notice, ...] = bodies.listed(readers.one_of(Notice))(where, value)
    if Notice.TEST in found or len(set(found)) != len(found):
        raise BodyError(where, f"{where} must be some of {', '.join(SUBSCRIBABLE)}, each once.")
    return found


def _shown(it: Webhook) -> dict[str, Any]:
    return {
        "id": it.id,
        "url": shown_url(it.shown),
        "events": [str(one) for one in it.notices or SUBSCRIBABLE],
        "description": it.description,
        "created_at": render.moment(it.created_at),
        "created_by": it.created_by,
    }


def _standing(it: Standing) -> dict[str, Any]:
    return {**_shown(it.webhook), "waiting": it.waiting, "given_up": it.given_up}


def _delivery(it: Delivery) -> dict[str, Any]:
    return {
        "id": it.id,
        "type": str(it.notice),
        "state": str(it.state),
        "tries": it.tries,
        "status": it.status,
        "error": it.error,
        "created_at": render.moment(it.created_at),
        "next_try_at": render.moment(it.next_at) if it.done_at is None else None,
        "done_at": render.moment(it.done_at),
    }


async def _note(call: Call, kind: EventType, it: Webhook, **details: object) -> None:
    await note(call, kind, by=None, cluster=None, credential_id="", webhook_id=it.id, host=it.host, **details)


ROUTES = (
    Route("GET", "webhooks", (Permission.WEBHOOKS_READ,), listed, query=pages.QUERY, gives=shapes.WebhookStanding),
    Route(
        "POST",
        "webhooks",
        (Permission.WEBHOOKS_WRITE,),
        create,
        body=(
            Field("url", url),
            Field("events", events, required=False, default=()),
            Field("description", bodies.text, required=False, default=""),
        ),
        gives=shapes.NewWebhook,
        status=201,
        refuses=(Code.TOO_MANY_WEBHOOKS,),
    ),
    Route(
        "GET",
        "webhooks/<webhook>",
        (Permission.WEBHOOKS_READ,),
        one,
        gives=shapes.WebhookStanding,
        refuses=(Code.WEBHOOK_NOT_FOUND,),
    ),
    Route(
        "GET",
        "webhooks/<webhook>/messages",
        (Permission.WEBHOOKS_READ,),
        told,
        query=pages.QUERY,
        gives=shapes.WebhookMessage,
        refuses=(Code.WEBHOOK_NOT_FOUND,),
    ),
    Route(
        "POST",
        "webhooks/<webhook>/test",
        (Permission.WEBHOOKS_WRITE,),
        test,
        gives=shapes.WebhookTest,
        refuses=(Code.WEBHOOK_NOT_FOUND,),
    ),
    Route(
        "DELETE",
        "webhooks/<webhook>",
        (Permission.WEBHOOKS_WRITE,),
        remove,
        status=204,
        refuses=(Code.WEBHOOK_NOT_FOUND,),
    ),
)
