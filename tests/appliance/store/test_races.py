"""Two at once: one wins, the other gets the right code, nothing is half done.

Every race runs on one database opened twice, each with connections of its own as two processes have them, and several
times over, so that each rival comes first now and then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from appliance.core.access import RequestState
from appliance.core.clusters import Cluster
from appliance.core.people import Person
from appliance.core.problems import Code
from appliance.core.rights import Principal, rights
from appliance.core.roles import EVERYWHERE, Binding, Permission, Role, Subject, SubjectKind
from appliance.store import granting, ids, removing, requests, units
from appliance.store.store import Store
from appliance.store.unit import Unit
from tests.appliance.store import cast
from tests.appliance.store.cast import ADMIN, ANN, ISSUER, NOW, ON_PROD, VIEWER, bound, race
from tests.appliance.store.homes import Home

pytestmark = pytest.mark.real_clock

ROUNDS = 8  # both orders of two rivals are seen in nearly every run; each must be right anyway


@asynccontextmanager
async def two(home: Home) -> AsyncIterator[tuple[Store, Store]]:
    """The database, opened twice, with the cast in it."""
    async with home.opened() as one:
        await cast.cast(one)
        async with home.opened() as other:
            yield one, other


def swapped(number: int, one: Any, other: Any) -> tuple[Any, Any]:
    """Who is named first starts first, so they take turns at it."""
    return (one, other) if number % 2 else (other, one)


def approve(by: Principal, request_id: str) -> Unit[Any]:
    return requests.approve(by, request_id, NOW, seconds=None, binding_id=ids.new_id("binding"))


async def approvers(store: Store) -> tuple[Principal, Principal, Principal]:
    admin = await cast.machine(store, "admin", (ADMIN, EVERYWHERE))
    both = [await cast.machine(store, name, (cast.may(Permission.ACCESS_APPROVE), ON_PROD)) for name in ("eve", "fay")]
    return admin, both[0], both[1]


async def test_two_approvals_of_which_one_is_enough(home: Home) -> None:
    async with two(home) as (one, other):
        admin, eve, fay = await approvers(one)
        policy = cast.policy()
        await one.write(requests.add_policy(admin.subject, policy, NOW))
        for number in range(ROUNDS):
            asked = await one.write(requests.ask(cast.wish(policy, admin), NOW))
            first, second = swapped(number, (one, eve), (other, fay))
            outcomes = await race((first[0], approve(first[1], asked.id)), (second[0], approve(second[1], asked.id)))
            assert Code.REQUEST_NOT_PENDING in outcomes
            (granted,) = (it for it in outcomes if it is not Code.REQUEST_NOT_PENDING)
            for store in (one, other):
                assert [it.id for it in store.snapshot.bindings.values() if it.request_id] == [granted.binding_id]
                assert len(store.snapshot.access_requests[asked.id].approvals) == 1
            await one.write(requests.revoke(admin, asked.id, "", NOW))
            await other.poll()


async def test_two_approvals_that_are_both_needed(home: Home) -> None:
    async with two(home) as (one, other):
        admin, eve, fay = await approvers(one)
        policy = cast.policy(approvals=2)
        await one.write(requests.add_policy(admin.subject, policy, NOW))
        for number in range(ROUNDS):
            asked = await one.write(requests.ask(cast.wish(policy, admin), NOW))
            first, second = swapped(number, (one, eve), (other, fay))
            outcomes = await race((first[0], approve(first[1], asked.id)), (second[0], approve(second[1], asked.id)))
            assert sorted(str(it.decided) for it in outcomes) == ["approved", "pending"]
            held = one.snapshot.access_requests[asked.id]
            assert {it.subject for it in held.approvals} == {eve.subject, fay.subject}
            assert [it.id for it in other.snapshot.bindings.values() if it.request_id] == [held.binding_id]
            await one.write(requests.revoke(admin, asked.id, "", NOW))
            await other.poll()


async def test_two_registrations_of_one_name(home: Home) -> None:
    async with two(home) as (one, other):
        admin = await cast.machine(one, "admin", (ADMIN, EVERYWHERE))

        def register(cluster: Cluster) -> Unit[str]:
            yield from granting.add_cluster(admin.subject, cluster, NOW)
            yield from units.add_bootstrap_token(ids.new_id("token"), cluster.id, NOW + 1)
            return cluster.id

        for number in range(ROUNDS):
            rivals = [Cluster(ids.new_id("cluster"), f"name-{number}", created_at=NOW) for _ in range(2)]
            outcomes = await race((one, register(rivals[0])), (other, register(rivals[1])))
            assert Code.DUPLICATE_CLUSTER_NAME in outcomes
            (winner,) = (it for it in outcomes if it is not Code.DUPLICATE_CLUSTER_NAME)
            for store in (one, other):
                named = [it.id for it in store.snapshot.clusters.values() if it.name == f"name-{number}"]
                assert named == [winner]


async def test_a_role_deleted_while_being_bound(home: Home) -> None:
    seen = set()
    async with two(home) as (one, other):
        admin = await cast.machine(one, "admin", (ADMIN, EVERYWHERE))
        for number in range(ROUNDS):
            role = Role(ids.new_id("role"), f"role-{number}", groups=("g",))
            await one.write(units.add_role(role, NOW))
            binding = bound(cast.person(ANN), role)
            rivals = swapped(
                number,
                (one, granting.add_binding(admin.subject, binding, NOW)),
                (other, granting.remove_role(admin.subject, role.id, NOW)),
            )
            outcomes = await race(*rivals)
            refused = next(it for it in outcomes if it is not None)
            seen.add(refused)
            for store in (one, other):
                assert (role.id in store.snapshot.roles) is (refused is Code.ROLE_IN_USE)
                assert (binding.id in store.snapshot.bindings) is (refused is Code.ROLE_IN_USE)
    assert seen <= {Code.ROLE_IN_USE, Code.ROLE_NOT_FOUND}


def escalators(store: Store) -> list[str]:
    found = [Subject(SubjectKind.MACHINE, identity) for identity in sorted(store.snapshot.machines)]
    return [it.id for it in found if rights(store.snapshot, it, NOW).everywhere(Permission.ROLES_ESCALATE)]


async def administrators(store: Store, number: int) -> list[tuple[Principal, Binding]]:
    made = []
    for name in ("gus", "hal"):
        who = await cast.machine(store, f"{name}{number}")
        binding = bound(who.subject, ADMIN)
        await store.write(units.add_binding(binding, NOW))
        made.append((who, binding))
    return made


async def test_two_administrators_who_remove_each_other(home: Home) -> None:
    async with two(home) as (one, other):
        for number in range(ROUNDS):
            (gus, of_gus), (hal, of_hal) = await administrators(one, number)
            await other.poll()
            rivals = swapped(
                number,
                (one, granting.remove_binding(gus.subject, of_hal.id, NOW)),
                (other, granting.remove_binding(hal.subject, of_gus.id, NOW)),
            )
            outcomes = await race(*rivals)
            # Whoever came second held nothing any more, and is told what a stranger is told.
            assert sum(it is Code.ASSIGNMENT_NOT_FOUND for it in outcomes) == 1
            assert len(escalators(one)) == len(escalators(other)) == 1
            (left,) = escalators(one)
            await one.write(removing.remove_machine(left, NOW))


async def test_two_administrators_who_both_leave(home: Home) -> None:
    async with two(home) as (one, other):
        for number in range(ROUNDS):
            (gus, of_gus), (hal, _) = await administrators(one, number)
            await other.poll()
            rivals = swapped(
                number,
                (one, granting.remove_binding(gus.subject, of_gus.id, NOW)),
                (other, granting.remove_machine(hal.subject, hal.id, NOW)),
            )
            outcomes = await race(*rivals)
            assert sum(it is Code.LAST_ADMINISTRATOR for it in outcomes) == 1
            (left,) = escalators(one)
            assert [left] == escalators(other)
            await one.write(removing.remove_machine(left, NOW))


async def test_a_right_given_while_it_is_taken_from_the_giver(home: Home) -> None:
    async with two(home) as (one, other):
        admin = await cast.machine(one, "admin", (ADMIN, EVERYWHERE))
        for number in range(ROUNDS):
            giver = await cast.machine(one, f"giver{number}", (cast.may(Permission.BINDINGS_WRITE), EVERYWHERE))
            held = bound(giver.subject, VIEWER)
            await one.write(units.add_binding(held, NOW))
            await other.poll()
            given = bound(cast.person(ANN), VIEWER, ON_PROD)
            rivals = swapped(
                number,
                (one, granting.add_binding(giver.subject, given, NOW)),
                (other, granting.remove_binding(admin.subject, held.id, NOW)),
            )
            outcomes = await race(*rivals)
            late = Code.ESCALATION_FORBIDDEN in outcomes
            assert (given.id in one.snapshot.bindings) is (given.id in other.snapshot.bindings) is not late


async def test_an_approval_against_a_refusal(home: Home) -> None:
    async with two(home) as (one, other):
        admin, eve, fay = await approvers(one)
        policy = cast.policy()
        await one.write(requests.add_policy(admin.subject, policy, NOW))
        for number in range(ROUNDS):
            asked = await one.write(requests.ask(cast.wish(policy, admin), NOW))
            await other.poll()
            rivals = swapped(number, (one, approve(eve, asked.id)), (other, requests.deny(fay, asked.id, "no", NOW)))
            outcomes = await race(*rivals)
            assert sum(it is Code.REQUEST_NOT_PENDING for it in outcomes) == 1
            (won,) = (it for it in outcomes if it is not Code.REQUEST_NOT_PENDING)
            granted = [it for it in one.snapshot.bindings.values() if it.request_id == asked.id]
            assert bool(granted) is (won.decided is RequestState.APPROVED)
            assert one.snapshot.access_requests[asked.id] == other.snapshot.access_requests[asked.id] == won
            if granted:
                await one.write(requests.revoke(admin, asked.id, "", NOW))


async def test_an_approval_against_a_revocation(home: Home) -> None:
    async with two(home) as (one, other):
        admin, eve, fay = await approvers(one)
        policy = cast.policy()
        await one.write(requests.add_policy(admin.subject, policy, NOW))
        for number in range(ROUNDS):
            asked = await one.write(requests.ask(cast.wish(policy, admin), NOW))
            await other.poll()
            approval, revocation = approve(eve, asked.id), requests.revoke(fay, asked.id, "no", NOW)
            outcomes = await race(*swapped(number, (one, approval), (other, revocation)))
            held = one.snapshot.access_requests[asked.id]
            granted = [it for it in one.snapshot.bindings.values() if it.request_id == asked.id]
            if Code.GRANT_NOT_APPROVED in outcomes:  # the revocation came too early, and the grant stands
                assert held.decided is RequestState.APPROVED
                assert [it.id for it in granted] == [held.binding_id]
                await one.write(requests.revoke(admin, asked.id, "", NOW))
            else:
                assert (held.decided, granted) == (RequestState.REVOKED, [])


async def test_the_same_request_asked_twice(home: Home) -> None:
    async with two(home) as (one, other):
        admin = await cast.machine(one, "admin", (ADMIN, EVERYWHERE))
        policy = cast.policy()
        await one.write(requests.add_policy(admin.subject, policy, NOW))
        for _ in range(ROUNDS):
            wishes = [cast.wish(policy, admin) for _ in range(2)]
            outcomes = await race((one, requests.ask(wishes[0], NOW)), (other, requests.ask(wishes[1], NOW)))
            assert sum(it is Code.PENDING_REQUEST_EXISTS for it in outcomes) == 1
            (kept,) = (it for it in outcomes if it is not Code.PENDING_REQUEST_EXISTS)
            await one.write(requests.deny(admin, kept.id, "next round", NOW))


async def test_a_binding_to_an_email_claimed_by_two(home: Home) -> None:
    async with two(home) as (one, other):
        for number in range(ROUNDS):
            mail = f"new{number}@example.com"
            waiting = bound(Subject(SubjectKind.EMAIL, mail, ISSUER), VIEWER)
            await one.write(units.add_binding(waiting, NOW))
            rivals = [Person(f"person_{number}{it}", ISSUER, f"{number}{it}", f"{it}{mail}") for it in "ab"]
            for it in rivals:
                await one.write(units.add_person(it, NOW))
            outcomes = await race(
                (one, units.claim_bindings(rivals[0], mail, NOW)), (other, units.claim_bindings(rivals[1], mail, NOW))
            )
            assert sorted(len(it) for it in outcomes) == [0, 1]
            winner = rivals[0] if outcomes[0] else rivals[1]
            assert one.snapshot.bindings[waiting.id] == other.snapshot.bindings[waiting.id]
            assert one.snapshot.bindings[waiting.id].subject == cast.person(winner)


async def test_an_expiry_is_written_down_once(home: Home) -> None:
    async with two(home) as (one, other):
        admin, eve, _ = await approvers(one)
        policy = cast.policy()
        await one.write(requests.add_policy(admin.subject, policy, NOW))
        for number in range(ROUNDS):
            asked = await one.write(requests.ask(cast.wish(policy, admin), NOW + number))
            granted = await one.write(approve(eve, asked.id))
            after = granted.until
            outcomes = await race((one, requests.settle(asked.id, after)), (other, requests.settle(asked.id, after)))
            assert sum(it is None for it in outcomes) == 1
            assert not [it for it in one.snapshot.bindings.values() if it.request_id]
