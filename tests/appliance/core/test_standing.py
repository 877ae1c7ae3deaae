"""A thousand bindings cost a request no more than one: what is run through, counted."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import appliance
import wire
from appliance.core import standing
from appliance.core.clusters import Cluster
from appliance.core.decision import Denial, Permit, decide
from appliance.core.people import Person
from appliance.core.roles import EVERYWHERE, Binding, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from appliance.core.snapshot import Entity, Revocation, Snapshot
from tests.appliance.core.worlds import NOW, ask, credential

PROD = Cluster("cluster_1", "prod")
ANN = Person("person_1", "https://login.example.com", "1", "ann@example.com")
ME = Subject(SubjectKind.PERSON, ANN.id)
RULE = Rule(("get",), ("",), ("pods",))


def world(bindings: int, until: int | None = None) -> Snapshot:
    """Bindings with rules, for one namespace each."""
    snapshot = Snapshot()
    snapshot.put(Entity.CLUSTER, PROD.id, PROD)
    snapshot.put(Entity.PERSON, ANN.id, ANN)
    snapshot.put(Entity.ROLE, "role", Role("role", "viewer", groups=("g",), rules=(RULE,)))
    for number in range(bindings):
        scope = Scope(ScopeKind.NAMESPACES, PROD.id, namespaces=(f"space-{number}",))
        binding = Binding(f"b{number:04}", ME, "role", scope, until)
        snapshot.put(Entity.BINDING, binding.id, binding)
    return snapshot


def decided(snapshot: Snapshot, request: str, now: int = NOW) -> Permit | Denial:
    return decide(credential(ANN, PROD), snapshot, PROD.id, ask(request), now)


OURS = tuple(str(Path(module.__file__ or "").parent) for module in (appliance, wire))


def steps(snapshot: Snapshot, request: str) -> int:
    """How many lines of our own code one decision runs through."""
    asked, mine, found = ask(request), credential(ANN, PROD), 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        nonlocal found
        if not frame.f_code.co_filename.startswith(OURS):
            return None  # what a library does the first time, or the collector in between, is not ours
        found += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        decide(mine, snapshot, PROD.id, asked, NOW)
    finally:
        sys.settrace(before)
    return found


@pytest.mark.interpreted
def test_a_thousand_bindings_are_passed_over_in_as_many_steps_as_ten() -> None:
    few, many, first = world(10), world(1000), world(10)
    for snapshot in (few, many, first):
        for number in range(10):  # a role each, so that roles do not make it few
            snapshot.put(Entity.ROLE, f"r{number}", Role(f"r{number}", f"r{number}", rules=(RULE,)))
        scope = Scope(ScopeKind.NAMESPACES, PROD.id, namespaces=("space-7",))
        snapshot.put(Entity.BINDING, "other", Binding("other", ME, "r3", scope))
        decided(snapshot, "GET /version")  # what is held is worked out, and nothing else asked yet
    for request in (
        "GET /api/v1/namespaces/space-7/pods/web",  # allowed
        "GET /api/v1/namespaces/space-7/pods/db",  # of the same kind
        "DELETE /api/v1/namespaces/space-7/pods/db",  # denied
        "DELETE /api/v1/nodes/one",
    ):
        decided(first, request)  # reads what is read once in a process
        assert steps(many, request) == steps(few, request), request


def test_what_is_remembered_outlives_a_revocation_and_others_changes_but_none_of_ones_own() -> None:
    snapshot = world(3)
    request = "GET /api/v1/namespaces/space-1/pods/web"
    decided(snapshot, request)
    known = snapshot.memory[ANN.id, PROD.id]
    other = Person("person_2", ANN.issuer, "2", "ben@example.com")
    snapshot.put(Entity.REVOCATION, "cred_9", Revocation("cred_9", NOW + 1, NOW))
    snapshot.put(Entity.PERSON, other.id, other)
    snapshot.put(Entity.BINDING, "x", Binding("x", Subject(SubjectKind.PERSON, other.id), "role", EVERYWHERE))
    decided(snapshot, request)
    assert snapshot.memory[ANN.id, PROD.id] is known
    snapshot.put(Entity.ROLE, "role", Role("role", "viewer", rules=(Rule(("list",), ("",), ("pods",)),)))
    assert isinstance(decided(snapshot, request), Denial)


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


@pytest.mark.interpreted
def test_whoever_varies_their_requests_is_remembered_in_so_many_bytes() -> None:
    """Long paths, many namespaces, many credentials; what bindings and roles take themselves is not counted."""
    snapshot = world(100)
    allowed = standing.standing_of(snapshot, ANN, PROD)
    usual = [ask(f"GET /api/v1/namespaces/space-{number % 100}/pods/web{number}") for number in range(600)]
    long = [ask(f"GET /apis/{number}{'x' * 8_000}/v1/things") for number in range(600)]
    tracemalloc.start()
    for one, other in zip(usual, long, strict=True):
        grounds = allowed.grounds(one, NOW)
        allowed.grounds(other, NOW)
        assert grounds is not None
        for credential_number in range(20):
            grounds.identity(f"credential_{credential_number:020}", ANN)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 400 * 1024
    assert max(len(str(kind)) for kind in allowed._kinds) < 1_000


def test_a_record_names_a_few_bindings_and_counts_the_rest() -> None:
    snapshot = world(0)
    for number in range(20):
        binding = Binding(f"b{number:04}", ME, "role", EVERYWHERE)
        snapshot.put(Entity.BINDING, binding.id, binding)
    found = decided(snapshot, "GET /api/v1/namespaces/x/pods/web")
    assert isinstance(found, Permit)
    assert len(found.binding_ids) == 20
    assert found.rule.endswith("viewer by b0007 and 12 more")
