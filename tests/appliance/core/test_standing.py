"""A thousand bindings cost a request no more than one: what is looked at, counted."""

from __future__ import annotations

import pytest

from appliance.core import standing
from appliance.core.clusters import Cluster
from appliance.core.decision import Denial, Permit, decide
from appliance.core.people import Person
from appliance.core.roles import EVERYWHERE, Binding, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Revocation, Snapshot
from appliance.core.standing import Holding
from tests.appliance.core.worlds import NOW, ask, credential
from wire.kube import Ask

PROD = Cluster("cluster_1", "prod")
ANN = Person("person_1", "https://login.example.com", "1", "ann@example.com")
ME = Subject(SubjectKind.PERSON, ANN.id)


def world(bindings: int, until: int | None = None) -> Snapshot:
    """Bindings with rules, for one namespace each."""
    snapshot = Snapshot()
    snapshot.put(Entity.CLUSTER, PROD.id, PROD)
    snapshot.put(Entity.PERSON, ANN.id, ANN)
    snapshot.put(Entity.ROLE, "role", Role("role", "viewer", groups=("g",), rules=(Rule(("get",), ("",), ("pods",)),)))
    for number in range(bindings):
        scope = Scope(ScopeKind.NAMESPACES, PROD.id, namespaces=(f"space-{number}",))
        binding = Binding(f"b{number:04}", ME, "role", scope, until)
        snapshot.put(Entity.BINDING, binding.id, binding)
    return snapshot


def decided(snapshot: Snapshot, request: str, now: int = NOW) -> Permit | Denial:
    return decide(credential(ANN, PROD), snapshot, PROD.id, ask(request), now)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The bindings that were looked at, one by one."""
    seen: list[str] = []
    original = Holding.allows

    def allows(self: Holding, asked: Ask) -> bool:
        seen.append(self.binding.id)
        return original(self, asked)

    monkeypatch.setattr(Holding, "allows", allows)
    return seen


@pytest.mark.interpreted
def test_a_request_looks_at_the_bindings_of_its_namespace_once(looked: list[str]) -> None:
    snapshot = world(1000)
    for name in ("web", "db", "x"):
        assert isinstance(decided(snapshot, f"GET /api/v1/namespaces/space-7/pods/{name}"), Permit)
    assert looked == ["b0007"]


@pytest.mark.interpreted
def test_what_is_remembered_outlives_a_revocation_but_no_change_of_rights(looked: list[str]) -> None:
    snapshot = world(3)
    decided(snapshot, "GET /api/v1/namespaces/space-1/pods/web")
    snapshot.put(Entity.REVOCATION, "cred_9", Revocation("cred_9", NOW + 1, NOW))
    decided(snapshot, "GET /api/v1/namespaces/space-1/pods/web")
    assert len(looked) == 1
    snapshot.put(Entity.ROLE, "role", Role("role", "viewer", rules=(Rule(("list",), ("",), ("pods",)),)))
    assert isinstance(decided(snapshot, "GET /api/v1/namespaces/space-1/pods/web"), Denial)
    assert len(looked) >= 2


def test_the_clock_alone_ends_what_is_remembered() -> None:
    snapshot = world(2, until=NOW + 5)
    request = "GET /api/v1/namespaces/space-1/pods/web"
    assert isinstance(decided(snapshot, request), Permit)
    assert isinstance(decided(snapshot, request, NOW + 4), Permit)
    assert isinstance(decided(snapshot, request, NOW + 5), Denial)
    assert isinstance(decided(snapshot, request, NOW + 4), Permit)


def test_of_several_ends_the_first_one_counts_first() -> None:
    snapshot = world(0)
    for number, until in enumerate((NOW + 3, NOW + 5, None)):
        snapshot.put(Entity.BINDING, f"b{number}", Binding(f"b{number}", ME, "role", EVERYWHERE, until))
    seen = {}
    for now in (NOW, NOW + 2, NOW + 3, NOW + 4, NOW + 5, NOW + 9, NOW + 1):
        found = decided(snapshot, "GET /api/v1/namespaces/x/pods/web", now)
        assert isinstance(found, Permit)
        seen[now - NOW] = (len(found.binding_ids), found.until)
    assert seen == {
        0: (3, NOW + 3),
        2: (3, NOW + 3),
        3: (2, NOW + 5),
        4: (2, NOW + 5),
        5: (1, None),
        9: (1, None),
        1: (3, NOW + 3),
    }


@pytest.mark.interpreted
def test_what_is_remembered_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "MAX_REMEMBERED_KINDS", 4)
    monkeypatch.setattr(standing, "MAX_REMEMBERED_GROUNDS", 4)
    snapshot = world(20)
    snapshot.put(Entity.BINDING, "all", Binding("all", ME, "role", EVERYWHERE))
    for number in range(20):
        found = decided(snapshot, f"GET /api/v1/namespaces/space-{number}/pods/web")
        assert isinstance(found, Permit)
        assert found.binding_ids == ("all", f"b{number:04}")
        held = snapshot.memory[ANN.id, PROD.id]
        assert len(held._kinds) <= 4
        assert len(held._known) <= 4


def test_a_record_names_a_few_bindings_and_counts_the_rest() -> None:
    snapshot = world(0)
    for number in range(20):
        binding = Binding(f"b{number:04}", ME, "role", EVERYWHERE)
        snapshot.put(Entity.BINDING, binding.id, binding)
    found = decided(snapshot, "GET /api/v1/namespaces/x/pods/web")
    assert isinstance(found, Permit)
    assert len(found.binding_ids) == 20
    assert found.rule.endswith("viewer by b0007 and 12 more")
