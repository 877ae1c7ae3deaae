"""One running demo for all journeys, and every kubectl there is.

The demo is started as its user would start it, as a separate process; with FAIRLEAD_TEST_KUBECONFIG set it uses that
cluster instead of the toy, with the group in FAIRLEAD_TEST_GROUP, which must have rights there. No kubectl at all is a
failure, not a skip: a journey that did not run proves nothing.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS = 60.0  # on a busy two-core machine; alone it takes less than five
STOP_SECONDS = 30.0
COMMAND_SECONDS = 60.0
KUBECTL_NAME = re.compile(r"kubectl(\.1\.\d+)?")
REPOSITORY = Path(__file__).resolve().parents[2]


def kubectls() -> list[Path]:
    """`kubectl` and `kubectl.1.NN` on PATH, beside the real file of each, and in FAIRLEAD_KUBECTL_DIR."""
    places = [Path(place) for place in os.environ.get("PATH", "").split(os.pathsep) if place]
    extra = os.environ.get("FAIRLEAD_KUBECTL_DIR")
    if extra:
        places.insert(0, Path(extra))
    plain = shutil.which("kubectl")
    if plain:
        places.append(Path(plain).resolve().parent)
    found: dict[str, Path] = {}
    for place in places:
        for path in sorted(place.glob("kubectl*")) if place.is_dir() else ():
            if KUBECTL_NAME.fullmatch(path.name) and os.access(path, os.X_OK):
                found.setdefault(path.name, path)
    return [found[name] for name in sorted(found)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A journey that takes `kubectl` runs once for every binary."""
    if "kubectl_binary" in metafunc.fixturenames:
        binaries = kubectls()
        metafunc.parametrize(
            "kubectl_binary", binaries or [None], ids=[it.name for it in binaries] or ["none"], scope="session"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.journey)


@dataclass(frozen=True)
class Demo:
    """A running `fairlead demo`."""

    process: subprocess.Popen[str]
    kubeconfig: Path
    lines: queue.SimpleQueue[str]
    said: list[str]

    def wait_for(self, text: str, seconds: float = 10.0) -> str:
        """The next line of the demo's terminal that holds `text`."""
        while True:
            line = self.lines.get(timeout=seconds)
            if text in line:
                return line


@contextmanager
def running_demo(*arguments: str, expected_code: int = 0) -> Iterator[Demo]:
    """A demo that is ready; ended as its user would end it, with Ctrl-C, unless it has ended before."""
    out = Path(tempfile.mkdtemp(prefix="fairlead-journey-")) / "kubeconfig"
    command = [sys.executable, "-m", "ops.cli.main", "demo", "--kubeconfig-out", str(out), *arguments]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    demo = Demo(process, out, queue.SimpleQueue(), [])
    ready = threading.Event()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            demo.said.append(line)
            demo.lines.put(line)
            if line.startswith("Ready after"):
                ready.set()
        ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        ready.wait(START_SECONDS)
        if not out.exists():
            pytest.fail("the demo did not start:\n" + "".join(demo.said))
        yield demo
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        listener.join()
        assert process.stdout is not None
        process.stdout.close()
        shutil.rmtree(out.parent)
    assert code == expected_code, "the demo ended badly:\n" + "".join(demo.said[-20:])


@dataclass(frozen=True)
class Kubectl:
    """One kubectl binary, pointed at the demo."""

    binary: Path
    kubeconfig: Path
    home: Path

    def command(self, *arguments: str) -> list[str]:
        return [str(self.binary), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig)}

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run to the end, whatever the exit code."""
        return subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            env=self.environment,
            check=False,
        )

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run, expect success, give what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """Run, expect failure, give what it said."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} succeeded: {done.stdout}"
        return done.stderr


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """The one demo that the journeys share."""
    arguments: list[str] = []
    real = os.environ.get("FAIRLEAD_TEST_KUBECONFIG")
    if real:
        arguments += ["--kubeconfig", real]
        if os.environ.get("FAIRLEAD_TEST_GROUP"):
            arguments += ["--group", os.environ["FAIRLEAD_TEST_GROUP"]]
    with running_demo(*arguments) as started:
        yield started


@pytest.fixture
def kubectl(demo: Demo, kubectl_binary: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    if kubectl_binary is None:
        pytest.fail("no kubectl was found: put one on PATH or name its directory in FAIRLEAD_KUBECTL_DIR")
    home = tmp_path_factory.getbasetemp() / f"home-{kubectl_binary.name}"  # kubectl keeps its discovery cache there
    home.mkdir(exist_ok=True)
    return Kubectl(kubectl_binary, demo.kubeconfig, home)


@pytest.fixture
def unique() -> str:
    """A name nobody else uses, for what a journey creates."""
    return f"journey-{uuid.uuid4().hex[:8]}"
