"""Someone bound to one namespace works there with plain kubectl, and is told what would work everywhere else.

Two people of one cluster, whose own RBAC would let both do anything: `plain` has a role without rules in the namespace
demo, `ruled` one that reads pods and their logs and runs commands in them. Every refusal here is therefore Fairlead's,
and must say so in a form that the oldest and the newest kubectl show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.journeys.conftest import Kubectl, kubectl_for
from tests.journeys.crew import CLUSTER, Crew
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack

pytestmark = pytest.mark.ends

READ = {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods", "pods/log"]}
EXEC = {"verbs": ["create"], "apiGroups": [""], "resources": ["pods/exec"]}
ELSEWHERE = (
    "Your roles in Fairlead allow this on cluster toy only in the namespace demo, not in the namespace default: "
)
BEYOND = "Your roles in Fairlead for this on cluster toy hold only in the namespace demo, and this reaches beyond: "
NOWHERE = "No role of yours in Fairlead allows this on cluster toy: "
FLAG = "Name an allowed one, for example with: -n demo"
WHOLE = "Ask your administrator for a role on the whole cluster."
ANOTHER = "Ask your administrator for a role that allows it; nothing else needs to change."
CONFIG_MAP = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "moored"}, "data": {"a": "b"}})


@dataclass(frozen=True)
class Company:
    stack: Stack
    kubeconfigs: dict[str, Path]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with running_stack(tmp_path_factory.mktemp("namespaces")) as stack:
        crew = Crew(stack)
        everything = crew.role("everything", ["toy:admins"])
        reading = crew.role("reading", ["toy:admins"], READ, EXEC)
        running = crew.role("running", ["toy:viewers"], {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
        roles = {"plain": everything, "ruled": reading, "viewer": running}
        for name, role in roles.items():
            crew.bind(crew.person(name), role, "demo")
        yield Company(stack, {name: crew.kubeconfig(name) for name in roles})


def given(company: Company, who: str, binary: Path | None, homes: pytest.TempPathFactory) -> Kubectl:
    return kubectl_for(binary, company.kubeconfigs[who], homes)


@pytest.fixture
def plain(company: Company, kubectl_binary: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return given(company, "plain", kubectl_binary, tmp_path_factory)


@pytest.fixture
def ruled(company: Company, kubectl_binary: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return given(company, "ruled", kubectl_binary, tmp_path_factory)


@pytest.fixture
def viewer(company: Company, kubectl_binary: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return given(company, "viewer", kubectl_binary, tmp_path_factory)


@pytest.fixture(params=["plain", "ruled"])
def either(
    request: pytest.FixtureRequest,
    company: Company,
    kubectl_binary: Path | None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Kubectl:
    return given(company, request.param, kubectl_binary, tmp_path_factory)


def refused(kubectl: Kubectl, *arguments: str, stdin: str | None = None) -> str:
    """What kubectl complains of, on one line."""
    return " ".join(kubectl.refused(*arguments, stdin=stdin).split())


def test_what_works_in_the_namespace(either: Kubectl) -> None:
    assert "tug" in either("get", "pods", "-n", "demo")
    assert json.loads(either("get", "pod", "tug", "-n", "demo", "-o", "json"))["metadata"]["namespace"] == "demo"
    assert "gull" in either("logs", "chatty-gull", "-n", "demo", "--tail=1")
    assert either("exec", "tug", "-n", "demo", "-c", "engine", "--", "echo", "ahoy") == "ahoy\n"
    assert refused(either, "exec", "tug", "-n", "demo", "-c", "engine", "--", "sh", "-c", "exit 7").endswith("7")


def test_what_streams_in_the_namespace(either: Kubectl) -> None:
    with either.start("logs", "-f", "chatty-gull", "-n", "demo", "--tail=1") as following:
        following.line("gull")
        following.line("gull")
    with either.start("get", "pods", "-n", "demo", "-w", "-o", "name") as watching:
        watching.line("pod/tug")
        assert watching.process.poll() is None


def test_what_everyone_may_look_at(either: Kubectl) -> None:
    assert {"pods", "deployments.apps"} <= set(either("api-resources", "-o", "name").split())
    assert "v1" in either("api-versions").split()
    assert "containers" in either("explain", "pod.spec")
    assert json.loads(either("version", "-o", "json"))["serverVersion"]["major"] == "1"
    if either.minor >= 28:
        user = json.loads(either("auth", "whoami", "-o", "json"))["status"]["userInfo"]
        assert user["groups"] == ["toy:admins", "system:authenticated"]


def test_changes_in_the_namespace(plain: Kubectl) -> None:
    for arguments in (("apply",), ("apply", "--server-side")):
        assert "moored" in plain(*arguments, "-n", "demo", "-f", "-", stdin=CONFIG_MAP)
        assert "deleted" in plain("delete", "configmap", "moored", "-n", "demo")
    assert "Containers:" in plain("describe", "pod", "tug", "-n", "demo")
    assert "scaled" in plain("scale", "deployment/lighthouse", "--replicas=2", "-n", "demo")
    assert "demo" in plain("get", "namespace", "demo")


def test_a_forwarded_port_in_the_namespace(plain: Kubectl, ruled: Kubectl) -> None:
    with plain.start("port-forward", "-n", "demo", "pod/harbour-master", ":8080") as forwarding:
        forwarding.line("Forwarding from")
    said = refused(ruled, "port-forward", "-n", "demo", "pod/harbour-master", ":8080")
    assert f"{NOWHERE}create pods/portforward in the namespace demo. {ANOTHER}" in said


@pytest.mark.parametrize(
    ("arguments", "action"),
    [
        (("get", "pods"), "list pods"),
        (("get", "pods", "-w"), "list pods"),
        (("get", "pod", "tug"), "get pods"),
        (("describe", "pod", "tug"), "get pods"),
        (("logs", "tug"), "get pods"),
        (("logs", "-f", "tug"), "get pods"),
        (("exec", "tug", "--", "true"), "get pods"),
        (("cp", "tug:/etc/hostname", "/dev/null"), "get pods"),
        (("wait", "--for=condition=Ready", "pod/tug", "--timeout=5s"), "get pods"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else "",
)
def test_without_the_flag_it_is_named(arguments: tuple[str, ...], action: str, either: Kubectl) -> None:
    """kubectl asks in the namespace default, as the kubeconfig names no other."""
    assert f"{ELSEWHERE}{action}. {FLAG}" in refused(either, *arguments)


@pytest.mark.parametrize(
    ("arguments", "action"),
    [
        (("attach", "tug"), "get pods"),
        (("port-forward", "tug", ":80"), "get pods"),
        (("apply", "-f", "-"), "get configmaps"),
        (("apply", "--server-side", "-f", "-"), "patch configmaps"),
        (("create", "-f", "-"), "create configmaps"),
        (("diff", "-f", "-"), "get configmaps"),
        (("create", "configmap", "moored"), "create configmaps"),
        (("create", "token", "default"), "create serviceaccounts/token"),
        (("delete", "configmap", "moored"), "delete configmaps"),
        (("delete", "pods", "--all"), "list pods"),
        (("delete", "--raw", f"/api/proxy/{CLUSTER}/api/v1/namespaces/default/pods"), "deletecollection pods"),
        (("rollout", "status", "deployment/lighthouse"), "get deployments.apps"),
        (("get", "events"), "list events"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else "",
)
def test_changes_without_the_flag(arguments: tuple[str, ...], action: str, plain: Kubectl) -> None:
    said = refused(plain, *arguments, stdin=CONFIG_MAP if arguments[-1] == "-" else None)
    assert f"{ELSEWHERE}{action}. {FLAG}" in said


def test_all_namespaces(either: Kubectl) -> None:
    words = ELSEWHERE.replace("not in the namespace default", "not in all namespaces")
    assert f"{words}list pods. {FLAG}" in refused(either, "get", "pods", "-A")
    assert f"{words}list pods. {FLAG}" in refused(either, "get", "pods", "-A", "-w")


@pytest.mark.parametrize(
    ("arguments", "action"),
    [
        (("get", "nodes"), "list nodes"),
        (("get", "node", "toy-node"), "get nodes"),
        (("describe", "nodes"), "list nodes"),
        (("get", "namespaces"), "list namespaces"),
        (("get", "namespace", "default"), "get the namespace default"),
        (("create", "namespace", "fresh"), "create namespaces"),
        (("delete", "namespace", "default"), "delete the namespace default"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else "",
)
def test_what_lies_in_no_namespace(arguments: tuple[str, ...], action: str, plain: Kubectl, ruled: Kubectl) -> None:
    assert f"{BEYOND}{action}. {WHOLE}" in refused(plain, *arguments)
    assert f"{NOWHERE}{action}. {ANOTHER}" in refused(ruled, *arguments)


def test_the_namespace_itself_stays_as_it_is(plain: Kubectl) -> None:
    for arguments in (("delete", "namespace", "demo"), ("label", "namespace", "demo", "a=b")):
        verb = "delete" if arguments[0] == "delete" else "patch"
        assert f"{NOWHERE}{verb} the namespace demo. {ANOTHER}" in refused(plain, *arguments)


@pytest.mark.parametrize(
    ("arguments", "action"),
    [
        (("get", "secrets"), "list secrets"),
        (("delete", "pod", "tug"), "delete pods"),
        (("apply", "-f", "-"), "get configmaps"),
        (("create", "configmap", "moored"), "create configmaps"),
        (("attach", "tug", "-c", "engine"), "create pods/attach"),
        (("label", "pod", "tug", "a=b"), "patch pods"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else "",
)
def test_what_the_rules_leave_out(arguments: tuple[str, ...], action: str, ruled: Kubectl) -> None:
    said = refused(ruled, *arguments, "-n", "demo", stdin=CONFIG_MAP if arguments[-1] == "-" else None)
    assert f"{NOWHERE}{action} in the namespace demo. {ANOTHER}" in said


def test_paths_that_are_no_resources(either: Kubectl) -> None:
    path = yaml.safe_load(either.kubeconfig.read_text())["clusters"][0]["cluster"]["server"].partition("/api/")[2]
    said = refused(either, "get", "--raw", f"/api/{path}/metrics")
    assert f"{NOWHERE}get /metrics. {ANOTHER}" in said


@pytest.mark.parametrize(
    ("arguments", "plain_says", "ruled_says"),
    [
        (("list", "pods", "-n", "demo"), "yes", "yes"),
        (("get", "pods", "--subresource=log", "-n", "demo"), "yes", "yes"),
        (("create", "pods", "--subresource=exec", "-n", "demo"), "yes", "yes"),
        (("delete", "pods", "-n", "demo"), "yes", f"no - {NOWHERE}delete pods in the namespace demo. {ANOTHER}"),
        (("*", "*", "-n", "demo"), "yes", f"no - {NOWHERE}do anything with all resources in the namespace demo."),
        (("list", "pods"), f"no - {ELSEWHERE}list pods. {FLAG}", f"no - {ELSEWHERE}list pods. {FLAG}"),
        (("list", "pods", "-A"), "no - Your roles in Fairlead", "no - Your roles in Fairlead"),
        (("list", "nodes", "-n", "demo"), f"no - {BEYOND}list nodes. {WHOLE}", f"no - {NOWHERE}list nodes. {ANOTHER}"),
        (("get", "/metrics"), f"no - {NOWHERE}get /metrics.", f"no - {NOWHERE}get /metrics."),
        (("get", "/version"), "yes", "yes"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, tuple) else "",
)
def test_can_i(arguments: tuple[str, ...], plain_says: str, ruled_says: str, plain: Kubectl, ruled: Kubectl) -> None:
    for kubectl, expected in ((plain, plain_says), (ruled, ruled_says)):
        done = kubectl.run("auth", "can-i", *arguments)
        assert done.stdout.startswith(expected), done.stdout
        assert done.returncode == (0 if expected == "yes" else 1)


def test_can_i_where_fairlead_allows_and_the_cluster_does_not(viewer: Kubectl) -> None:
    """The cluster's own no stays the cluster's, and does not speak of Fairlead."""
    assert viewer("auth", "can-i", "list", "pods", "-n", "demo") == "yes\n"
    done = viewer.run("auth", "can-i", "delete", "pods", "-n", "demo")
    assert (done.returncode, done.stdout.strip()) == (1, "no")
    said = refused(viewer, "delete", "pod", "tug", "-n", "demo")
    assert 'User "viewer@example.com" cannot delete resource "pods"' in said
    assert "Fairlead" not in said


def test_the_list_of_what_i_can(plain: Kubectl, ruled: Kubectl) -> None:
    assert "*.*" in plain("auth", "can-i", "--list", "-n", "demo")
    assert "*.*" not in plain("auth", "can-i", "--list")
    done = ruled.run("auth", "can-i", "--list", "-n", "demo")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["pods", "[]", "[]", "[get", "list", "watch]"] in rows
    assert ["pods/exec", "[]", "[]", "[create]"] in rows
    assert "*.*" not in done.stdout
    assert "these are your roles in Fairlead" in done.stderr
    assert "pods" not in ruled("auth", "can-i", "--list")


def test_a_namespace_given_later_works_at_once(
    company: Company, kubectl_binary: Path | None, tmp_path_factory: pytest.TempPathFactory, unique: str
) -> None:
    crew = Crew(company.stack)
    person = crew.person(unique)
    role = crew.role(unique, ["toy:admins"], READ)
    crew.bind(person, role, "kube-system")
    kubectl = kubectl_for(kubectl_binary, crew.kubeconfig(unique), tmp_path_factory)
    assert "-n kube-system" in refused(kubectl, "get", "pods", "-n", "demo")
    binding = crew.bind(person, role, "demo", "default")
    assert "tug" in kubectl("get", "pods", "-n", "demo")
    said = refused(kubectl, "get", "pods", "-A")
    assert "only in the namespaces default, demo, kube-system, not in all namespaces" in said
    with kubectl.start("logs", "-f", "chatty-gull", "-n", "demo", "--tail=1") as following:
        following.line("gull")
        crew.call("DELETE", f"bindings/{binding}")
        following.end()
    assert "-n kube-system" in refused(kubectl, "get", "pods", "-n", "demo")
    assert eventually(lambda: "coredns" in kubectl("get", "pods", "-n", "kube-system"))
