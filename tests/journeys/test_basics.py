"""The first thing anybody does: look around, make something, remove it."""

from __future__ import annotations

import json

from tests.journeys.conftest import Demo, Kubectl


def config_map(name: str, greeting: str) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default"},
        "data": {"greeting": greeting},
    }
    return json.dumps(document)


def test_the_server_tells_its_version(kubectl: Kubectl) -> None:
    answer = json.loads(kubectl("version", "-o", "json"))

    assert answer["serverVersion"]["major"] == "1"


def test_pods_are_listed_as_a_table(kubectl: Kubectl) -> None:
    table = kubectl("get", "pods", "-A")

    assert table.splitlines()[0].split()[:3] == ["NAMESPACE", "NAME", "READY"]


def test_apply_change_and_delete(kubectl: Kubectl, unique: str) -> None:
    assert "created" in kubectl("apply", "-f", "-", stdin=config_map(unique, "ahoy"))
    assert "configured" in kubectl("apply", "-f", "-", stdin=config_map(unique, "farewell"))
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=config_map(unique, "farewell"))
    assert kubectl("get", "configmap", unique, "-o", "jsonpath={.data.greeting}") == "farewell"
    assert "deleted" in kubectl("delete", "configmap", unique)
    assert "NotFound" in kubectl.refused("get", "configmap", unique)


def test_the_demo_shows_the_request(kubectl: Kubectl, demo: Demo, unique: str) -> None:
    kubectl.refused("get", "configmap", unique)

    line = demo.wait_for(unique)

    assert "demo@example.com" in line
    assert "get configmaps" in line
    assert "404" in line
