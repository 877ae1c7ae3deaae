"""A pod without a kubelet: what a manifest says, kept with the kernel's own means, around what the image holds.

Read-only root with nothing in it but the system's libraries and the program, the user and group that the manifest
names, no capability, no new privileges, its volumes as a kubelet makes them (`fsGroup` and modes included), and no
environment but the manifest's. What it leaves out: seccomp, limits, and probes, which the test asks itself.
"""

from __future__ import annotations

import base64
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.manifests import Manifest, by_name

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ssl", "/etc/ld.so.cache")
STOP_SECONDS = 40.0
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass
class Pod:
    """One container of one pod. `tree`: what the image holds; `inside`: what puts a command into the pod's network."""

    tree: Path
    spec: Manifest
    objects: Sequence[Manifest]
    disk: Path
    inside: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    service_account: Mapping[str, bytes] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _listener: threading.Thread = field(default_factory=threading.Thread)

    @property
    def _container(self) -> Manifest:
        (found,) = self.spec["containers"]
        return dict(found)

    @property
    def _group(self) -> int:
        return int(self.spec["securityContext"]["fsGroup"])

    def start(self) -> None:
        """Run what the manifest says."""
        self._process = subprocess.Popen(
            self._words(["/opt/fairlead/bin/fairlead", *self._container["args"]]),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            self.said.extend(lines)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command in the same container, as `kubectl exec` runs one."""
        return subprocess.run(self._words(words), capture_output=True, text=True, check=False, timeout=60)

    def stop(self) -> int:
        """What a kubelet does: SIGTERM, and its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._ended(self._process)

    def wait(self) -> int:
        """For one that ends by itself."""
        assert self._process is not None
        return self._ended(self._process)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._ended(self._process)

    def _ended(self, process: subprocess.Popen[str]) -> int:
        code = process.wait(STOP_SECONDS)
        self._listener.join()
        return code

    def status(self) -> Mapping[str, str]:
        """What the kernel says of the running program (/proc/PID/status)."""
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def _words(self, command: Sequence[str]) -> list[str]:
        """Everything is done by one shell that then becomes the program, so that signals reach it."""
        root = Path(tempfile.mkdtemp(prefix="pod-", dir=self.disk.parent))
        lines = ["set -e", f"mount -t tmpfs -o mode=0755,size=16m tmpfs {root}", f"cd {root}"]
        for place in map(Path, (*SYSTEM, sys.base_prefix)):
            if place.is_symlink():
                lines.append(f"ln -s {place.readlink()} .{place}")
            elif place.exists():
                lines.extend(self._bound(place, str(place), read_only=True))
        lines.append("mkdir -p proc dev tmp && mount -t proc proc proc && mount --rbind /dev dev")
        lines.extend(self._bound(self.tree, "/opt/fairlead", read_only=True))
        volumes = {it["name"]: it for it in self.spec["volumes"]}
        claims: Manifest = {"data": {"persistentVolumeClaim": {}}}
        for it in self._container["volumeMounts"]:
            source = self._volume(it["name"], {**claims, **volumes}[it["name"]])
            if source is not None:
                lines.extend(self._bound(source, it["mountPath"], read_only=it.get("readOnly", False)))
        if self.service_account:
            source = self._filled("service-account", self.service_account, 0o444)
            lines.extend(self._bound(source, SERVICE_ACCOUNT, read_only=True))
        lines.append("mount -o remount,ro .")
        own = self.spec["securityContext"]
        user, group = own["runAsUser"], own["runAsGroup"]
        privileges = (
            f"--reuid {user} --regid {group} --groups {self._group} --no-new-privs --inh-caps=-all --bounding-set=-all"
        )
        said = {it["name"]: it["value"] for it in self._container.get("env", [])}
        path = f"/opt/fairlead/bin:/usr/bin:/bin:{sys.base_prefix}/bin"
        variables = {"PATH": path, "HOME": "/", **said, **self.variables}
        environment = shlex.join(f"{name}={value}" for name, value in variables.items())
        lines.append(f"exec chroot . setpriv {privileges} env -i {environment} {shlex.join(command)}")
        return [*self.inside, "unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)]

    @staticmethod
    def _bound(source: Path, target: str, *, read_only: bool) -> list[str]:
        there = shlex.quote("." + target)
        made = f"mkdir -p {there}" if source.is_dir() else f"mkdir -p $(dirname {there}) && touch {there}"
        lines = [f"{made} && mount --rbind {shlex.quote(str(source))} {there}"]
        return [*lines, f"mount -o remount,bind,ro {there}"] if read_only else lines

    def _volume(self, name: str, volume: Mapping[str, Any]) -> Path | None:
        """A volume as a kubelet lays it out; None: an optional one that is not there."""
        found = by_name(self.objects)
        if "configMap" in volume:
            data = found["ConfigMap", volume["configMap"]["name"]]["data"]
            return self._filled(
                name, {key: it.encode() for key, it in data.items()}, volume["configMap"]["defaultMode"]
            )
        if "secret" in volume:
            secret = found.get(("Secret", volume["secret"]["secretName"]))
            if secret is None:
                assert volume["secret"].get("optional"), f"there is no Secret {volume['secret']['secretName']}"
                return None
            data = {key: base64.b64decode(it) for key, it in secret["data"].items()}
            return self._filled(name, data, volume["secret"]["defaultMode"])
        place = self.disk / name
        if not place.exists():
            place.mkdir(parents=True)
            os.chown(place, 0, self._group)
            place.chmod(0o2777 if "emptyDir" in volume else 0o2775)
        return place

    def _filled(self, name: str, files: Mapping[str, bytes], mode: int) -> Path:
        place = self.disk / name
        place.mkdir(parents=True, exist_ok=True)
        for key, content in files.items():
            file = place / key
            file.write_bytes(content)
            os.chown(file, 0, self._group)
            file.chmod(mode)
        return place
