"""Credentials in the store: issued, listed, and refused without a gap or an overlap."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio

from appliance.core.clusters import Cluster
from appliance.core.credentials import KEPT_SECONDS, SECOND, Credential, CredentialKind
from appliance.core.people import Person
from appliance.core.problems import Code, ProblemError
from appliance.store import forgetting, issuing, units
from appliance.store.issuing import CredentialState, Wanted
from appliance.store.store import Store
from appliance.store.unit import Unit
from tests.appliance.store.homes import Home

pytestmark = pytest.mark.real_clock

NOW = 1_800_000_000_123_456
HOUR = 3600


def wanted(number: int = 1, person: str = "person_1", cluster: str = "cluster_1", seconds: int = HOUR) -> Wanted:
    return Wanted(f"cred_{number}", person, cluster, CredentialKind.STATIC, seconds, "machine_1")


async def furnish(store: Store) -> None:
    for number in (1, 2):
        await store.write(units.add_person(Person(f"person_{number}", "iss", f"s{number}", f"p{number}"), NOW))
        await store.write(units.add_cluster(Cluster(f"cluster_{number}", f"c{number}"), NOW))


async def listed(store: Store, state: CredentialState | None = None, person: str = "", now: int = NOW) -> list[str]:
    found = await store.read(issuing.page(person, None, state, None, 100, now))
    return [f"{it.credential.id} {it.state}" for it in found]


async def test_a_credential_is_issued_to_the_microsecond_and_expires_on_a_second(home: Home) -> None:
    async with home.opened() as store:
        await furnish(store)
        made = await store.write(issuing.issue(wanted(), NOW))
        assert made == Credential("cred_1", "person_1", "cluster_1", NOW, NOW // SECOND * SECOND + HOUR * SECOND)
        (shown,) = await store.read(issuing.page("", None, None, None, 100, NOW))
        assert (shown.credential, shown.kind, shown.issued_by) == (made, CredentialKind.STATIC, "machine_1")


@pytest.mark.parametrize(
    ("person", "cluster", "code"),
    [("person_9", "cluster_1", Code.USER_NOT_FOUND), ("person_1", "cluster_9", Code.CLUSTER_NOT_FOUND)],
)
async def test_none_is_issued_for_who_or_what_is_not_there(home: Home, person: str, cluster: str, code: Code) -> None:
    async with home.opened() as store:
        await furnish(store)
        with pytest.raises(ProblemError) as caught:
            await store.write(issuing.issue(wanted(1, person, cluster), NOW))
        assert caught.value.problem.code is code
        assert await listed(store) == []


@pytest.mark.parametrize("clock_back", [0, 1, 5 * SECOND])
async def test_what_was_issued_before_a_refusal_is_refused_and_what_comes_after_is_not(
    home: Home, clock_back: int
) -> None:
    """In the same microsecond, and when the clock of whoever refuses, or issues next, is behind."""
    async with home.opened() as store:
        await furnish(store)
        before = await store.write(issuing.issue(wanted(1), NOW))
        person = await store.write(issuing.refuse_person("person_1", NOW - clock_back))
        between = await store.write(issuing.issue(wanted(2), NOW - 2 * clock_back))
        cluster = await store.write(issuing.refuse_cluster("cluster_1", NOW - clock_back))
        after = await store.write(issuing.issue(wanted(3), NOW - 2 * clock_back))
        assert before.issued_at <= person.not_before < between.issued_at <= cluster.not_before < after.issued_at


async def test_disabling_refuses_what_was_issued_in_the_same_second_also_after_enabling(home: Home) -> None:
    async with home.opened() as store:
        await furnish(store)
        await store.write(issuing.issue(wanted(1), NOW))
        disabled = await store.write(issuing.refuse_person("person_1", NOW, disable=True))
        assert not disabled.enabled
        with pytest.raises(ProblemError) as caught:
            await store.write(issuing.issue(wanted(2), NOW))
        assert caught.value.problem.code is Code.PERSON_DISABLED
        assert await listed(store) == ["cred_1 revoked"]


async def test_a_refusal_never_becomes_younger(home: Home) -> None:
    async with home.opened() as store:
        await furnish(store)
        first = await store.write(issuing.refuse_person("person_1", NOW))
        assert (
            await store.write(issuing.refuse_person("person_1", NOW - HOUR * SECOND))
        ).not_before == first.not_before


async def test_the_list_tells_each_state(home: Home) -> None:
    async with home.opened() as store:
        await furnish(store)
        await store.write(issuing.issue(wanted(1, "person_1", seconds=60), NOW))
        await store.write(issuing.issue(wanted(2, "person_2"), NOW + 1))
        await store.write(issuing.issue(wanted(3, "person_2", "cluster_2"), NOW + 2))
        await store.write(issuing.issue(wanted(4, "person_1", "cluster_2"), NOW + 3))
        await store.write(units.revoke_credential("cred_2", "lost", NOW))
        later = NOW + 61 * SECOND

        assert await listed(store) == ["cred_4 live", "cred_3 live", "cred_2 revoked", "cred_1 live"]
        assert await listed(store, now=later) == ["cred_4 live", "cred_3 live", "cred_2 revoked", "cred_1 expired"]
        assert await listed(store, CredentialState.EXPIRED, now=later) == ["cred_1 expired"]
        assert await listed(store, CredentialState.LIVE, person="person_2", now=later) == ["cred_3 live"]
        await store.write(units.remove_cluster("cluster_2", NOW))
        assert await listed(store, CredentialState.REVOKED) == ["cred_4 revoked", "cred_3 revoked", "cred_2 revoked"]


async def test_pages_join_without_a_gap_also_where_times_are_equal(home: Home) -> None:
    async with home.opened() as store:
        await furnish(store)
        for number in range(7):
            await store.write(issuing.issue(wanted(number), NOW + number // 3))
        seen: list[str] = []
        beyond = None
        while found := await store.read(issuing.page("", None, None, beyond, 2, NOW)):
            seen += [it.credential.id for it in found]
            beyond = (found[-1].credential.issued_at, found[-1].credential.id)
        assert seen == [f"cred_{number}" for number in (6, 5, 4, 3, 2, 1, 0)]


async def test_a_page_holds_the_clusters_wanted_and_no_others(home: Home) -> None:
    async with home.opened() as store:
        await furnish(store)
        await store.write(units.add_cluster(Cluster("cluster_21", "c21"), NOW))
        for number, cluster in enumerate(("cluster_1", "cluster_2", "cluster_21", "cluster_1")):
            await store.write(issuing.issue(wanted(number, cluster=cluster), NOW + number))

        async def of(*clusters: str) -> list[str]:
            return [it.credential.id for it in await store.read(issuing.page("", clusters, None, None, 9, NOW))]

        assert await of("cluster_1") == ["cred_3", "cred_0"]
        assert await of("cluster_1", "cluster_2") == ["cred_3", "cred_1", "cred_0"]
        assert await of("cluster_21") == ["cred_2"]
        assert await of("cluster_9") == await of() == []


async def test_rows_outlive_the_token_and_then_go(home: Home) -> None:
    async with home.opened() as store:
        await furnish(store)
        made = await store.write(issuing.issue(wanted(), NOW))
        await store.write(units.revoke_credential("cred_1", "lost", NOW))
        kept = made.expires_at + KEPT_SECONDS * SECOND
        await store.write(forgetting.forget_expired(kept, 0))
        store.snapshot.forget_expired(kept)
        assert store.snapshot.revoked("cred_1")
        assert await listed(store, now=kept) == ["cred_1 expired"]
    async with home.opened() as store:
        assert store.snapshot.revoked("cred_1"), "also after a restart"
        await store.write(forgetting.forget_expired(kept + 1, 0))
        store.snapshot.forget_expired(kept + 1)
        assert not store.snapshot.revoked("cred_1")
        assert await listed(store, now=kept) == []


async def test_whoever_shows_a_token_may_have_it_revoked_though_its_row_is_lost(home: Home) -> None:
    shown = Credential("cred_9", "person_9", "cluster_9", NOW, NOW + HOUR * SECOND)
    async with home.opened() as store:
        assert await store.write(issuing.revoke_shown(shown, "by its holder", NOW))
        assert not await store.write(issuing.revoke_shown(shown, "again", NOW + 1))
        assert store.snapshot.revocations["cred_9"].reason == "by its holder"


async def test_two_appliances_whose_clocks_differ_issue_and_refuse_at_once(home: Home) -> None:
    """What was answered before a refusal began is refused; what was asked for after its answer is not. No deadlock."""
    behind = 5 * SECOND
    async with home.opened() as one, home.opened() as other:
        await furnish(one)
        await other.poll()
        numbers = itertools.count()

        async def issue_some(store: Store, now: int, made: list[Credential]) -> None:
            for _ in range(5):
                made.append(await store.write(issuing.issue(wanted(next(numbers)), now)))  # noqa: PERF401 -- in turn

        for number in range(6):
            before: list[Credential] = []
            during: list[Credential] = []
            after: list[Credential] = []
            await issue_some(one, NOW, before)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(issue_some, one, NOW, during)
                nursery.start_soon(issue_some, other, NOW - behind, during)
                refuse: Unit[Any] = issuing.refuse_person("person_1", NOW - behind)
                if number % 2:
                    refuse = issuing.refuse_cluster("cluster_1", NOW - behind)
                nursery.start_soon(other.write, refuse)
            await one.poll()
            not_before = max(one.snapshot.people["person_1"].not_before, one.snapshot.clusters["cluster_1"].not_before)
            await issue_some(other, NOW - behind, after)
            assert all(it.issued_at <= not_before for it in before)
            assert all(it.issued_at > not_before for it in after)
            assert len({it.id for it in [*before, *during, *after]}) == 20
