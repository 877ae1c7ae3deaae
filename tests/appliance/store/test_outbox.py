"""The outbox: what is told is there when and only when its change is, and one sender at a time has it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from appliance.core.access import SECOND
from appliance.core.problems import Code
from appliance.core.roles import EVERYWHERE, Permission
from appliance.core.webhooks import (
    KEPT_SECONDS,
    MAX_WEBHOOKS,
    SUBSCRIBABLE,
    DeliveryState,
    Notice,
    Outcome,
    Webhook,
)
from appliance.store import forgetting, outbox, requests, units, webhooks
from appliance.store.outbox import TAKEN_SECONDS
from appliance.store.sessions import Sealed
from appliance.store.store import Store
from tests.appliance.store import cast
from tests.appliance.store.cast import ANN, NOW, ON_PROD, PROD, VIEWER, race, refused
from tests.appliance.store.homes import Home
from tests.appliance.store.test_races import ROUNDS, swapped
from tests.appliance.store.test_requests import Scene, scene

pytestmark = pytest.mark.real_clock


async def hook(it: Scene, name: str = "webhook_1", *notices: Notice) -> Webhook:
    made = Webhook(name, "https://chat.example.com/x", notices, "chat", NOW, it.admin.id)
    sealed = Sealed(*it.store.seal(made.secret_name, b"secret"))
    await it.store.write(webhooks.add(it.admin.subject, made, sealed, NOW))
    return made


async def told(store: Store, name: str = "webhook_1") -> list[str]:
    """The types of its messages, oldest first."""
    return [it.notice for it in reversed(await store.read(webhooks.told(name, 100)))]


async def test_every_step_of_a_request_is_told_once(home: Home) -> None:
    async with scene(home) as it:
        await hook(it)
        await hook(it, "webhook_2", Notice.DENIED)
        policy = await it.policy(approvals=2, reason_required=True)
        asked = await it.ask(policy, reason="incident 7", reviewers=("cat@example.com",))
        await it.store.write(it.approval(it.eve, asked, NOW + 1))
        await it.store.write(it.approval(it.fay, asked, NOW + 2))
        assert await refused(it.store, it.approval(it.fay, asked)) is Code.REQUEST_NOT_PENDING
        await it.store.write(requests.revoke(it.eve, asked.id, "over", NOW + 3))
        second = await it.ask(policy, reason="again", now=NOW + 4)
        await it.store.write(requests.deny(it.eve, second.id, "no", NOW + 5))
        third = await it.ask(policy, reason="again", now=NOW + 6, created_at=NOW + 6)
        await it.store.write(requests.settle(third.id, third.expires_at))
        steps = ["created", "seconded", "approved", "revoked", "created", "denied", "created", "expired"]
        assert await told(it.store) == [f"access_request.{step}" for step in steps]
        assert await told(it.store, "webhook_2") == ["access_request.denied"]
        assert {f"access_request.{step}" for step in steps} == set(SUBSCRIBABLE)
        first = (await it.store.read(webhooks.told("webhook_1", 100)))[-1]
        data = json.loads(first.body)["data"]
        assert (data["requester"]["name"], data["cluster"]["name"], data["role"]["name"], data["reviewers"]) == (
            ANN.name,
            PROD.name,
            VIEWER.name,
            ["cat@example.com"],
        )
        assert it.store.snapshot.access_requests[asked.id].reviewers == ("cat@example.com",)


async def test_what_a_removed_cluster_ends_is_told_too(home: Home) -> None:
    async with scene(home) as it:
        await hook(it)
        await it.ask(await it.policy())
        await it.store.write(units.remove_cluster(PROD.id, NOW + 1))
        assert await told(it.store) == ["access_request.created", "access_request.denied"]


async def test_one_sender_has_a_message_and_loses_it_when_it_ends(home: Home) -> None:
    async with scene(home) as it:
        made = await hook(it)
        await it.ask(await it.policy())
        assert await it.store.read(outbox.due(NOW - 1)) == []
        assert await it.store.read(outbox.due(NOW)) == [made.id]
        taken = await it.store.write(outbox.take(made.id, NOW))
        assert taken is not None
        assert (taken.delivery.tries, it.store.unseal(made.secret_name, taken.key_id, taken.box)) == (1, b"secret")
        assert await it.store.write(outbox.take(made.id, NOW)) is None
        later = NOW + TAKEN_SECONDS * SECOND
        again = await it.store.write(outbox.take(made.id, later))  # whoever had it is gone
        assert again is not None
        assert (again.delivery.id, again.delivery.body, again.delivery.tries) == (
            taken.delivery.id,
            taken.delivery.body,
            2,
        )
        assert await it.store.write(outbox.settle(again.delivery, Outcome(500, "It answered 500."), later + 1, later))
        assert await it.store.read(outbox.due(later)) == []
        third = await it.store.write(outbox.take(made.id, later + 1))
        assert third is not None
        assert await it.store.write(outbox.settle(third.delivery, Outcome(204), None, later + 2))
        (done,) = await it.store.read(webhooks.told(made.id, 10))
        assert (done.state, done.status, done.error, done.tries) == (DeliveryState.DELIVERED, 204, "", 3)
        await it.store.write(forgetting.forget_expired(later + 2 + KEPT_SECONDS * SECOND, 0))
        assert len(await it.store.read(webhooks.told(made.id, 10))) == 1
        await it.store.write(forgetting.forget_expired(later + 3 + KEPT_SECONDS * SECOND, 0))
        assert await it.store.read(webhooks.told(made.id, 10)) == []


async def test_who_was_overtaken_writes_nothing_down(home: Home) -> None:
    async with scene(home) as it:
        made = await hook(it)
        await it.ask(await it.policy())
        late = await it.store.write(outbox.take(made.id, NOW))
        at = NOW + TAKEN_SECONDS * SECOND
        quick = await it.store.write(outbox.take(made.id, at))
        assert late is not None
        assert quick is not None
        for outcome, again in ((Outcome(500, "It answered 500."), at + 1), (Outcome(410, "It answered 410."), None)):
            assert not await it.store.write(outbox.settle(late.delivery, outcome, again, at))
        assert await it.store.write(outbox.settle(quick.delivery, Outcome(204), None, at))
        for outcome, again in ((Outcome(500, "It answered 500."), at + 1), (Outcome(410, "It answered 410."), None)):
            assert not await it.store.write(outbox.settle(quick.delivery, outcome, again, at))
        (done,) = await it.store.read(webhooks.told(made.id, 10))
        assert (done.state, done.status, done.tries) == (DeliveryState.DELIVERED, 204, 2)
        assert done.body == ""  # whom it named is not kept for a week


async def test_of_two_senders_one_has_a_message(home: Home) -> None:
    async with scene(home) as it, home.opened() as other:
        made = await hook(it)
        policy = await it.policy()
        for number in range(ROUNDS):
            asked = await it.ask(policy)
            stores = swapped(number, it.store, other)
            taken = [one for one in await race(*((store, outbox.take(made.id, NOW)) for store in stores)) if one]
            assert len(taken) == 1
            await it.store.write(outbox.settle(taken[0].delivery, Outcome(204), None, NOW))
            await it.store.write(requests.deny(it.eve, asked.id, "no", NOW))
            denied = await it.store.write(outbox.take(made.id, NOW))
            assert denied is not None
            await it.store.write(outbox.settle(denied.delivery, Outcome(204), None, NOW))


async def test_a_removed_webhook_takes_what_it_was_owed_along(home: Home) -> None:
    async with scene(home) as it:
        made = await hook(it)
        await it.ask(await it.policy())
        taken = await it.store.write(outbox.take(made.id, NOW))
        assert taken is not None
        assert [(one.waiting, one.given_up) for one in await it.store.read(webhooks.listed())] == [(1, 0)]
        await it.store.write(webhooks.remove(it.admin.subject, made.id, NOW))
        assert not await it.store.write(outbox.settle(taken.delivery, Outcome(200), None, NOW))
        assert await it.store.read(webhooks.listed()) == []
        assert await refused(it.store, webhooks.remove(it.admin.subject, made.id, NOW)) is Code.WEBHOOK_NOT_FOUND
        assert await it.store.read(outbox.due(NOW * 2)) == []


async def test_whoever_hears_everything_is_let_in_by_who_may(home: Home) -> None:
    async with scene(home) as it:
        local = await cast.machine(it.store, "local", (cast.may(Permission.WEBHOOKS_WRITE), ON_PROD))
        one = Webhook("webhook_9", "https://x.example.com", created_at=NOW)
        sealed = Sealed("k", "b")
        assert await refused(it.store, webhooks.add(local.subject, one, sealed, NOW)) is Code.FORBIDDEN
        for number in range(MAX_WEBHOOKS):
            await hook(it, f"webhook_{number}")
        over = replace(one, id="webhook_over")
        assert await refused(it.store, webhooks.add(it.admin.subject, over, sealed, NOW)) is Code.TOO_MANY_WEBHOOKS
        wide = await cast.machine(
            it.store, "wide", (cast.may(Permission.WEBHOOKS_WRITE, Permission.WEBHOOKS_READ), EVERYWHERE)
        )
        await it.store.write(webhooks.remove(wide.subject, "webhook_0", NOW))
