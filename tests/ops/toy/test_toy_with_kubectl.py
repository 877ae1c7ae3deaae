"""Real kubectl, the oldest and the newest on this machine, straight at the toy cluster."""

from __future__ import annotations

import json
from dataclasses import replace

import yaml

from tests.ops.toy.conftest import COMMAND_SECONDS, Kubectl, ToyCluster, find_kubectls, kubeconfig

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "web:1", ports: [{containerPort: 80}], env: [{name: A, value: b}]}
      volumes: [{name: scratch, emptyDir: {}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web-settings}
data: {colour: green}
"""


def minor(kubectl: Kubectl) -> int:
    version = json.loads(kubectl("version", "-o", "json"))
    assert version["serverVersion"]["gitVersion"].startswith("v1.")
    return int(version["clientVersion"]["minor"].rstrip("+"))


def test_there_is_a_kubectl_to_test_with() -> None:
    assert find_kubectls(), "no kubectl on the path: these tests would prove nothing"


def test_discovery(kubectl: Kubectl) -> None:
    kinds = kubectl("api-resources", "-o", "name").split()
    assert {"pods", "configmaps", "deployments.apps"} <= set(kinds)
    assert "pods" in kubectl("get", "--raw", "/api/v1")
    explained = kubectl("explain", "pod.spec.containers")
    assert "livenessProbe" in explained
    assert "name\t<string> -required-" in explained


def test_objects(kubectl: Kubectl) -> None:
    assert "created" in kubectl("create", "configmap", "tides", "--from-literal=high=6")
    assert "already exists" in kubectl.refused("create", "configmap", "tides")
    assert kubectl("get", "configmap", "tides").splitlines()[0].split() == ["NAME", "DATA", "AGE"]
    assert json.loads(kubectl("get", "configmap", "tides", "-o", "json"))["data"] == {"high": "6"}
    kubectl("patch", "configmap", "tides", "-p", '{"data":{"low":"12"}}')
    kubectl("patch", "configmap", "tides", "--type=merge", "-p", '{"data":{"high":null}}')
    kubectl("patch", "configmap", "tides", "--type=json", "-p", '[{"op":"add","path":"/data/ebb","value":"9"}]')
    kubectl("label", "configmap", "tides", "sea=north")
    assert kubectl("get", "configmap", "-l", "sea=north", "-o", "name") == "configmap/tides\n"
    assert yaml.safe_load(kubectl("get", "configmap", "tides", "-o", "yaml"))["data"] == {"low": "12", "ebb": "9"}
    assert "ebb:" in kubectl("describe", "configmap", "tides")
    assert "deleted" in kubectl("delete", "configmap", "tides")
    assert 'configmaps "tides" not found' in kubectl.refused("get", "configmap", "tides")
    assert 'unknown field "data2"' in kubectl.refused("create", "-f", "-", stdin=json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd"}, "data2": {}}
    ))  # fmt: skip


def test_apply_and_rollout(kubectl: Kubectl) -> None:
    assert "deployment.apps/web created" in kubectl("apply", "-f", "-", stdin=WEB)
    assert "deployment.apps/web unchanged" in kubectl("apply", "-f", "-", stdin=WEB)
    newer = WEB.replace("web:1", "web:2")
    assert "deployment.apps/web configured" in kubectl("apply", "-f", "-", stdin=newer)
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("rollout", "restart", "deployment/web")
    kubectl("scale", "deployment/web", "--replicas=3")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    shown = kubectl("get", "deployment", "web").splitlines()[1].split()
    assert shown[:4] == ["web", "3/3", "3", "3"]
    assert len(kubectl("rollout", "history", "deployment/web").strip().splitlines()) == 5
    kubectl(
        "patch", "deployment", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"main","tty":true}]}}}}'
    )
    container = json.loads(kubectl("get", "deployment", "web", "-o", "json"))["spec"]["template"]["spec"]["containers"]
    assert [(one["image"], one["tty"]) for one in container] == [("web:2", True)]
    kubectl("delete", "deployment", "web")
    kubectl("wait", "--for=delete", "pod", "-l", "app=web", "--timeout=30s")


def test_server_side_apply(kubectl: Kubectl) -> None:
    settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shared}\ndata: {colour: green, size: big}\n"
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", stdin=settings)
    other = settings.replace("green", "red").replace(", size: big", "")
    apply_other = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    complaint = kubectl.refused(*apply_other, stdin=other)
    assert 'conflict with "kubectl": .data.colour' in complaint
    kubectl(*apply_other, "--force-conflicts", stdin=other)
    kubectl("apply", "--server-side", "-f", "-", stdin=settings.partition("\ndata:")[0])
    left = json.loads(kubectl("get", "configmap", "shared", "-o", "json", "--show-managed-fields"))
    assert left["data"] == {"colour": "red"}
    assert {one["manager"] for one in left["metadata"]["managedFields"]} == {"other"}


def test_pods(kubectl: Kubectl) -> None:
    with kubectl.start("get", "pods", "--all-namespaces", "--watch") as watch:
        assert watch.stdout is not None
        header = watch.stdout.readline().split()  # it watches from the list it has just shown
        assert header == ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE"]
        kubectl("run", "solo", "--image=solo:1")
        kubectl("wait", "--for=condition=Ready", "pod/solo", "--timeout=30s")
        with kubectl.start("logs", "-f", "solo") as follow:
            assert follow.stdout is not None
            assert [follow.stdout.readline().split(":")[0] for _ in range(2)] == ["line 0", "line 1"]
            assert kubectl("logs", "solo", "--tail=1").startswith("line ")
            assert "Successfully assigned" in kubectl("describe", "pod", "solo")
            assert 'pod "solo" deleted' in kubectl("delete", "pod", "solo")  # waits until it is gone
            follow.wait(COMMAND_SECONDS)  # and the log ends with it
        seen = []
        while "Terminating" not in seen:
            namespace, name, _, state, *_ = watch.stdout.readline().split()
            if (namespace, name) == (kubectl.namespace, "solo"):
                seen.append(state)
        watch.terminate()
    assert list(dict.fromkeys(seen)) == ["Pending", "ContainerCreating", "Running", "Terminating"]


def test_rights(kubectl: Kubectl, toy: ToyCluster) -> None:
    viewer = replace(kubectl, kubeconfig=kubeconfig(toy, "vera", ["toy:viewers"]))
    assert viewer("auth", "can-i", "list", "pods") == "yes\n"
    assert viewer.run("auth", "can-i", "delete", "pods").stdout == "no\n"
    assert "[get list watch]" in viewer("auth", "can-i", "--list")
    assert 'User "vera" cannot delete resource "pods"' in viewer.refused("delete", "pod", "nobody")
    agent = replace(kubectl, kubeconfig=kubeconfig(toy, "", []))
    assert 'User "system:serviceaccount:fairlead:agent" cannot list' in agent.refused("get", "pods")
    if minor(kubectl) >= 28:
        assert "ann@example.com" in kubectl("auth", "whoami")
    else:
        assert "not enabled in the cluster" in kubectl.refused("auth", "whoami")


def test_namespace_takes_its_contents_along(kubectl: Kubectl) -> None:
    doomed = replace(kubectl, namespace=f"{kubectl.namespace}-doomed")
    doomed("create", "namespace", doomed.namespace)
    doomed("run", "solo", "--image=solo:1")
    doomed("delete", "namespace", doomed.namespace)
    assert "not found" in doomed.refused("get", "pod", "solo")
