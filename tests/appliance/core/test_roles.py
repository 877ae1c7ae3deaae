"""Rules as the API server reads them, and scopes."""

from __future__ import annotations

import pytest

from appliance.core.clusters import Cluster
from appliance.core.roles import EVERYWHERE, Binding, Role, Rule, Scope, ScopeKind, Subject, SubjectKind
from wire.kube import understand

PODS = "/api/v1/namespaces/default/pods"


@pytest.mark.parametrize(
    ("rule", "method", "target", "allowed"),
    [
        (Rule(("get",), ("",), ("pods",)), "GET", f"{PODS}/web", True),
        (Rule(("get",), ("",), ("pods",)), "GET", PODS, False),
        (Rule(("list",), ("",), ("pods",)), "GET", PODS, True),
        (Rule(("*",), ("",), ("pods",)), "GET", PODS, True),
        (Rule(("get",), ("apps",), ("pods",)), "GET", f"{PODS}/web", False),
        (Rule(("get",), ("*",), ("pods",)), "GET", f"{PODS}/web", True),
        (Rule(("get",), (), ("pods",)), "GET", f"{PODS}/web", False),
        (Rule(("get",), ("",), ("pods",)), "GET", f"{PODS}/web/log", False),
        (Rule(("get",), ("",), ("pods/log",)), "GET", f"{PODS}/web/log", True),
        (Rule(("get",), ("",), ("pods/log",)), "GET", f"{PODS}/web", False),
        (Rule(("get",), ("",), ("*/log",)), "GET", f"{PODS}/web/log", True),
        (Rule(("get",), ("",), ("pods/*",)), "GET", f"{PODS}/web/log", False),
        (Rule(("get",), ("",), ("*",)), "GET", f"{PODS}/web/log", True),
        (Rule(("create",), ("",), ("pods/exec",)), "GET", f"{PODS}/web/exec?command=sh", True),
        (Rule(("get",), ("",), ("pods/exec",)), "GET", f"{PODS}/web/exec?command=sh", False),
        (Rule(("get",), ("",), ("pods",), ("web",)), "GET", f"{PODS}/web", True),
        (Rule(("get",), ("",), ("pods",), ("web",)), "GET", f"{PODS}/db", False),
        (Rule(("list",), ("",), ("pods",), ("web",)), "GET", PODS, False),
        (Rule(("create",), ("",), ("pods",), ("web",)), "POST", PODS, False),
        (Rule(("get",), non_resource_urls=("/metrics",)), "GET", "/metrics", True),
        (Rule(("get",), non_resource_urls=("/metrics",)), "GET", "/metrics/x", False),
        (Rule(("get",), non_resource_urls=("/metrics*",)), "GET", "/metrics/x", True),
        (Rule(("get",), non_resource_urls=("*",)), "GET", "/anything", True),
        (Rule(("get",), non_resource_urls=("/metrics",)), "POST", "/metrics", False),
        (Rule(("*",), ("*",), ("*",)), "GET", "/metrics", False),
        (Rule(("*",), non_resource_urls=("*",)), "GET", PODS, False),
    ],
)
def test_a_rule_allows_what_rbac_would(rule: Rule, method: str, target: str, allowed: bool) -> None:
    assert rule.allows(understand(method.encode(), target.encode())) is allowed


def test_a_role_without_rules_allows_everything_and_with_rules_only_those() -> None:
    ask = understand(b"DELETE", PODS.encode())
    assert Role("r", "all").allows(ask)
    assert not Role("r", "some", rules=(Rule(("get",), ("",), ("pods",)),)).allows(ask)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ScopeKind.EVERYWHERE, {"cluster_id": "c"}),
        (ScopeKind.EVERYWHERE, {"namespaces": ("a",)}),
        (ScopeKind.LABELS, {}),
        (ScopeKind.LABELS, {"labels": (("a", "b"),), "namespaces": ("a",)}),
        (ScopeKind.CLUSTER, {}),
        (ScopeKind.CLUSTER, {"cluster_id": "c", "namespaces": ("a",)}),
        (ScopeKind.NAMESPACES, {"cluster_id": "c"}),
        (ScopeKind.NAMESPACES, {"namespaces": ("a",)}),
        (ScopeKind.NAMESPACES, {"cluster_id": "c", "namespaces": ("",)}),
    ],
)
def test_a_scope_has_the_fields_of_its_kind_and_no_others(kind: ScopeKind, fields: dict[str, object]) -> None:
    """An empty field never comes to mean "everything"."""
    with pytest.raises(ValueError):
        Scope(kind, **fields)  # type: ignore[arg-type]


PROD = Cluster("c1", "prod", (("env", "prod"), ("team", "blue")))
LABELS = Scope(ScopeKind.LABELS, labels=(("env", "prod"),))
CLUSTER = Scope(ScopeKind.CLUSTER, "c1")
SPACES = Scope(ScopeKind.NAMESPACES, "c1", namespaces=("a", "b"))


def test_which_clusters_a_scope_covers() -> None:
    other = Cluster("c2", "dev", (("env", "dev"),))
    for scope in (EVERYWHERE, LABELS, CLUSTER, SPACES):
        assert scope.covers(PROD)
    assert [scope.covers(other) for scope in (EVERYWHERE, LABELS, CLUSTER, SPACES)] == [True, False, False, False]


@pytest.mark.parametrize(
    ("target", "inside"),
    [
        ("/api/v1/namespaces/a/pods", True),
        ("/api/v1/namespaces/a/pods/web", True),
        ("/apis/apps/v1/namespaces/b/deployments", True),
        ("/api/v1/namespaces/c/pods", False),
        ("/api/v1/pods", False),
        ("/api/v1/nodes", False),
        ("/api/v1/namespaces", False),
        ("/api/v1/namespaces/a", True),
        ("/metrics", False),
    ],
)
def test_a_namespace_scope_contains_its_namespaces_only(target: str, inside: bool) -> None:
    assert SPACES.contains(understand(b"GET", target.encode())) is inside


def test_subjects_and_bindings() -> None:
    with pytest.raises(ValueError):
        Subject(SubjectKind.GROUP, "dev")
    with pytest.raises(ValueError):
        Subject(SubjectKind.PERSON, "p", "issuer")
    with pytest.raises(ValueError):
        Subject(SubjectKind.MACHINE, "")
    binding = Binding("b", Subject(SubjectKind.PERSON, "p"), "r", EVERYWHERE, until=10)
    assert binding.live(9)
    assert not binding.live(10)
