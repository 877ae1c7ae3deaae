"""Manifests as their own tools make them: kustomize from kubectl, charts by Helm's library; and what a schema says.

Helm's library has no `template`, so a chart is installed, into a recorder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

from tests.deploy.recorder import recorder
from tests.rules.sources import ROOT
from tests.support.missing import cannot, need

DEPLOY = ROOT / "ops" / "deploy"
HELM = ROOT / "build" / "helm"
SECONDS = 60.0
SCHEMAS = ("1.27", "1.36")  # the oldest that the charts allow, and the newest that there is a schema of
WITHOUT_SCHEMA = frozenset({"PodMonitor", "PrometheusRule"})  # the Prometheus operator's, not Kubernetes'

Manifest = dict[str, Any]

_SCRIPT = """
import asyncio, json, sys
from helm_sdkpy import Configuration, Install
from helm_sdkpy.chart import Lint
asked = json.load(sys.stdin)
it = Configuration(namespace=asked["namespace"], kubeconfig=asked["kubeconfig"])
said = asyncio.run(Lint(it).run(asked["chart"]))
worst = max((message["Severity"] for message in said["Messages"] or []), default=0)
if worst > 1:  # a warning, or an error
    sys.exit(f"lint: {said}")
try:
    asyncio.run(Install(it).run(asked["release"], asked["chart"], values=asked["values"], wait=False, timeout=30))
except Exception as error:
    sys.exit(str(error))
"""


class HelmRefused(Exception):
    """Helm would not install the chart; the text is what it says."""


def kustomized(folder: Path) -> list[Manifest]:
    """What `kubectl apply -k` would apply."""
    need("kubectl")
    said = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, check=False, timeout=SECONDS)
    assert said.returncode == 0, said.stderr.decode()
    return [it for it in yaml.safe_load_all(said.stdout) if it]


def charted(chart: Path, values: Mapping[str, Any], *, release: str, minor: int = 34) -> list[Manifest]:
    """What Helm installs, into a cluster of Kubernetes 1.`minor`."""
    if not (HELM / "helm_sdkpy").exists():
        cannot(f"Helm's library is not in {HELM} (make {HELM.relative_to(ROOT)}/.installed)")
    with tempfile.TemporaryDirectory() as place, recorder(Path(place), minor=minor) as found:
        asked = {
            "chart": str(chart),
            "values": values,
            "release": release,
            "namespace": release,
            "kubeconfig": str(found.kubeconfig),
        }
        said = subprocess.run(
            [sys.executable, "-c", _SCRIPT],
            input=json.dumps(asked),
            env={**os.environ, "PYTHONPATH": str(HELM), "HOME": place},
            text=True,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
        if said.returncode:
            raise HelmRefused(said.stderr)
        return [it for it in found.made if not it["metadata"]["name"].startswith("sh.helm.release.")]


def faults(manifests: Iterable[Manifest]) -> list[str]:
    """What Kubernetes' own schemas have against them: a field that it does not know, a value of the wrong type."""
    found = []
    for it in manifests:
        for version in SCHEMAS if it["kind"] not in WITHOUT_SCHEMA else ():
            try:
                kubernetes_validate.validate(it, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                found.append(f"{it['kind']} {it['metadata']['name']} (1.{version}): {error}")
    return found


def alike(manifest: Manifest) -> Manifest:
    """A manifest without what only Helm adds, to be held against kustomize's."""
    it: Manifest = json.loads(json.dumps(manifest))
    for meta in _metas(it):
        for key in ("labels", "annotations"):
            found = {name: value for name, value in meta.get(key, {}).items() if not _HELMS_OWN.match(name)}
            meta.pop(key, None)
            if found:
                meta[key] = found
    return it


_HELMS_OWN = re.compile(r"(meta\.)?helm\.sh/|app\.kubernetes\.io/(managed-by|version)$|fairlead\.dev/settings$")


def _metas(it: Manifest) -> Iterator[Manifest]:
    yield it["metadata"]
    if "template" in it.get("spec", {}):
        yield it["spec"]["template"]["metadata"]


def pod(manifests: Iterable[Manifest], kind: str) -> Manifest:
    """The pod of the one workload of that kind."""
    (workload,) = [it for it in manifests if it["kind"] == kind]
    found: Manifest = workload["spec"]["template"]["spec"]
    return found


def restricted(spec: Manifest) -> list[str]:
    """What a pod does that Kubernetes' restricted Pod Security Standard, or we, forbid."""
    own, found = spec.get("securityContext", {}), []
    if own.get("runAsNonRoot") is not True or not own.get("runAsUser"):
        found.append("may be root")
    if own.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.append("no seccomp profile")
    if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        found.append("uses the host's namespaces")
    allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    found.extend(f"volume {it['name']}" for it in spec.get("volumes", []) if not set(it) - {"name"} <= allowed)
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        context = container.get("securityContext", {})
        wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        found.extend(f"{container['name']}: {key}" for key, value in wanted.items() if context.get(key) != value)
        if set(context) - set(wanted):
            found.append(f"{container['name']}: {sorted(set(context) - set(wanted))}")
        if "memory" not in container.get("resources", {}).get("limits", {}):
            found.append(f"{container['name']}: no limit of memory")
    return found


def by_name(manifests: Iterable[Manifest]) -> dict[tuple[str, str], Manifest]:
    return {(it["kind"], it["metadata"]["name"]): it for it in manifests}
