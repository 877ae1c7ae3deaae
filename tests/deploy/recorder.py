"""An API server that takes whatever it is given and remembers it, for Helm and kubectl to install into.

It knows which kinds there are and answers as one in which nothing exists yet. It checks nothing: the schemas do.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAMESPACED = {
    "v1": "ConfigMap Secret Service ServiceAccount PersistentVolumeClaim",
    "apps/v1": "Deployment StatefulSet",
    "batch/v1": "CronJob Job",
    "monitoring.coreos.com/v1": "PodMonitor PrometheusRule",
    "networking.k8s.io/v1": "NetworkPolicy",
    "policy/v1": "PodDisruptionBudget",
    "rbac.authorization.k8s.io/v1": "Role RoleBinding",
}
CLUSTER_WIDE = {"v1": "Namespace", "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding"}
PROTOBUF = "application/vnd.kubernetes.protobuf"


def plural(kind: str) -> str:
    return re.sub(r"ys$", "ies", kind.lower() + "s")


def resources(group_version: str) -> list[dict[str, Any]]:
    return [
        {"name": plural(kind), "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": ["create", "get"]}
        for kinds, namespaced in ((NAMESPACED, True), (CLUSTER_WIDE, False))
        for kind in kinds.get(group_version, "").split()
    ]


def discovery(path: str, minor: int) -> dict[str, Any] | None:
    """What an API server says of itself; None: nothing of that name is here."""
    groups = [name for name in NAMESPACED if "/" in name]
    if path == "/version":
        return {"major": "1", "minor": str(minor), "gitVersion": f"v1.{minor}.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        versions = {name: {"groupVersion": name, "version": name.partition("/")[2]} for name in groups}
        listed = [
            {"name": name.partition("/")[0], "versions": [it], "preferredVersion": it} for name, it in versions.items()
        ]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}
    name = path.removeprefix("/apis/").removeprefix("/api/")
    if name in NAMESPACED:
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources(name)}
    if path.endswith("/secrets"):
        return {"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []}
    return None


def _name(protobuf: bytes) -> str:
    """The name of an object that came as Kubernetes' protobuf: Secrets of kubectl and of Helm do."""
    named = re.search(rb"\n[\x01-\x7f]([a-z][a-z0-9.-]+)\x12\x00\x1a", protobuf)
    return named[1].decode() if named else ""


@dataclass
class Recorder:
    """What was created, in that order."""

    kubeconfig: Path
    minor: int
    made: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def recorder(directory: Path, *, minor: int = 34) -> Iterator[Recorder]:
    """An API server of Kubernetes 1.`minor`, and a kubeconfig for it."""
    found = Recorder(directory / "kubeconfig", minor)

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def say(self, code: int, body: bytes, form: str = "application/json") -> None:
            self.send_response(code)
            self.send_header("Content-Type", form)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            said = discovery(self.path.partition("?")[0], minor)
            missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            self.say(404 if said is None else 200, json.dumps(said or missing).encode())

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            form = self.headers["Content-Type"]
            found.made.append(
                {"kind": "Secret", "metadata": {"name": _name(raw)}} if form == PROTOBUF else json.loads(raw)
            )
            self.say(201, raw, form)

        do_PUT = do_POST  # noqa: N815 -- the library's name

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    found.kubeconfig.write_text(json.dumps(config))
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
