"""Every kubectl on this machine, and one toy cluster in a process of its own for them to reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio


def kubectls() -> dict[str, str]:
    """Every kubectl beside the one on PATH, by minor version. None at all is a failure, not a reason to skip."""
    found = shutil.which("kubectl")
    assert found, "these tests need kubectl on PATH"
    here = Path(found).resolve().parent
    versions = {path.name.removeprefix("kubectl."): str(path) for path in sorted(here.glob("kubectl.1.*"))}
    return versions or {"any": found}


@dataclass(frozen=True)
class Toy:
    """A running toy cluster with a pod named web, and how to call it."""

    home: Path
    kubeconfig: Path
    server: subprocess.Popen[bytes]

    def argv(self, version: str, *arguments: str) -> list[str]:
        return [kubectls()[version], f"--kubeconfig={self.kubeconfig}", *arguments]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "xterm"}

    async def kubectl(self, version: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        with trio.fail_after(60):
            return await trio.run_process(
                self.argv(version, *arguments),
                stdin=stdin,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                env=self.environment(),
            )

    def resident_bytes(self) -> int:
        """The memory the server holds."""
        pages = int(Path(f"/proc/{self.server.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def running_toy(directory: Path) -> Iterator[Toy]:
    argv = [sys.executable, "-m", "ops.demo.toy", "--dir", str(directory)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().decode().strip()
            assert url, "the toy cluster did not start"
            kubeconfig = directory / "kubeconfig"
            kubeconfig.write_text(json.dumps(kubeconfig_for(url, directory)))
            toy = Toy(directory, kubeconfig, server)
            newest = list(kubectls())[-1]
            for command in (
                ("run", "web", "--image=toy", "--env=COLOUR=blue"),
                ("wait", "--for=condition=Ready", "pod/web", "--timeout=30s"),
            ):
                subprocess.run(toy.argv(newest, *command), check=True, env=toy.environment(), capture_output=True)
            yield toy
        finally:
            server.terminate()


def kubeconfig_for(url: str, directory: Path) -> dict[str, object]:
    user = {"token": (directory / "token").read_text().strip(), "as": "ann", "as-groups": ["toy:admins"]}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "toy",
        "clusters": [{"name": "toy", "cluster": {"server": url, "certificate-authority": str(directory / "ca.pem")}}],
        "contexts": [{"name": "toy", "context": {"cluster": "toy", "user": "toy"}}],
        "users": [{"name": "toy", "user": user}],
    }
