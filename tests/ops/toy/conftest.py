"""A toy cluster in a process of its own, and the oldest and the newest kubectl of this machine pointed at it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

COMMAND_SECONDS = 60
"""A kubectl that takes longer hangs; the machine may be busy."""


def find_kubectls() -> list[Path]:
    """The oldest and the newest of kubectl.* beside kubectl, or it alone; the journeys try all of them on the toy."""
    found = shutil.which("kubectl")
    if found is None:
        return []
    real = Path(found).resolve()
    numbered = sorted(real.parent.glob("kubectl.*"))
    return [numbered[0], numbered[-1]] if len(numbered) > 1 else [real]


@dataclasses.dataclass(frozen=True)
class ToyCluster:
    """Where a running toy cluster is, and how to get in."""

    directory: Path
    url: str

    @property
    def token(self) -> str:
        return (self.directory / "token").read_text()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.directory / "ca.pem")


@dataclasses.dataclass(frozen=True)
class Kubectl:
    """One kubectl, acting as a user in a namespace."""

    binary: Path
    kubeconfig: Path
    namespace: str

    def command(self, *arguments: str) -> list[str]:
        return [str(self.binary), "--namespace", self.namespace, *arguments]

    def environment(self) -> dict[str, str]:
        home = str(self.kubeconfig.parent / self.binary.name)  # each version caches discovery by itself
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": home}

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints; it must succeed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def refused(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl complains; it must fail."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, f"{' '.join(arguments)}: {done.stdout}"
        return done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyCluster]:
    directory = tmp_path_factory.mktemp("toy")
    command = [sys.executable, "-W", "error", "-m", "ops.demo.toy", "--listen", "127.0.0.1:0", "--dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        try:
            yield ToyCluster(directory, url)
        finally:
            process.terminate()
            complaints = process.stderr.read()
            process.wait(COMMAND_SECONDS)
        assert not complaints, complaints


_numbers = itertools.count(1)


def kubeconfig(toy: ToyCluster, user: str, groups: list[str]) -> Path:
    """A kubeconfig that acts as `user`: the agent's token, and headers to impersonate."""
    cluster = {"server": toy.url, "certificate-authority": str(toy.directory / "ca.pem")}
    who: dict[str, Any] = {"tokenFile": str(toy.directory / "token")} | (
        {"as": user, "as-groups": groups} if user else {}
    )
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "toy",
        "clusters": [{"name": "toy", "cluster": cluster}],
        "users": [{"name": "toy", "user": who}],
        "contexts": [{"name": "toy", "context": {"cluster": "toy", "user": "toy", "namespace": "demo"}}],
    }
    path = toy.directory / f"kubeconfig-{next(_numbers)}"
    path.write_text(json.dumps(config))
    return path


@pytest.fixture(scope="module", params=find_kubectls(), ids=lambda path: path.name)
def kubectl(request: pytest.FixtureRequest, toy: ToyCluster) -> Kubectl:
    """Each kubectl, in a namespace of its own, as somebody who may do everything."""
    binary: Path = request.param
    namespace = f"space-{next(_numbers)}"
    found = Kubectl(binary, kubeconfig(toy, "ann@example.com", ["toy:admins"]), namespace)
    found("create", "namespace", namespace)
    return found
