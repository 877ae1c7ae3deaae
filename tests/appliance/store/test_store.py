"""The store on both engines: whole or not at all, seen by everyone, never served stale."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio

from appliance.core.clusters import AgentCertificate, Cluster
from appliance.core.credentials import Credential
from appliance.core.machines import Condition, MachineToken, TrustRule
from appliance.core.people import Machine, Person
from appliance.core.problems import Code, ProblemError
from appliance.core.roles import EVERYWHERE, Binding, Permission, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity
from appliance.store import forgetting, removing, rows, statements, units
from appliance.store.faults import StoreUnavailable
from appliance.store.store import Applied, Store
from appliance.store.unit import Unit, run
from appliance.store.units import Enrolled, TokenFault, TokenRefused
from tests.appliance.store.homes import NOW, Home

pytestmark = pytest.mark.real_clock

HOUR = 3600 * 1_000_000
CLUSTER = Cluster("cluster_1", "prod", (("env", "prod"),), created_at=NOW)
ALICE = Person("person_1", "iss", "sub", "alice@example.com", "a@example.com", ("dev", "ops"), created_at=NOW)
MACHINE = Machine("machine_1", "ci", NOW, "machine_0", 7)
TOKEN = MachineToken(
    "token_1", "machine_1", "ab" * 32, NOW + HOUR, "laptop", "trust_1", "repo:x", NOW, "machine_0", NOW
)
TRUST = TrustRule(
    "trust_1",
    "machine_1",
    "https://ci.example.com",
    "https://fairlead.example.com",
    (Condition("sub", ("repo:example/*",)), Condition("/a/b", ("c", "d"))),
    '{"keys":[]}',
    single_use=False,
    seconds=60,
    created_at=NOW,
    created_by="machine_0",
)
ROLE = Role(
    "role_1",
    "viewer",
    "looks",
    ("viewers",),
    (Rule(("get",), ("",), ("pods",), ("web",)), Rule(("get",), non_resource_urls=("/metrics",))),
    (Permission.AUDIT_READ,),
    NOW,
)
ME = Subject(SubjectKind.PERSON, "person_1")
SPACES = Scope(ScopeKind.NAMESPACES, "cluster_1", namespaces=("blue", "green"))


def added_rule(rule: TrustRule) -> Unit[None]:
    yield from units.change(Entity.TRUST_RULE, rule.id, NOW)
    yield run(statements.TRUST_RULE_ADD, *rows.trust_rule_values(rule))


async def test_everything_reads_back_as_it_was_written_here_and_after_a_restart(home: Home) -> None:
    binding = Binding("binding_1", ME, "role_1", SPACES, NOW + HOUR, "request_1", NOW)
    group = Binding(
        "binding_2",
        Subject(SubjectKind.GROUP, "dev", "iss"),
        "role_1",
        Scope(ScopeKind.LABELS, labels=(("env", "prod"),)),
        created_at=NOW,
    )
    async with home.opened() as store:
        for unit in (
            units.add_cluster(CLUSTER, NOW),
            units.add_person(ALICE, NOW),
            units.add_machine(MACHINE, NOW),
            units.add_machine_token(TOKEN, NOW),
            added_rule(TRUST),
            units.add_role(ROLE, NOW),
            units.add_binding(binding, NOW),
            units.add_binding(group, NOW),
        ):
            await store.write(unit)
        here = store.snapshot
    async with home.opened() as store:
        for found in (here, store.snapshot):
            assert found.clusters == {"cluster_1": CLUSTER}
            assert found.people == {"person_1": ALICE}
            assert found.machines == {"machine_1": MACHINE}
            assert found.machine_token_by_hash == {"ab" * 32: TOKEN}
            assert found.trust_rules == {"trust_1": TRUST}
            assert found.roles == {"role_1": ROLE}
            assert found.bindings_for("person_1", "cluster_1") == (binding, group)


async def test_a_write_is_answered_once_the_snapshot_holds_it(home: Home) -> None:
    heard: list[Applied] = []
    async with home.opened() as store:
        store.on_change.append(heard.append)
        await store.write(units.add_cluster(CLUSTER, NOW))
        assert store.snapshot.cluster("prod") == CLUSTER
        assert heard == [((Entity.CLUSTER, "cluster_1"),)]


async def test_a_listener_that_fails_does_not_keep_the_others_from_hearing(home: Home) -> None:
    heard: list[Applied] = []

    def broken(_: Applied) -> None:
        raise RuntimeError("no")

    async with home.opened() as store:
        store.on_change += [broken, heard.append]
        await store.write(units.add_cluster(CLUSTER, NOW))
    assert heard


async def test_what_is_refused_leaves_nothing_and_the_feed_has_no_gap(home: Home) -> None:
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        for unit, code in (
            (units.add_cluster(replace(CLUSTER, id="cluster_2"), NOW), Code.DUPLICATE_CLUSTER_NAME),
            (units.remove_cluster("nowhere", NOW), Code.CLUSTER_NOT_FOUND),
            (units.remove_role("nowhere", NOW), Code.ROLE_NOT_FOUND),
            (units.remove_binding("nowhere", NOW), Code.ASSIGNMENT_NOT_FOUND),
            (removing.remove_machine("nowhere", NOW), Code.MACHINE_NOT_FOUND),
            (units.add_binding(Binding("b", ME, "nowhere", EVERYWHERE), NOW), Code.ROLE_NOT_FOUND),
        ):
            with pytest.raises(ProblemError) as caught:
                await store.write(unit)
            assert caught.value.problem.code is code
        await store.write(units.add_role(ROLE, NOW))
        with pytest.raises(ProblemError) as caught:
            await store.write(units.add_binding(Binding("b", ME, "role_1", EVERYWHERE), NOW))
        assert caught.value.problem.code is Code.USER_NOT_FOUND
        await store.write(units.add_person(ALICE, NOW))
        with pytest.raises(ProblemError) as caught:
            await store.write(units.add_binding(Binding("b", ME, "role_1", replace(SPACES, cluster_id="no")), NOW))
        assert caught.value.problem.code is Code.CLUSTER_NOT_FOUND
        await store.write(units.add_binding(Binding("b", ME, "role_1", EVERYWHERE), NOW))
        with pytest.raises(ProblemError) as caught:
            await store.write(units.remove_role("role_1", NOW))
        assert caught.value.problem.code is Code.ROLE_IN_USE
        assert list(store.snapshot.clusters) == ["cluster_1"]
    ((head,),) = home.query("SELECT head FROM feed")
    numbers = [int(number) for (number,) in home.query("SELECT number FROM changes ORDER BY number")]
    assert numbers == list(range(1, int(head) + 1)) == [1, 2, 3, 4]


async def test_a_text_that_not_every_engine_keeps_is_refused(home: Home) -> None:
    async with home.opened() as store:
        for name in ("a\0b", "\ud800"):
            with pytest.raises(ValueError):
                await store.write(units.add_cluster(replace(CLUSTER, name=name), NOW))
        with pytest.raises(TypeError):
            run(statements.CLUSTER, b"bytes")  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            run(statements.CLUSTER, 1 << 63)
        assert store.snapshot.clusters == {}


async def test_removing_takes_along_what_hangs_on_it_but_never_a_revocation(home: Home) -> None:
    certificate = AgentCertificate("0a", "cluster_1", 1, NOW + HOUR, NOW)
    credential = Credential("cred_1", "person_1", "cluster_1", NOW, NOW + HOUR)
    machine = Subject(SubjectKind.MACHINE, "machine_1")
    async with home.opened() as store:
        for unit in (
            units.add_cluster(CLUSTER, NOW),
            units.add_person(ALICE, NOW),
            units.add_machine(MACHINE, NOW),
            units.add_role(ROLE, NOW),
            units.add_binding(Binding("b1", ME, "role_1", SPACES), NOW),
            units.add_binding(Binding("b2", machine, "role_1", EVERYWHERE), NOW),
            units.add_bootstrap_token("t1", "cluster_1", NOW + HOUR),
            units.add_certificate(certificate, "k1", "PEM", NOW),
            units.add_credential(credential, "machine_1"),
        ):
            await store.write(unit)
        await store.write(units.revoke_credential("cred_1", "lost", NOW))
        await store.write(units.revoke_credential("cred_1", "again", NOW))
        assert store.snapshot.revocations["cred_1"].reason == "lost"
        assert store.snapshot.serials == {"0a": certificate}
        await store.write(units.remove_cluster("cluster_1", NOW))
        await store.write(removing.remove_machine("machine_1", NOW))
        await store.write(units.remove_role("role_1", NOW))
        assert (store.snapshot.bindings, store.snapshot.serials, store.snapshot.roles) == ({}, {}, {})
        assert store.snapshot.revoked("cred_1")
        with pytest.raises(TokenRefused):
            await store.write(units.enrol("t1", "k2", issue, NOW))


async def test_people_clusters_and_roles_change_as_they_are_now(home: Home) -> None:
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        await store.write(units.add_cluster(Cluster("cluster_2", "dev"), NOW))
        await store.write(units.add_person(ALICE, NOW))
        await store.write(units.add_role(ROLE, NOW))
        await store.write(units.set_person("person_1", lambda it: replace(it, enabled=False, not_before=5), NOW))
        await store.write(units.raise_generation("cluster_1", NOW))
        await store.write(units.set_cluster("cluster_1", lambda it: replace(it, name="eu", not_before=9), NOW))
        await store.write(units.set_role("role_1", lambda it: replace(it, groups=("x",)), NOW))
        assert store.snapshot.people["person_1"] == replace(ALICE, enabled=False, not_before=5)
        assert store.snapshot.cluster("eu") == replace(CLUSTER, name="eu", not_before=9, generation=2)
        assert store.snapshot.cluster("prod") is None
        assert store.snapshot.roles["role_1"] == replace(ROLE, groups=("x",))
        with pytest.raises(ProblemError) as caught:
            await store.write(units.set_cluster("cluster_1", lambda it: replace(it, name="dev"), NOW))
        assert caught.value.problem.code is Code.DUPLICATE_CLUSTER_NAME


async def test_reading_cannot_write(home: Home) -> None:
    async with home.opened() as store:
        with pytest.raises(StoreUnavailable, match=r"read-?only"):
            await store.read(units.add_cluster(CLUSTER, NOW))
        await store.write(units.add_cluster(CLUSTER, NOW))


# Bootstrap tokens


def issue(cluster: Cluster) -> tuple[AgentCertificate, str]:
    issued.append(cluster.id)
    serial = f"{len(issued):02x}"
    return AgentCertificate(serial, cluster.id, cluster.generation, NOW + HOUR), f"PEM {serial}"


issued: list[str] = []


async def test_a_token_buys_one_certificate_and_the_same_one_again_for_the_same_key(home: Home) -> None:
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        await store.write(units.add_bootstrap_token("t1", "cluster_1", NOW + 10))
        first = await store.write(units.enrol("t1", "k1", issue, NOW))
        assert not first.again
        assert len(store.snapshot.serials) == 1
        assert await store.write(units.enrol("t1", "k1", issue, NOW + 9)) == Enrolled(
            "cluster_1", first.pem, again=True
        )
        assert len(store.snapshot.serials) == 1
        for token, key, now, fault in (
            ("t1", "k2", NOW, TokenFault.SPENT),
            ("t1", "k1", NOW + 10, TokenFault.EXPIRED),
            ("t2", "k1", NOW, TokenFault.UNKNOWN),
        ):
            with pytest.raises(TokenRefused) as caught:
                await store.write(units.enrol(token, key, issue, now))
            assert caught.value.fault is fault
        await store.write(units.add_bootstrap_token("t3", "cluster_1", NOW + 10))
        await store.write(units.raise_generation("cluster_1", NOW))
        with pytest.raises(TokenRefused) as caught:
            await store.write(units.enrol("t3", "k3", issue, NOW))
        assert caught.value.fault is TokenFault.REVOKED


async def test_of_many_who_show_one_token_at_once_one_gets_in(home: Home) -> None:
    outcomes: list[object] = []

    async def show(store: Store, key: str) -> None:
        try:
            outcomes.append(await store.write(units.enrol("t1", key, issue, NOW)))
        except TokenRefused as refused:
            outcomes.append(refused.fault)

    async with home.opened() as one, home.opened() as two:
        await one.write(units.add_cluster(CLUSTER, NOW))
        await one.write(units.add_bootstrap_token("t1", "cluster_1", NOW + 10))
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(show, (one, two)[number % 2], f"k{number}")
    assert outcomes.count(TokenFault.SPENT) == 19
    assert sum(isinstance(outcome, Enrolled) for outcome in outcomes) == 1


async def test_units_that_read_before_they_write_do_not_fail_each_other(home: Home) -> None:
    async with home.opened() as one, home.opened() as two:
        await one.write(units.add_cluster(CLUSTER, NOW))
        async with trio.open_nursery() as nursery:
            for number in range(200):
                store = (one, two)[number % 2]
                nursery.start_soon(store.write, units.add_bootstrap_token(f"t{number}", "cluster_1", NOW + 10))
    assert home.query("SELECT count(*) FROM bootstrap_tokens") == [("200",)]


# Other processes, and other moments


async def test_another_process_is_seen_by_the_feed(home: Home) -> None:
    async with home.opened() as ours, home.opened() as theirs:
        await theirs.write(units.add_cluster(CLUSTER, NOW))
        assert ours.snapshot.clusters == {}
        await ours.poll()
        assert ours.snapshot.clusters == {"cluster_1": CLUSTER}
        await theirs.write(units.remove_cluster("cluster_1", NOW))
        await ours.write(units.add_role(ROLE, NOW))  # our own write brings theirs along, in order
        assert ours.snapshot.clusters == {}


async def test_a_running_store_sees_another_process_by_itself(home: Home) -> None:
    seen = trio.Event()
    async with home.opened(running=True) as ours:
        ours.on_change.append(lambda _: seen.set())
        async with home.opened() as theirs:
            await theirs.write(units.add_machine(MACHINE, NOW))
        with trio.fail_after(15):
            await seen.wait()
        assert ours.snapshot.machines == {"machine_1": MACHINE}


async def test_behind_a_pruned_history_everything_is_read_again(home: Home) -> None:
    async with home.opened() as ours, home.opened() as theirs:
        await theirs.write(units.add_cluster(CLUSTER, NOW))
        await ours.poll()
        before = ours.snapshot
        await theirs.write(units.remove_cluster("cluster_1", NOW))
        await theirs.write(units.add_role(ROLE, NOW))
        await theirs.write(units.add_person(ALICE, NOW))
        await theirs.write(forgetting.forget_expired(NOW, NOW + 1))
        heard: list[Applied] = []
        ours.on_change.append(heard.append)
        await ours.poll()
        assert ours.snapshot is before
        assert (ours.snapshot.clusters, list(ours.snapshot.roles)) == ({}, ["role_1"])
        assert set(heard[0]) == {(Entity.ROLE, "role_1"), (Entity.PERSON, "person_1")}


async def test_a_store_that_cannot_be_read_says_so_first_to_requests_then_to_streams(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.opened() as store:
        polled = trio.current_time()
        for later, fresh, lost in ((29, True, False), (31, False, False), (89, False, False), (92, False, True)):
            monkeypatch.setattr(store, "_time", partial(float, polled + later))
            assert (store.fresh(), store.lost()) == (fresh, lost)
        monkeypatch.undo()
        await store.poll()
        assert store.fresh()


async def test_many_that_want_to_see_the_latest_look_together(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    async with home.opened() as store, home.opened() as theirs:
        looks = 0
        read = store._engine.read

        async def counted(unit: Unit[Any]) -> Any:
            nonlocal looks
            looks += 1
            return await read(unit)

        monkeypatch.setattr(store._engine, "read", counted)

        async def want(number: int) -> None:
            await theirs.write(
                units.add_person(replace(ALICE, id=f"p{number}", subject=f"{number}", name=f"{number}"), NOW)
            )
            await store.poll()
            assert f"p{number}" in store.snapshot.people  # also for those who did not look themselves

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(want, number)
            for _ in range(40):
                nursery.start_soon(store.poll)
        assert looks < 60


async def test_a_cancelled_write_happens_whole_or_not_at_all_and_the_next_is_not_held_up(home: Home) -> None:
    async with home.opened() as store:
        await store.write(units.add_cluster(CLUSTER, NOW))
        for number in range(60):
            with trio.move_on_after(0.0001 * (number % 10)):
                await store.write(pair(number))
        await store.write(units.add_role(ROLE, NOW))
        people = set(store.snapshot.people)
        assert all((f"a{number}" in people) == (f"b{number}" in people) for number in range(60))
    async with home.opened() as store:
        assert set(store.snapshot.people) == people


def pair(number: int) -> Unit[None]:
    for letter in "ab":
        yield from units.add_person(
            replace(ALICE, id=f"{letter}{number}", subject=f"{letter}{number}", name=f"{letter}{number}"), NOW
        )


# Secrets


async def test_a_secret_is_made_once_for_all_processes(home: Home) -> None:
    async with home.opened() as one, home.opened() as two:
        assert await one.secret("ca", lambda: b"first") == b"first"
        assert await two.secret("ca", lambda: b"second") == b"first"
        assert "first" not in str(home.query("SELECT * FROM sealed"))
    assert home.key.stat().st_mode & 0o777 == 0o600
