"""The sentence of a refusal names what would work."""

from __future__ import annotations

import pytest

from appliance.core.problems import Code
from appliance.core.refusals import MAX_ACTION_CHARS, action, forbidden
from wire.kube import understand

NS = "/api/v1/namespaces"


@pytest.mark.parametrize(
    ("request_line", "code", "says"),
    [
        ("GET /api/v1/namespaces/red/pods", Code.NAMESPACE_FORBIDDEN, "not in the namespace red: list pods. Name"),
        ("GET /api/v1/pods", Code.NAMESPACE_FORBIDDEN, "not in all namespaces: list pods. Name"),
        ("GET /api/v1/pods?watch=1", Code.NAMESPACE_FORBIDDEN, "not in all namespaces: watch pods. Name"),
        ("DELETE /api/v1/pods", Code.NAMESPACE_FORBIDDEN, "not in all namespaces: deletecollection pods. Name"),
        ("POST /api/v1/namespaces/red/pods/p/exec", Code.NAMESPACE_FORBIDDEN, ": create pods/exec. Name"),
        ("GET /apis/apps/v1/deployments", Code.NAMESPACE_FORBIDDEN, ": list deployments.apps. Name"),
        (
            "GET /apis/example.com/v1/toys",
            Code.NAMESPACE_FORBIDDEN,
            "not in all namespaces: list toys.example.com. Name",
        ),
        ("GET /apis/example.com/v1/worlds/w", Code.CLUSTER_SCOPE_FORBIDDEN, "beyond: get worlds.example.com. Ask"),
        ("POST /apis/example.com/v1/worlds", Code.CLUSTER_SCOPE_FORBIDDEN, "beyond: create worlds.example.com. Ask"),
        ("GET /api/v1/nodes", Code.CLUSTER_SCOPE_FORBIDDEN, "beyond: list nodes. Ask"),
        ("GET /api/v1/nodes?watch=1", Code.CLUSTER_SCOPE_FORBIDDEN, "beyond: watch nodes. Ask"),
        ("GET /apis/metrics.k8s.io/v1beta1/nodes", Code.CLUSTER_SCOPE_FORBIDDEN, "list nodes.metrics.k8s.io. Ask"),
        ("GET /api/v1/namespaces", Code.CLUSTER_SCOPE_FORBIDDEN, "beyond: list namespaces. Ask"),
        ("POST /api/v1/namespaces", Code.CLUSTER_SCOPE_FORBIDDEN, "beyond: create namespaces. Ask"),
        ("GET /api/v1/namespaces/red", Code.CLUSTER_SCOPE_FORBIDDEN, "beyond: get the namespace red. Ask"),
    ],
)
def test_where_the_same_would_be_allowed(request_line: str, code: Code, says: str) -> None:
    method, target = request_line.split()
    told = forbidden(understand(method.encode(), target.encode()), "prod", ["blue", "green"], (("user", "ann"),))
    assert told.code is code
    assert says in told.message
    assert "Fairlead" in told.message
    assert "the namespaces blue, green" in told.message
    assert told.message.endswith("with: -n blue") is (code is Code.NAMESPACE_FORBIDDEN)
    assert told.meta == (("user", "ann"), ("namespaces", "blue,green"))


def test_one_namespace_is_no_list() -> None:
    told = forbidden(understand(b"GET", b"/api/v1/pods"), "prod", ["blue"], ())
    assert "only in the namespace blue, not" in told.message


def test_nowhere() -> None:
    told = forbidden(understand(b"DELETE", b"/api/v1/namespaces/red/pods/web"), "prod", [], ())
    assert told.code is Code.FORBIDDEN
    assert told.message.startswith("No role of yours in Fairlead allows this on cluster prod: delete pods in the")


@pytest.mark.parametrize(
    ("request_line", "said"),
    [
        ("GET /metrics", "get /metrics"),
        ("OPTIONS /api/v1/namespaces/red/pods", "OPTIONS pods in the namespace red"),
        ("DELETE /api/v1/namespaces/red", "delete the namespace red"),
        ("PUT /api/v1/namespaces/red/finalize", "update the finalize of the namespace red"),
        ("GET /apis/apps/v1/namespaces/red/deployments/d/scale", "get deployments.apps/scale in the namespace red"),
        (f"GET /metrics/{'x' * 5000}", f"get /metrics/{'x' * (MAX_ACTION_CHARS - 13)}..."),
        (f"GET {NS}/{'x' * 5000}/pods", f"list pods in the namespace {'x' * (MAX_ACTION_CHARS - 27)}..."),
    ],
)
def test_what_was_asked(request_line: str, said: str) -> None:
    method, target = request_line.split()
    assert action(understand(method.encode(), target.encode())) == said


def test_a_refusal_is_not_as_long_as_a_request_can_be() -> None:
    for target in (f"{NS}/{'x' * 60_000}/{'y' * 3000}", f"/apis/{'g' * 60_000}/v1/{'y' * 3000}"):
        for namespaces in ([], ["blue"], ["n" * 63] * 500):
            assert len(forbidden(understand(b"GET", target.encode()), "prod", namespaces, ()).message) < 2000
