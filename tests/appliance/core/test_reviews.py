"""`kubectl auth can-i` behind Fairlead: what is decided here, and as whom the cluster is asked for the rest."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from appliance.core.decision import Denial, Permit
from appliance.core.reviews import consider, looks_into
from appliance.core.roles import Binding, Rule
from appliance.core.snapshot import Entity
from tests.appliance.core.test_decision import ME, NOW, SPACES, World
from wire.kube import understand

ACCESS = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RULES = "POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
LOGS = Rule(("get", "list"), ("",), ("pods", "pods/log"))
EXEC = Rule(("create",), ("",), ("pods/exec",))


def crowd() -> World:
    """Views everywhere, administers two namespaces, reads logs everywhere."""
    world = World()
    world.role("viewer", Rule(("get", "list"), ("*",), ("*",))).bind("viewer")
    world.role("admin").bind("admin", SPACES)
    world.role("logger", LOGS).bind("logger")
    return world


def ask(world: World, spec: Any, kind: str = ACCESS) -> tuple[Permit, dict[str, Any] | None]:
    """A review's way: the permit it goes on with, and the status if the cluster is not asked."""
    permit = world.allowed(kind)
    document = {"kind": "SomeReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec}
    narrowed, answer = consider(document, permit, world.snapshot, NOW)
    assert narrowed.ask is permit.ask
    assert narrowed.discovery
    if answer is None:
        return narrowed, None
    assert narrowed is permit
    answered = json.loads(answer)
    assert {key: answered[key] for key in document} == document
    return narrowed, dict(answered["status"])


def resource(verb: str, resource: str, namespace: str = "", **more: str) -> dict[str, Any]:
    return {"resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace, **more}}


@pytest.mark.parametrize(
    ("spec", "groups"),
    [
        (resource("list", "pods", "blue"), ("admins", "loggers", "viewers")),
        (resource("list", "pods", "red"), ("loggers", "viewers")),
        (resource("list", "pods"), ("loggers", "viewers")),
        (resource("get", "pods", "red", subresource="log"), ("loggers", "viewers")),
        (resource("delete", "pods", "blue", name="web"), ("admins",)),
        (resource("delete", "deployments", "blue", group="apps"), ("admins",)),
        (resource("get", "pods", "blue", subresource="exec"), ("admins",)),  # exec is create, whatever it is called
        (resource("get", "namespaces", "other", name="blue"), ("admins", "viewers")),
        (resource("list", "namespaces", "blue"), ("viewers",)),
        (resource("get", "nodes", "blue"), ("viewers",)),  # kubectl sends the current namespace even so
        (resource("*", "*", "blue", group="*"), ("admins",)),
        (resource("create", "selfsubjectreviews", group="authentication.k8s.io"), ("admins", "loggers", "viewers")),
        ({"nonResourceAttributes": {"verb": "get", "path": "/version"}}, ("admins", "loggers", "viewers")),
    ],
)
def test_the_cluster_is_asked_with_the_groups_the_request_itself_would_carry(
    spec: Any, groups: tuple[str, ...]
) -> None:
    permit, status = ask(crowd(), spec)
    assert status is None
    assert permit.groups == groups
    assert permit.identity.groups == tuple(group.encode() for group in groups)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            resource("delete", "pods", "red"),
            "only in the namespaces blue, green, not in the namespace red: delete pods",
        ),
        (resource("delete", "pods"), "reaches beyond: delete pods"),
        (resource("create", "pods", "red", subresource="exec"), "not in the namespace red: create pods/exec"),
        (resource("delete", "nodes", "blue"), "reaches beyond: delete nodes"),
        (resource("create", "namespaces"), "reaches beyond: create namespaces"),
        (resource("delete", "namespaces", "blue", name="blue"), "No role of yours in Fairlead allows this"),
        (resource("*", "*", "red", group="*"), "not in the namespace red: do anything with all resources"),
        ({"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}, "cluster prod: get /metrics"),
        ({"nonResourceAttributes": {"verb": "post", "path": "/version"}}, "cluster prod: post /version"),
    ],
)
def test_what_no_role_allows_is_no_and_says_why(spec: Any, why: str) -> None:
    _, status = ask(crowd(), spec)
    assert status is not None
    assert (status["allowed"], status["denied"]) == (False, True)
    assert why in status["reason"]


def test_the_answer_is_what_the_decision_would_be() -> None:
    """A yes of Fairlead's is never a request it would refuse, and a no never one it would allow."""
    world = crowd()
    for verb, method in (("get", "GET"), ("list", "GET"), ("create", "POST"), ("delete", "DELETE"), ("patch", "PATCH")):
        for place in ("", "blue", "red"):
            for kind in ("pods", "nodes", "secrets"):
                name = "" if verb in {"list", "create"} else "/x"
                below = f"/namespaces/{place}" if place and kind != "nodes" else ""
                if name and not below and kind != "nodes":
                    continue
                decided = world.ask(f"{method} /api/v1{below}/{kind}{name}")
                permit, status = ask(world, resource(verb, kind, place, name=name[1:]))
                assert (status is None) is isinstance(decided, Permit), (verb, kind, place)
                if isinstance(decided, Permit):
                    assert permit.groups == decided.groups
                else:
                    assert status is not None
                    assert status["reason"] == decided.problem.message


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {},
        {"resourceAttributes": None},
        {"resourceAttributes": []},
        {"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"verb": "get", "path": "/x"}},
    ],
)
def test_what_is_no_question_goes_to_the_cluster_as_it_is(spec: Any) -> None:
    permit, status = ask(crowd(), spec)
    assert status is None
    assert permit.groups == ("admins", "loggers", "viewers")


def test_a_question_with_odd_values_is_still_a_question() -> None:
    _, status = ask(crowd(), {"resourceAttributes": {"verb": ["get"], "resource": 7, "namespace": None}})
    assert status is not None
    assert not status["allowed"]


def test_rules_come_from_the_cluster_where_a_role_leaves_all_to_it() -> None:
    permit, status = ask(crowd(), {"namespace": "blue"}, RULES)
    assert status is None
    assert permit.groups == ("admins",)


def test_rules_are_ours_where_none_does() -> None:
    world = World().role("ops", LOGS, EXEC).bind("ops", SPACES)
    world.role("web", Rule(("get",), ("",), ("secrets",), ("tls",)), Rule(("get",), non_resource_urls=("/metrics",)))
    world.bind("web", SPACES).bind("web", until=NOW)
    _, status = ask(world, {"namespace": "blue"}, RULES)
    assert status is not None
    assert status["resourceRules"][2:] == [
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]},
        {"verbs": ["create"], "apiGroups": [""], "resources": ["pods/exec"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["tls"]},
    ]
    assert len(status["nonResourceRules"]) == 1  # a path lies in no namespace
    assert status["incomplete"]
    assert "Fairlead" in status["evaluationError"]
    _, status = ask(world, {"namespace": "red"}, RULES)
    assert status is not None
    assert len(status["resourceRules"]) == 2
    world.bind("web")
    _, status = ask(world, {"namespace": "red"}, RULES)
    assert status is not None
    assert status["nonResourceRules"][1] == {"verbs": ["get"], "nonResourceURLs": ["/metrics"]}


def test_a_binding_that_ended_by_the_clock_answers_nothing() -> None:
    world = World().role("viewer", LOGS).bind("viewer").role("admin").bind("admin", until=NOW + 5)
    permit = world.allowed(ACCESS)
    document = {"spec": resource("delete", "pods")}
    assert consider(document, permit, world.snapshot, NOW)[1] is None
    late, answer = consider(document, permit, world.snapshot, NOW + 5)
    assert answer is not None
    assert late is permit


def test_a_narrowed_review_rests_on_its_bindings_like_any_stream() -> None:
    world = crowd()
    permit, _ = ask(world, resource("delete", "pods", "blue"))
    assert permit.binding_ids == ("b2",)
    world.put(Entity.BINDING, replace(Binding("b2", ME, "admin", SPACES), until=NOW))
    assert isinstance(world.ask("DELETE /api/v1/namespaces/blue/pods/x"), Denial)


def test_which_reviews_ask_what_their_sender_may() -> None:
    assert looks_into(understand(b"POST", ACCESS[5:].encode()))
    assert looks_into(understand(b"POST", RULES[5:].encode()))
    assert not looks_into(understand(b"POST", b"/apis/authentication.k8s.io/v1/selfsubjectreviews"))
