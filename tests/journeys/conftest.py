"""One running demo for all journeys, and every kubectl there is.

The demo is started as its user would start it, as a separate process; with FAIRLEAD_TEST_KUBECONFIG set it uses that
cluster instead of the toy, with the group in FAIRLEAD_TEST_GROUP, which must have rights there. No kubectl at all is a
failure, not a skip: a journey that did not run proves nothing.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.journeys.door import Door
from tests.journeys.gatehouse import Gatehouse, running_gatehouse
from tests.journeys.processes import Running
from tests.support.browser import Browser, browser, key_pin
from tests.support.missing import need

START_SECONDS = 60.0  # on a busy two-core machine; alone it takes less than five
STOP_SECONDS = 30.0
COMMAND_SECONDS = 60.0
KUBECTL_NAME = re.compile(r"kubectl(\.1\.\d+)?")
REPOSITORY = Path(__file__).resolve().parents[2]


def kubectls() -> list[Path]:
    """`kubectl` and `kubectl.1.NN` on PATH, beside the real file of each, and in FAIRLEAD_KUBECTL_DIR, by version."""
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
    by_minor = {minor_of(found[name]): found[name] for name in sorted(found)}  # of two, the one with a number
    return [by_minor[minor] for minor in sorted(by_minor)]


def minor_of(binary: Path) -> int:
    """NN of version 1.NN."""
    if binary.suffix:
        return int(binary.suffix[1:])
    said = subprocess.run([binary, "version", "--client", "-o", "json"], capture_output=True, check=True, timeout=30)
    return int(json.loads(said.stdout)["clientVersion"]["minor"].rstrip("+"))


def ends(binaries: list[Path]) -> list[Path]:
    """The oldest, which speaks SPDY, and the newest, which speaks WebSocket."""
    return binaries[:1] + binaries[1:][-1:]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A journey that takes `kubectl` runs once for every binary; marked `ends` or `newest`, for those."""
    if "kubectl_binary" in metafunc.fixturenames:
        binaries = kubectls()
        if any(metafunc.definition.iter_markers("ends")):
            binaries = ends(binaries)
        elif any(metafunc.definition.iter_markers("newest")):
            binaries = binaries[-1:]
        metafunc.parametrize(
            "kubectl_binary", binaries or [None], ids=[it.name for it in binaries] or ["none"], scope="session"
        )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "ends: run with the oldest and the newest kubectl only")
    config.addinivalue_line("markers", "newest: run with the newest kubectl only")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(item.path).is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.journey)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    """One appliance with one identity provider, for every journey of someone who signs in."""
    need("node")
    with running_gatehouse(tmp_path_factory.mktemp("gatehouse")) as made:
        yield made


@pytest.fixture(scope="session")
def window(house: Gatehouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One real browser."""
    need("chromedriver")
    pins = [key_pin(served(house.stack.bound.users)), key_pin(served(urlsplit(house.provider.issuer).port or 0))]
    with browser(tmp_path_factory.mktemp("browser"), pins) as made:
        yield made


def served(port: int) -> str:
    """The certificate that is shown there."""
    return ssl.get_server_certificate(("127.0.0.1", port))


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
            errors="replace",
            timeout=COMMAND_SECONDS,
            env=self.environment,
            check=False,
        )

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run, expect success, give what it printed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def start(self, *arguments: str, stdin: bool = False) -> Running:
        """Run it beside the test, until the end of the block."""
        return Running(self.command(*arguments), self.environment, stdin=stdin)

    @property
    def minor(self) -> int:
        """NN of version 1.NN."""
        return minor_of(self.binary)

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


@pytest.fixture(scope="session")
def toy(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """A demo with the toy cluster: the shared one, unless that has a real cluster."""
    if not os.environ.get("FAIRLEAD_TEST_KUBECONFIG"):
        yield request.getfixturevalue("demo")
        return
    with running_demo() as started:
        yield started


@pytest.fixture
def door(toy: Demo) -> Door:
    """The toy demo's appliance, without kubectl."""
    return Door.of(toy.kubeconfig)


def kubectl_for(binary: Path | None, kubeconfig: Path, homes: pytest.TempPathFactory) -> Kubectl:
    """Give `binary` a home of its own: it keeps its discovery cache there."""
    if binary is None:
        pytest.fail("no kubectl was found: put one on PATH or name its directory in FAIRLEAD_KUBECTL_DIR")
    home = homes.getbasetemp() / f"home-{binary.name}"
    home.mkdir(exist_ok=True)
    return Kubectl(binary, kubeconfig, home)


@pytest.fixture
def kubectl(demo: Demo, kubectl_binary: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return kubectl_for(kubectl_binary, demo.kubeconfig, tmp_path_factory)


@pytest.fixture
def toy_kubectl(toy: Demo, kubectl_binary: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return kubectl_for(kubectl_binary, toy.kubeconfig, tmp_path_factory)


@pytest.fixture(scope="session")
def pod(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A pod of ours in the namespace default that prints a line each second."""
    kubectl = kubectl_for(next(reversed(kubectls()), None), demo.kubeconfig, tmp_path_factory)
    name = f"journey-{uuid.uuid4().hex[:8]}"
    image = os.environ.get("FAIRLEAD_TEST_IMAGE", "registry.k8s.io/e2e-test-images/busybox:1.36.1-1")
    loop = "while true; do echo ahoy; sleep 1; done"
    kubectl("run", name, f"--image={image}", "--labels=made-by=journeys", "--command", "--", "sh", "-c", loop)
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=50s")
    yield name
    kubectl("delete", "pod", name, "--grace-period=1", "--wait=false")


@pytest.fixture
def unique() -> str:
    """A name nobody else uses, for what a journey creates."""
    return f"journey-{uuid.uuid4().hex[:8]}"
