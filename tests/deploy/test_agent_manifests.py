"""The agent's manifests: kustomize and chart say the same, it is what Kubernetes knows, and as little as possible."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.config import load
from ops.deploy.commands import agent_commands
from tests.deploy.manifests import (
    DEPLOY,
    HelmRefused,
    Manifest,
    alike,
    by_name,
    charted,
    faults,
    kustomized,
    pod,
    restricted,
)
from tests.deploy.recorder import recorder

CHART = DEPLOY / "agent" / "chart"
NAMES = {"users": ["oidc:ann@example.com", "oidc:ben@example.com"], "groups": ["developers", "operators"]}
RELEASE = "fairlead-agent"
POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def chart(values: Mapping[str, Any], *, minor: int = 34) -> list[Manifest]:
    return charted(CHART, values, release=RELEASE, minor=minor)


@pytest.fixture(scope="module")
def plain() -> list[Manifest]:
    return kustomized(DEPLOY / "agent" / "example")


@pytest.fixture(scope="module")
def helmed() -> list[Manifest]:
    return chart({"impersonate": NAMES})


def test_kustomize_and_chart_say_the_same(plain: list[Manifest], helmed: list[Manifest]) -> None:
    ours = {key: alike(it) for key, it in by_name(plain).items() if key[0] != "Namespace"}  # helm makes none
    ours["Deployment", RELEASE]["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    ours["ClusterRole", "fairlead-agent-names"]["metadata"]["labels"] = ours["ServiceAccount", RELEASE]["metadata"][
        "labels"
    ]

    assert {key: alike(it) for key, it in by_name(helmed).items()} == ours


def test_kubernetes_knows_every_field(plain: list[Manifest], helmed: list[Manifest]) -> None:
    everything = chart(
        {
            "impersonate": NAMES,
            "settings": "[guard]\nread_only = true\n",
            "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"]},
            "networkPolicy": {
                "apiServer": {"cidrs": ["10.96.0.1/32"]},
                "appliance": {"ports": [443], "cidrs": ["::/0"]},
            },
            "podMonitor": {"enabled": True},
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "podAnnotations": {"a": "b"},
        },
        minor=36,
    )

    assert faults([*plain, *helmed, *everything]) == []


def test_the_guard_stands_in_the_installation_s_own_folder(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "agent", tmp_path / "agent")
    settings = tmp_path / "agent" / "example" / "settings.yaml"
    settings.write_text(settings.read_text().replace('""', '"[guard]\\nread_only = true\\n"'))

    made = by_name(kustomized(tmp_path / "agent" / "example"))

    assert made["ConfigMap", RELEASE]["data"] == {"agent.toml": "[guard]\nread_only = true\n"}


def test_the_pod_may_do_nothing_it_need_not(plain: list[Manifest]) -> None:
    assert restricted(pod(plain, "Deployment")) == []
    assert (
        by_name(plain)["Namespace", RELEASE]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    )


def rules(manifests: list[Manifest]) -> dict[str, list[dict[str, Any]]]:
    return {it["metadata"]["name"]: it["rules"] for it in manifests if it["kind"] in {"Role", "ClusterRole"}}


MARKS = {"apiGroups": ["authentication.k8s.io"], "resources": ["uids", "userextras/fairlead.dev/credential"]}
IDENTITY = {
    "apiGroups": [""],
    "resources": ["secrets"],
    "resourceNames": ["fairlead-agent-identity"],
    "verbs": ["get", "update"],
}


def test_it_may_act_as_the_listed_and_touch_one_secret(helmed: list[Manifest]) -> None:
    assert rules(helmed) == {
        "fairlead-agent-identity": [IDENTITY],
        "fairlead-agent-marks": [{**MARKS, "verbs": ["impersonate"]}],
        "fairlead-agent-names": [
            {"apiGroups": [""], "resources": [what], "resourceNames": NAMES[what], "verbs": ["impersonate"]}
            for what in ("users", "groups")
        ],
    }


@pytest.mark.parametrize(
    ("values", "minor", "verbs"),
    [
        ({}, 36, ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]),
        ({"constrained": True, "verbs": ["get"]}, 35, ["get"]),
    ],
)
def test_where_the_cluster_can_it_may_act_so_only(values: dict[str, Any], minor: int, verbs: list[str]) -> None:
    found = rules(chart({"impersonate": {**NAMES, **values}}, minor=minor))

    everything = [rule for it in found.values() for rule in it]
    assert not any("impersonate" in rule["verbs"] for rule in everything)
    assert found["fairlead-agent-names"][2:] == [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": [f"impersonate-on:user-info:{verb}" for verb in verbs]},
        {"nonResourceURLs": ["*"], "verbs": ["impersonate-on:user-info:get"]},
    ]
    assert found["fairlead-agent-marks"] == [{**MARKS, "verbs": ["impersonate:user-info"]}]
    if not values:
        constrained = kustomized(DEPLOY / "agent" / "constrained")
        assert rules(constrained) == found
        assert faults(constrained) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "the agent could act as nobody"),
        ({"impersonate": {"users": ["*"]}}, "users"),
        ({"impersonate": {"users": ["a"], "groups": ["*"]}}, "groups"),
        ({"impersonate": {"users": ["a"], "anyUser": True}}, "contradict"),
        ({"impersonate": {"users": ["a"]}, "replica": 3}, "replica"),
    ],
)
def test_what_the_chart_refuses(values: dict[str, Any], said: str) -> None:
    with pytest.raises(HelmRefused, match=said):
        chart(values)


def test_the_agent_takes_the_settings_that_are_mounted(tmp_path: Path) -> None:
    settings = 'drain_seconds = 5\n[guard]\nnamespaces = ["shop"]\n'
    manifests = chart({"impersonate": {"anyUser": True}, "settings": settings})
    (container,) = pod(manifests, "Deployment")["containers"]
    file = tmp_path / "agent.toml"
    file.write_text(by_name(manifests)["ConfigMap", RELEASE]["data"]["agent.toml"])

    found = load(file, {**POD, **{it["name"]: it["value"] for it in container["env"]}})

    assert (found.drain_seconds, found.bounds.namespaces) == (5, frozenset({"shop"}))
    assert container["args"][:2] == ["agent", "--config"]
    assert found.identity_secret == (
        RELEASE,
        by_name(manifests)["Secret", "fairlead-agent-identity"]["metadata"]["name"],
    )
    assert found.health.port == container["ports"][0]["containerPort"]
    mounts = {it["name"]: it["mountPath"] for it in container["volumeMounts"]}
    assert (str(found.bundle.parent), str(found.data_dir)) == (mounts["bundle"], mounts["data"])


@pytest.mark.parametrize("helm", [False, True])
def test_the_commands_that_registering_prints_do_it(tmp_path: Path, plain: list[Manifest], helm: bool) -> None:
    """Each line is run by a shell, with the real kubectl; Helm's is taken apart and given to Helm."""
    bundle = tmp_path / "prod's bundle.json"
    bundle.write_text('{"token": "x"}')
    lines = agent_commands(bundle, [*NAMES["users"], "it's me"], NAMES["groups"], helm=helm)
    made: list[Manifest] = []
    with recorder(tmp_path) as cluster:
        for line in lines:
            if line.startswith("helm "):
                words = shlex.split(line)
                given = [word.split("=", 1) for word in words if word.startswith("impersonate.")]
                values = {"impersonate": {key.partition(".")[2]: yaml.safe_load(value) for key, value in given}}
                assert words[:4] == ["helm", "install", RELEASE, str(CHART)]
                made.extend(chart(values))
            elif "rollout" not in line:
                # The recorder has no OpenAPI document to validate with; the schemas above have done that.
                said = subprocess.run(
                    ["sh", "-c", line.replace("kubectl apply", "kubectl apply --validate=false")],
                    env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
                    capture_output=True,
                    check=False,
                    timeout=60,
                )
                assert said.returncode == 0, said.stderr
        made.extend(cluster.made)

    assert set(by_name(made)) >= set(by_name(plain)) | {("Secret", "fairlead-agent-bundle")}
    assert rules(made)["fairlead-agent-names"][0]["resourceNames"] == [*NAMES["users"], "it's me"]


def test_nobody_and_everyone_are_no_names() -> None:
    for users in ([], ["*"]):
        with pytest.raises(ValueError, match="name"):
            agent_commands("bundle.json", users, [])
