"""What people do with kubectl all day, with every version of it; and what the appliance says when it must refuse."""

from __future__ import annotations

import json
import re
import time
import urllib.request

import yaml

from tests.journeys.conftest import Demo, Kubectl
from tests.journeys.processes import eventually


def config_map(name: str, **data: str) -> str:
    metadata = {"name": name, "namespace": "default"}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def server_path(kubectl: Kubectl) -> str:
    server: str = yaml.safe_load(kubectl.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    return server[server.index("/api/proxy/") :]


def test_looking_around(kubectl: Kubectl) -> None:
    assert json.loads(kubectl("version", "-o", "json"))["serverVersion"]["major"] == "1"
    assert {"pods", "configmaps", "deployments.apps"} <= set(kubectl("api-resources", "-o", "name").split())
    assert "containers" in kubectl("explain", "pod.spec")
    assert kubectl("auth", "can-i", "list", "configmaps").strip() == "yes"
    assert "v1" in kubectl("api-versions").split()
    if kubectl.minor >= 28:
        whoami = json.loads(kubectl("auth", "whoami", "-o", "json"))
        assert whoami["status"]["userInfo"]["username"] == "demo@example.com"


def test_one_object_from_first_to_last(kubectl: Kubectl, unique: str) -> None:
    assert "created" in kubectl("create", "configmap", unique, "--from-literal=tide=high")
    assert "already exists" in kubectl.refused("create", "configmap", unique)
    assert kubectl("get", "configmap", unique).splitlines()[0].split() == ["NAME", "DATA", "AGE"]
    assert json.loads(kubectl("get", "configmap", unique, "-o", "json"))["data"] == {"tide": "high"}
    assert yaml.safe_load(kubectl("get", "configmap", unique, "-o", "yaml"))["data"] == {"tide": "high"}

    kubectl("patch", "configmap", unique, "-p", '{"data":{"wind":"north"}}')
    kubectl("patch", "configmap", unique, "--type=merge", "-p", '{"data":{"tide":null}}')
    kubectl("patch", "configmap", unique, "--type=json", "-p", '[{"op":"add","path":"/data/ebb","value":"9"}]')
    kubectl("label", "configmap", unique, f"made-by={unique}")
    assert kubectl("get", "configmap", "-l", f"made-by={unique}", "-o", "name") == f"configmap/{unique}\n"
    assert json.loads(kubectl("get", "configmap", unique, "-o", "json"))["data"] == {"wind": "north", "ebb": "9"}
    assert "wind:" in kubectl("describe", "configmap", unique)

    assert "deleted" in kubectl("delete", "configmap", unique, "--wait", "--timeout=20s")
    assert "(NotFound)" in kubectl.refused("get", "configmap", unique)


def test_apply(kubectl: Kubectl, unique: str) -> None:
    assert "created" in kubectl("apply", "-f", "-", stdin=config_map(unique, tide="high"))
    assert "configured" in kubectl("apply", "-f", "-", stdin=config_map(unique, tide="low"))
    assert "unchanged" in kubectl("apply", "-f", "-", stdin=config_map(unique, tide="low"))
    kubectl("delete", "configmap", unique)


def test_apply_on_the_server(kubectl: Kubectl, unique: str) -> None:
    def applied_by(manager: str, **data: str) -> tuple[tuple[str, ...], str]:
        return ("apply", "--server-side", f"--field-manager={manager}", "-f", "-"), config_map(unique, **data)

    for manager, data in (("one", {"tide": "high"}), ("other", {"wind": "north"})):
        arguments, document = applied_by(manager, **data)
        assert "serverside-applied" in kubectl(*arguments, stdin=document)
    arguments, document = applied_by("third", wind="east")
    assert "conflict" in kubectl.refused(*arguments, stdin=document)
    assert json.loads(kubectl("get", "configmap", unique, "-o", "json"))["data"] == {"tide": "high", "wind": "north"}
    kubectl("delete", "configmap", unique)


def test_every_event_of_a_watch_arrives_at_once(kubectl: Kubectl, unique: str) -> None:
    kubectl("create", "configmap", unique, "--from-literal=tide=high")
    selector = f"--field-selector=metadata.name={unique}"
    shown = ("--output-watch-events", "-o", "jsonpath={.type} {.object.data.tide}{'\\n'}")
    with kubectl.start("get", "configmaps", selector, "-w", *shown) as watch:
        assert watch.line() == "ADDED high\n"
        for tide in ("low", "ebb"):
            kubectl("patch", "configmap", unique, "-p", json.dumps({"data": {"tide": tide}}))
            assert watch.line() == f"MODIFIED {tide}\n"
        kubectl("delete", "configmap", unique)
        assert watch.line() == "DELETED ebb\n"
        assert watch.process.poll() is None


def test_wait_ends_when_it_is_so(kubectl: Kubectl, pod: str, unique: str) -> None:
    assert "condition met" in kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=20s")
    kubectl("create", "configmap", unique)
    with kubectl.start("wait", "--for=delete", f"configmap/{unique}", "--timeout=20s") as waiting:
        kubectl("delete", "configmap", unique)
        assert waiting.end() == 0
    assert "timed out" in kubectl.refused("wait", "--for=delete", f"pod/{pod}", "--timeout=1s")


def test_logs(kubectl: Kubectl, pod: str) -> None:
    eventually(lambda: len(kubectl("logs", pod).splitlines()) >= 2, what="two lines of log")
    assert len(kubectl("logs", pod, "--tail=1").splitlines()) == 1
    with kubectl.start("logs", "-f", pod, "--tail=1") as following:
        following.line()
        began = time.monotonic()
        following.line()  # a pod's next line comes within a second, and does not wait for more to come
        assert time.monotonic() - began < 3
        assert following.process.poll() is None


def test_rollout(kubectl: Kubectl, unique: str) -> None:
    kubectl("create", "deployment", unique, "--image=registry.k8s.io/pause:3.10", "--replicas=2")
    assert "successfully rolled out" in kubectl("rollout", "status", f"deployment/{unique}", "--timeout=50s")
    kubectl("scale", f"deployment/{unique}", "--replicas=3")
    assert "successfully rolled out" in kubectl("rollout", "status", f"deployment/{unique}", "--timeout=50s")
    assert "deleted" in kubectl("delete", "deployment", unique)


def test_raw_paths_and_the_local_proxy(kubectl: Kubectl) -> None:
    path = server_path(kubectl)
    assert kubectl("get", "--raw", f"{path}/livez") == "ok"
    assert json.loads(kubectl("get", "--raw", f"{path}/version"))["major"] == "1"
    with kubectl.start("proxy", "--append-server-path", "--port=0") as proxy:
        address = re.search(r"127\.0\.0\.1:\d+", proxy.line("Starting to serve"))
        assert address is not None
        with urllib.request.urlopen(f"http://{address[0]}/api/v1/namespaces/default", timeout=20) as answer:
            assert json.load(answer)["metadata"]["name"] == "default"
        with urllib.request.urlopen(f"http://{address[0]}/livez", timeout=20) as answer:
            assert answer.read() == b"ok"


def test_a_raw_path_without_the_servers_says_what_to_write(kubectl: Kubectl) -> None:
    for path in ("/livez", "/api/v1/namespaces"):
        said = kubectl.refused("get", "--raw", path)
        assert "kubectl get --raw /api/proxy/" in said
        assert "kubectl proxy --append-server-path" in said


def test_impersonation_by_the_client_is_refused(kubectl: Kubectl) -> None:
    for arguments in (
        ("get", "pods"),
        ("version",),
        ("create", "configmap", "never"),
        ("get", "--raw", server_path(kubectl) + "/livez"),
    ):
        said = kubectl.refused(*arguments, "--as=system:admin", "--as-group=system:masters")
        assert "is reserved: identity comes from your credential" in said
        assert "drop --as" in said
    assert "(NotFound)" in kubectl.refused("get", "configmap", "never")


def test_a_kubeconfig_for_nothing_says_so(kubectl: Kubectl, demo: Demo) -> None:
    said = kubectl.refused("get", "pods", f"--server={server_of(demo)}/api/proxy/atlantis")
    assert "atlantis" in said
    said = kubectl.refused("get", "pods", "--token=eyJhbGciOiJub25lIn0.e30.")
    assert "Unauthorized" in said or "Get a new kubeconfig" in said or "must be logged in" in said


def server_of(demo: Demo) -> str:
    server: str = yaml.safe_load(demo.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    return server[: server.index("/api/proxy/")]
