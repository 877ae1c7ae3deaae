"""The appliance's manifests: kustomize and chart say the same, Kubernetes knows it, and no secret comes with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.config import load
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

APPLIANCE = DEPLOY / "appliance"
URL = "https://fairlead.example.com"
POSTGRES = {"store": {"secret": "fairlead-store"}}


def chart(values: Mapping[str, Any]) -> list[Manifest]:
    return charted(APPLIANCE / "chart", {"publicUrl": URL, **values}, release="fairlead")


def settings_apart(manifests: list[Manifest]) -> dict[tuple[str, str], Manifest]:
    """Without what kustomize says in a file and the chart in variables."""
    found = {key: alike(it) for key, it in by_name(manifests).items() if key[0] not in {"Namespace", "ConfigMap"}}
    spec = found["StatefulSet", "fairlead"]["spec"]["template"]["spec"]
    spec["containers"][0]["env"] = [it for it in spec["containers"][0]["env"] if it["name"] in PLAIN]
    spec["containers"][0]["imagePullPolicy"] = "IfNotPresent"
    spec["containers"][0]["volumeMounts"].sort(key=lambda it: it["name"])
    spec["volumes"].sort(key=lambda it: it["name"])
    next(it for it in spec["volumes"] if it["name"] == "settings")["configMap"]["name"] = "fairlead"
    return found


PLAIN = {"FAIRLEAD_DATA_DIR", "FAIRLEAD_HEALTH_LISTEN", "FAIRLEAD_LOG_FORMAT"}


@pytest.mark.parametrize(("folder", "values"), [("example", {}), ("postgres", POSTGRES)])
def test_kustomize_and_chart_say_the_same_and_no_secret(folder: str, values: dict[str, Any]) -> None:
    plain, helmed = kustomized(APPLIANCE / folder), chart(values)

    assert settings_apart(helmed) == settings_apart(plain)
    assert faults([*plain, *helmed]) == []
    assert restricted(pod(plain, "StatefulSet")) == []
    assert not any(it["kind"] == "Secret" for it in [*plain, *helmed])


def test_the_job_that_rotates_keys() -> None:
    job = yaml.safe_load((APPLIANCE / "kustomize" / "rotate-keys.yaml").read_text())
    claim = job["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    (kept,) = [it for it in kustomized(APPLIANCE / "example") if it["kind"] == "StatefulSet"]

    named = {**job, "metadata": {"name": "rotate-keys", "namespace": "fairlead"}}
    assert faults([named]) == []
    assert restricted(job["spec"]["template"]["spec"]) == []
    assert claim == f"{kept['spec']['volumeClaimTemplates'][0]['metadata']['name']}-{kept['metadata']['name']}-0"


def test_everything_that_the_chart_can_say_is_known_to_kubernetes() -> None:
    rules = yaml.safe_load((APPLIANCE / "chart" / "alerts.yaml").read_text())
    manifests = chart(
        {
            **POSTGRES,
            "agentsUrl": f"{URL}:5443",
            "tlsSecret": "web",
            "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"]},
            "service": {"type": "NodePort", "annotations": {"a": "b"}, "loadBalancerSourceRanges": ["10.0.0.0/8"]},
            "podMonitor": {"enabled": True},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            "priorityClassName": "high",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "podAnnotations": {"a": "b"},
        }
    )

    assert faults(manifests) == []
    assert by_name(manifests)["PrometheusRule", "fairlead"]["spec"] == rules


@pytest.mark.parametrize("folder", ["example", "chart"])
def test_the_appliance_takes_the_settings_that_are_mounted(tmp_path: Path, folder: str) -> None:
    values = {"agentsUrl": f"{URL}:5443", "settings": "[audit]\nretention_days = 30\n"}
    manifests = chart(values) if folder == "chart" else kustomized(APPLIANCE / folder)
    (container,) = pod(manifests, "StatefulSet")["containers"]
    (text,) = [it["data"]["fairlead.toml"] for it in manifests if it["kind"] == "ConfigMap"]
    file = tmp_path / "fairlead.toml"
    file.write_text(text)

    found = load(file, {it["name"]: it["value"] for it in container["env"]})

    assert (found.public_url, found.agents.url) == (URL, f"{URL}:5443")
    ports = {it["name"]: it["containerPort"] for it in container["ports"]}
    assert ports == {name: getattr(found, name).listen.port for name in ("users", "agents", "health")}
    assert found.data_dir.parent == Path(
        next(it for it in container["volumeMounts"] if it["name"] == "data")["mountPath"]
    )
    assert found.audit.retention_days == (30 if folder == "chart" else 400)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"publicUrl": ""}, "publicUrl is not set"),
        ({"publicUrl": "http://a.example.com"}, "publicUrl"),
        ({"a": 1}, "'a'"),
    ],
)
def test_what_the_chart_refuses(values: dict[str, Any], said: str) -> None:
    with pytest.raises(HelmRefused, match=said):
        chart(values)
