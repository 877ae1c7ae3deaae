"""The configuration in memory keeps its indexes true whatever changes in whatever order."""

from __future__ import annotations

from dataclasses import replace

from appliance.core.clusters import AgentCertificate, Cluster
from appliance.core.credentials import KEPT_SECONDS, SECOND
from appliance.core.machines import MachineToken
from appliance.core.people import Machine, Person
from appliance.core.roles import EVERYWHERE, Binding, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Revocation, Snapshot


def test_names_follow_their_entities() -> None:
    snapshot = Snapshot()
    one, two = Cluster("cluster_1", "prod"), Cluster("cluster_2", "dev")
    snapshot.put(Entity.CLUSTER, one.id, one)
    snapshot.put(Entity.CLUSTER, two.id, two)
    assert snapshot.cluster("prod") is one
    assert snapshot.cluster("cluster_1") is one
    assert snapshot.cluster("nowhere") is None
    snapshot.put(Entity.CLUSTER, one.id, replace(one, name="dev"))  # two swap names within a batch
    snapshot.put(Entity.CLUSTER, two.id, replace(two, name="prod"))
    assert {name: it.id for name, it in snapshot.cluster_by_name.items()} == {"dev": "cluster_1", "prod": "cluster_2"}
    snapshot.put(Entity.CLUSTER, one.id, None)
    assert snapshot.cluster("dev") is None
    snapshot.put(Entity.CLUSTER, "cluster_9", None)


def test_people_and_machines_have_their_look_ups() -> None:
    snapshot = Snapshot()
    alice = Person("p", "iss", "sub", "alice")
    snapshot.put(Entity.PERSON, "p", alice)
    assert snapshot.person_by_name["alice"] is snapshot.person_by_subject["iss", "sub"] is alice
    snapshot.put(Entity.MACHINE, "m", Machine("m", "ci"))
    assert set(snapshot.holders) == {"p", "m"}
    assert snapshot.holders["m"].name == "machine:ci"
    token = MachineToken("t", "m", "ab" * 32, 9)
    snapshot.put(Entity.MACHINE_TOKEN, "t", token)
    assert snapshot.machine_token_by_hash["ab" * 32] is token
    snapshot.put(Entity.MACHINE_TOKEN, "t", replace(token, sha256="cd" * 32))
    assert list(snapshot.machine_token_by_hash) == ["cd" * 32]
    snapshot.forget_expired(1 << 62)
    assert not snapshot.machine_tokens
    assert not snapshot.machine_token_by_hash


def test_bindings_are_found_by_subject_group_and_cluster() -> None:
    snapshot = Snapshot()
    snapshot.put(Entity.CLUSTER, "c", Cluster("c", "prod"))
    snapshot.put(Entity.PERSON, "p", Person("p", "iss", "sub", "alice", groups=("dev", "dev", "")))
    own = Binding("b1", Subject(SubjectKind.PERSON, "p"), "r", EVERYWHERE)
    group = Binding("b2", Subject(SubjectKind.GROUP, "dev", "iss"), "r", Scope(ScopeKind.CLUSTER, "c"))
    away = Binding("b3", Subject(SubjectKind.PERSON, "p"), "r", Scope(ScopeKind.CLUSTER, "elsewhere"))
    for binding in (own, group, away):
        snapshot.put(Entity.BINDING, binding.id, binding)
    assert snapshot.bindings_for("p", "c") == (own, group)
    assert snapshot.bindings_for("p", "nowhere") == ()
    assert snapshot.bindings_for("nobody", "c") == ()
    snapshot.put(Entity.BINDING, "b1", replace(own, subject=Subject(SubjectKind.PERSON, "q")))
    assert snapshot.bindings_for("p", "c") == (group,)
    snapshot.put(Entity.BINDING, "b2", None)
    assert snapshot.bindings_for("p", "c") == ()


def test_what_has_expired_is_forgotten() -> None:
    snapshot = Snapshot()
    kept = KEPT_SECONDS * SECOND
    snapshot.put(Entity.REVOCATION, "old", Revocation("old", 9, 1))
    snapshot.put(Entity.REVOCATION, "new", Revocation("new", 10, 1))
    snapshot.put(Entity.REVOCATION, "late", Revocation("late", 9, 11))  # for a stream that outlived its credential
    snapshot.put(Entity.AGENT_CERTIFICATE, "0a", AgentCertificate("0a", "c", 1, kept + 10))
    snapshot.forget_expired(kept + 10)
    assert not snapshot.revoked("old")
    assert snapshot.revoked("new")
    assert snapshot.revoked("late")
    assert snapshot.serials == {}


def test_every_change_makes_a_new_version_and_forgets_what_was_worked_out() -> None:
    snapshot = Snapshot()
    snapshot.put(Entity.CLUSTER, "c", Cluster("c", "prod"))
    ann, staff = Subject(SubjectKind.PERSON, "ann"), Subject(SubjectKind.GROUP, "staff", "https://idp.example.com")
    for entity, identity, value, left in (
        (Entity.REVOCATION, "r", Revocation("r", 9, 1), {"ann", "ben"}),
        (Entity.PERSON, "ann", None, {"ben"}),
        (Entity.BINDING, "b1", Binding("b1", ann, "role", EVERYWHERE), {"ben"}),
        (Entity.BINDING, "b1", Binding("b1", Subject(SubjectKind.MACHINE, "m"), "role", EVERYWHERE), {"ben"}),
        (Entity.BINDING, "b1", Binding("b1", ann, "role", EVERYWHERE), {"ben"}),
        (Entity.BINDING, "b1", Binding("b1", Subject(SubjectKind.PERSON, "ben"), "role", EVERYWHERE), set()),
        (Entity.BINDING, "b1", None, {"ann"}),
        (Entity.BINDING, "b2", Binding("b2", staff, "role", EVERYWHERE), set()),
        (Entity.ROLE, "role", None, set()),
        (Entity.CLUSTER, "c", Cluster("c", "prod"), set()),
    ):
        snapshot.memory = {(person, "c"): 1 for person in ("ann", "ben")}
        before = snapshot.version
        snapshot.put(entity, identity, value)
        assert snapshot.version > before
        assert {person for person, _ in snapshot.memory} == left, (entity, value)
    snapshot.clear()
    assert snapshot.version > before + 1
    assert not snapshot.clusters
    assert not snapshot.cluster_by_name
