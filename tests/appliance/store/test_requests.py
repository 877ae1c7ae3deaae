"""Access for a while: asked, approved, denied, revoked, ended by the clock; and what hangs on it when that goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from appliance.core.access import KEPT_SECONDS, PENDING_SECONDS, SECOND, AccessRequest, RequestPolicy, RequestState
from appliance.core.problems import Code
from appliance.core.rights import Principal
from appliance.core.roles import EVERYWHERE, Permission, Scope, Subject
from appliance.store import forgetting, granting, ids, requests, units
from appliance.store.store import Store
from appliance.store.unit import Unit
from tests.appliance.store import cast
from tests.appliance.store.cast import (
    ADMIN,
    ANN,
    BEN,
    BLUE,
    BY_LABEL,
    DEV,
    NOW,
    ON_DEV,
    ON_PROD,
    OPERATOR,
    PROD,
    VIEWER,
    bound,
    refused,
)
from tests.appliance.store.homes import Home

pytestmark = pytest.mark.real_clock

APPROVER = cast.may(Permission.ACCESS_APPROVE)


@dataclass
class Scene:
    """`desk` asks for people; `eve` and `fay` approve on the cluster prod."""

    store: Store
    admin: Principal
    desk: Principal
    eve: Principal
    fay: Principal

    async def policy(self, **fields: Any) -> RequestPolicy:
        made = cast.policy(**fields)
        await self.store.write(requests.add_policy(self.admin.subject, made, NOW))
        return made

    async def ask(
        self, of: RequestPolicy, subject: Subject | None = None, now: int = NOW, **fields: Any
    ) -> AccessRequest:
        return await self.store.write(requests.ask(cast.wish(of, self.desk, subject, **fields), now))

    def approval(
        self, by: Principal, of: AccessRequest, now: int = NOW, seconds: int | None = None
    ) -> Unit[AccessRequest]:
        return requests.approve(by, of.id, now, seconds=seconds, binding_id=ids.new_id("binding"))


@asynccontextmanager
async def scene(home: Home) -> AsyncIterator[Scene]:
    async with home.opened() as store:
        await cast.cast(store)
        yield Scene(
            store,
            await cast.machine(store, "admin", (ADMIN, EVERYWHERE)),
            await cast.machine(store, "desk", (cast.may(Permission.ACCESS_REQUEST_FOR), ON_PROD)),
            await cast.machine(store, "eve", (APPROVER, ON_PROD)),
            await cast.machine(store, "fay", (APPROVER, ON_PROD)),
        )


async def test_a_grant_is_a_binding_that_ends(home: Home) -> None:
    async with scene(home) as it:
        policy = await it.policy()
        asked = await it.ask(policy)
        assert it.store.snapshot.bindings_of(cast.person(ANN)) == ()
        granted = await it.store.write(it.approval(it.eve, asked))
        (binding,) = it.store.snapshot.bindings_of(cast.person(ANN))
        assert (binding.id, binding.request_id, binding.until) == (granted.binding_id, asked.id, NOW + 1800 * SECOND)
        assert (binding.role_id, binding.scope) == (VIEWER.id, ON_PROD)
        assert granted.state(NOW) is RequestState.APPROVED
        assert granted.state(NOW + 1800 * SECOND) is RequestState.EXPIRED
    async with home.opened() as store:
        assert store.snapshot.access_requests[asked.id] == granted
        assert store.snapshot.policies[policy.id] == policy


async def test_nobody_approves_their_own_or_twice_or_unnamed(home: Home) -> None:
    async with scene(home) as it:
        for subject in (it.desk.subject, cast.person(ANN)):
            await it.store.write(units.add_binding(bound(subject, APPROVER), NOW))
        policy = await it.policy(approvals=2)
        asked = await it.ask(policy)
        ann = Principal(cast.person(ANN), ANN.name)
        assert await refused(it.store, it.approval(it.desk, asked)) is Code.SELF_APPROVAL_FORBIDDEN
        assert await refused(it.store, it.approval(ann, asked)) is Code.SELF_APPROVAL_FORBIDDEN
        await it.store.write(it.approval(it.eve, asked))
        assert await refused(it.store, it.approval(it.eve, asked)) is Code.ALREADY_APPROVED
        named = replace(policy, approvers=(cast.person(BEN), it.eve.subject))
        await it.store.write(requests.set_policy(it.admin.subject, policy.id, lambda _: named, NOW))
        assert await refused(it.store, it.approval(it.fay, asked)) is Code.APPROVER_NOT_NAMED
        assert not [one for one in it.store.snapshot.bindings.values() if one.request_id]


@pytest.mark.parametrize("scope", [ON_DEV, BLUE, replace(BY_LABEL, labels=(("env", "dev"),))])
async def test_approving_needs_the_right_in_that_scope(home: Home, scope: Scope) -> None:
    async with scene(home) as it:
        stranger = await cast.machine(it.store, "stranger", (APPROVER, scope), (OPERATOR, EVERYWHERE))
        asked = await it.ask(await it.policy())
        assert await refused(it.store, it.approval(stranger, asked)) is Code.REQUEST_NOT_FOUND
        for unit in (
            requests.deny(stranger, asked.id, "no", NOW),
            requests.revoke(stranger, asked.id, "no", NOW),
            requests.approve(it.eve, "request_none", NOW, seconds=None, binding_id="b"),
        ):
            assert await refused(it.store, unit) is Code.REQUEST_NOT_FOUND


async def test_the_right_to_approve_is_enough_to_approve(home: Home) -> None:
    """An approver need not hold the role: the policy's maker had to."""
    async with scene(home) as it:
        asked = await it.ask(await it.policy(role=OPERATOR, scope=BY_LABEL), scope=BLUE)
        assert (await it.store.write(it.approval(it.eve, asked))).decided is RequestState.APPROVED


async def test_a_policy_is_made_by_who_could_give_the_role(home: Home) -> None:
    async with scene(home) as it:
        writer = await cast.machine(
            it.store, "writer", (cast.may(Permission.POLICIES_WRITE), ON_PROD), (VIEWER, ON_PROD)
        )
        await it.store.write(requests.add_policy(writer.subject, cast.policy(), NOW))
        for policy, code in (
            (cast.policy(role=OPERATOR), Code.ESCALATION_FORBIDDEN),
            (cast.policy(scope=ON_DEV), Code.CLUSTER_NOT_FOUND),
            (cast.policy(scope=EVERYWHERE), Code.FORBIDDEN),
            (cast.policy(role=replace(VIEWER, id="role_none")), Code.ROLE_NOT_FOUND),
        ):
            assert await refused(it.store, requests.add_policy(writer.subject, policy, NOW)) is code
        theirs = await it.policy(role=OPERATOR)
        wider = requests.set_policy(
            writer.subject, theirs.id, lambda one: replace(one, askers=(cast.person(BEN),)), NOW
        )
        assert await refused(it.store, wider) is Code.ESCALATION_FORBIDDEN
        away = await it.policy(scope=ON_DEV)
        assert await refused(it.store, requests.remove_policy(writer.subject, away.id, NOW)) is (
            Code.REQUEST_POLICY_NOT_FOUND
        )
        gone = replace(ON_DEV, cluster_id="cluster_none")
        assert await refused(it.store, requests.add_policy(it.admin.subject, cast.policy(scope=gone), NOW)) is (
            Code.CLUSTER_NOT_FOUND
        )


async def test_what_may_be_asked(home: Home) -> None:
    async with scene(home) as it:
        policy = await it.policy(askers=(cast.group("dev"),), scope=BY_LABEL, reason_required=True)
        wish = cast.wish(policy, it.desk, scope=ON_PROD, reason="incident 7")
        on_dev = await cast.machine(it.store, "elsewhere", (cast.may(Permission.ACCESS_REQUEST_FOR), ON_DEV))
        for change, code in (
            ({"subject": cast.person(BEN)}, Code.REQUEST_POLICY_NOT_FOUND),  # not of the group
            ({"policy_id": "policy_none"}, Code.REQUEST_POLICY_NOT_FOUND),
            ({"scope": ON_DEV}, Code.CLUSTER_NOT_FOUND),  # the desk asks on prod only
            ({"asked_by": on_dev.subject}, Code.CLUSTER_NOT_FOUND),
            ({"reason": ""}, Code.REQUEST_OUTSIDE_POLICY),
            ({"seconds": 3601}, Code.INVALID_DURATION),
            ({"seconds": 9}, Code.INVALID_DURATION),
            ({"asked_by": it.admin.subject, "scope": ON_DEV}, Code.REQUEST_OUTSIDE_POLICY),
            ({"asked_by": it.admin.subject, "scope": EVERYWHERE}, Code.REQUEST_OUTSIDE_POLICY),
            ({"asked_by": it.admin.subject, "scope": replace(ON_DEV, cluster_id="x")}, Code.CLUSTER_NOT_FOUND),
        ):
            assert await refused(it.store, requests.ask(replace(wish, **change), NOW)) is code, change
        await it.store.write(units.set_person(ANN.id, lambda one: replace(one, enabled=False), NOW))
        assert await refused(it.store, requests.ask(wish, NOW)) is Code.PERSON_DISABLED
        await it.store.write(units.set_person(ANN.id, lambda one: replace(one, enabled=True), NOW))
        await it.store.write(requests.ask(wish, NOW))
        assert list(it.store.snapshot.access_requests) == [wish.id]


async def test_a_caller_asks_for_itself_where_the_policy_names_it(home: Home) -> None:
    async with scene(home) as it:
        robot = await cast.machine(it.store, "robot")
        policy = await it.policy(askers=(robot.subject,))
        asked = await it.store.write(requests.ask(cast.wish(policy, robot, robot.subject), NOW))
        await it.store.write(it.approval(it.eve, asked))
        assert len(it.store.snapshot.bindings_of(robot.subject)) == 1
        other = await cast.machine(it.store, "other")
        assert await refused(it.store, requests.ask(cast.wish(policy, other, other.subject), NOW)) is (
            Code.REQUEST_POLICY_NOT_FOUND
        )
        assert (await it.store.write(requests.revoke(robot, asked.id, "done", NOW))).decided is RequestState.REVOKED


async def test_the_same_is_not_asked_twice(home: Home) -> None:
    async with scene(home) as it:
        policy = await it.policy()
        asked = await it.ask(policy)
        assert await refused(it.store, requests.ask(cast.wish(policy, it.desk), NOW)) is Code.PENDING_REQUEST_EXISTS
        await it.ask(policy, scope=BLUE)
        granted = await it.store.write(it.approval(it.eve, asked))
        assert await refused(it.store, requests.ask(cast.wish(policy, it.desk), NOW)) is Code.GRANT_ALREADY_ACTIVE
        assert granted.until is not None
        await it.ask(policy, now=granted.until, expires_at=granted.until + 1)  # by the clock it is over
        await it.store.write(units.add_binding(bound(cast.group("dev"), OPERATOR, BY_LABEL), NOW))
        operator = await it.policy(role=OPERATOR)
        assert await refused(it.store, requests.ask(cast.wish(operator, it.desk), NOW)) is Code.STATIC_ASSIGNMENT_EXISTS


async def test_one_person_may_wait_for_several_clusters(home: Home) -> None:
    async with scene(home) as it:
        everywhere = await it.policy(scope=EVERYWHERE)
        ann = Principal(cast.person(ANN), ANN.name)
        here, there = [
            await it.store.write(requests.ask(cast.wish(everywhere, ann, scope=scope), NOW))
            for scope in (ON_PROD, ON_DEV)
        ]
        assert (await it.store.write(it.approval(it.eve, here))).state(NOW) is RequestState.APPROVED
        assert it.store.snapshot.access_requests[there.id].state(NOW) is RequestState.PENDING
        (grant,) = it.store.snapshot.bindings_of(cast.person(ANN))
        assert grant.scope == ON_PROD


async def test_a_program_that_asks_for_ever_is_stopped(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MAX_OPEN_REQUESTS", 2)
    async with scene(home) as it:
        policy = await it.policy()
        for space in ("a", "b"):
            await it.ask(policy, scope=replace(BLUE, namespaces=(space,)))
        assert await refused(it.store, requests.ask(cast.wish(policy, it.desk), NOW)) is Code.RATE_LIMITED


async def test_an_answer_that_comes_too_late_or_again(home: Home) -> None:
    async with scene(home) as it:
        policy = await it.policy()
        asked = await it.ask(policy)
        late = NOW + PENDING_SECONDS * SECOND
        assert await refused(it.store, it.approval(it.eve, asked, late)) is Code.REQUEST_EXPIRED
        assert await refused(it.store, requests.deny(it.eve, asked.id, "no", late)) is Code.REQUEST_EXPIRED
        assert await refused(it.store, requests.revoke(it.eve, asked.id, "", NOW)) is Code.GRANT_NOT_APPROVED
        denied = await it.store.write(requests.deny(it.eve, asked.id, "not today", NOW))
        assert (denied.note, denied.closed_by) == ("not today", "eve")
        assert await refused(it.store, it.approval(it.eve, asked)) is Code.REQUEST_NOT_PENDING
        granted = await it.store.write(it.approval(it.eve, await it.ask(policy)))
        assert granted.until is not None
        assert await refused(it.store, requests.revoke(it.eve, granted.id, "", granted.until)) is (
            Code.GRANT_ALREADY_EXPIRED
        )
        await it.store.write(requests.revoke(it.eve, granted.id, "done", NOW))
        assert await refused(it.store, requests.revoke(it.eve, granted.id, "", NOW)) is Code.GRANT_ALREADY_REVOKED
        assert not [one for one in it.store.snapshot.bindings.values() if one.request_id]


async def test_an_approver_may_shorten_but_not_lengthen(home: Home) -> None:
    async with scene(home) as it:
        asked = await it.ask(await it.policy(approvals=2))
        assert await refused(it.store, it.approval(it.eve, asked, seconds=1801)) is Code.INVALID_DURATION
        assert await refused(it.store, it.approval(it.eve, asked, seconds=-1)) is Code.INVALID_DURATION
        await it.store.write(it.approval(it.eve, asked, seconds=600))
        assert await refused(it.store, it.approval(it.fay, asked, seconds=1200)) is Code.INVALID_DURATION
        granted = await it.store.write(it.approval(it.fay, asked))
        assert granted.until == NOW + 600 * SECOND


async def test_what_changed_since_it_was_asked_counts_when_it_is_approved(home: Home) -> None:
    async with scene(home) as it:
        policy = await it.policy(scope=BY_LABEL)
        asked = await it.ask(policy, scope=ON_PROD)
        await it.store.write(units.set_person(ANN.id, lambda one: replace(one, enabled=False), NOW))
        assert await refused(it.store, it.approval(it.eve, asked)) is Code.PERSON_DISABLED
        await it.store.write(units.set_person(ANN.id, lambda one: replace(one, enabled=True), NOW))
        await it.store.write(units.set_cluster(PROD.id, lambda one: replace(one, labels=()), NOW))
        assert await refused(it.store, it.approval(it.eve, asked)) is Code.REQUEST_OUTSIDE_POLICY
        await it.store.write(units.set_cluster(PROD.id, lambda one: replace(one, labels=PROD.labels), NOW))
        shorter = replace(policy, max_seconds=600)
        await it.store.write(requests.set_policy(it.admin.subject, policy.id, lambda _: shorter, NOW))
        granted = await it.store.write(it.approval(it.eve, asked))
        assert granted.until == NOW + 600 * SECOND


async def test_what_it_rests_on_goes_and_it_goes_too(home: Home) -> None:
    async with scene(home) as it:
        policy = await it.policy()
        assert await refused(it.store, granting.remove_role(it.admin.subject, VIEWER.id, NOW)) is Code.ROLE_IN_USE
        granted = await it.store.write(it.approval(it.eve, await it.ask(policy)))
        waiting = await it.ask(policy, scope=BLUE)
        held = it.store.snapshot.access_requests
        await it.store.write(requests.remove_policy(it.admin.subject, policy.id, NOW))
        assert held[waiting.id].decided is RequestState.DENIED
        assert held[granted.id].decided is RequestState.APPROVED
        await it.store.write(granting.remove_binding(it.admin.subject, granted.binding_id, NOW))
        assert (held[granted.id].decided, held[granted.id].note) == (RequestState.REVOKED, "its binding was removed")

        policy = await it.policy()
        granted = await it.store.write(it.approval(it.eve, await it.ask(policy)))
        waiting = await it.ask(policy, scope=BLUE)
        await it.store.write(granting.remove_cluster(it.admin.subject, PROD.id, NOW))
        assert held[waiting.id].decided is RequestState.DENIED
        assert held[granted.id].decided is RequestState.REVOKED
        assert it.store.snapshot.policies == {}
        assert not [one for one in it.store.snapshot.bindings.values() if one.request_id]
        await it.store.write(granting.remove_role(it.admin.subject, VIEWER.id, NOW))


async def test_the_clock_needs_no_sweep_and_the_sweep_tidies_up(home: Home) -> None:
    async with scene(home) as it:
        policy = await it.policy()
        granted = await it.store.write(it.approval(it.eve, await it.ask(policy)))
        waiting = await it.ask(policy, scope=BLUE)
        assert await it.store.write(requests.settle(granted.id, NOW)) is None
        after = NOW + PENDING_SECONDS * SECOND
        for request in (granted, waiting):
            ended = await it.store.write(requests.settle(request.id, after))
            assert ended is not None
            assert ended.decided is RequestState.EXPIRED
        assert await it.store.write(requests.settle("request_none", after)) is None
        assert granted.binding_id not in it.store.snapshot.bindings

        brief = bound(cast.person(BEN), VIEWER, until=NOW + 1)
        await it.store.write(units.add_binding(brief, NOW))
        await it.store.write(forgetting.forget_expired(NOW + 1, NOW + 1))
        assert brief.id in it.store.snapshot.bindings
        await it.store.write(forgetting.forget_expired(NOW + 2, NOW + 2))
        assert brief.id not in it.store.snapshot.bindings
        much_later = after + KEPT_SECONDS * SECOND
        await it.store.write(forgetting.forget_expired(much_later, after))
        assert set(it.store.snapshot.access_requests) == {waiting.id}
        await it.store.write(forgetting.forget_expired(much_later + 1, after))
        assert it.store.snapshot.access_requests == {}


async def test_a_new_store_has_no_requests_and_dev_is_untouched(home: Home) -> None:
    async with scene(home) as it:
        await it.store.write(it.approval(it.eve, await it.ask(await it.policy())))
        assert it.store.snapshot.bindings_for(ANN.id, DEV.id) == ()
