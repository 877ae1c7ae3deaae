"""The demo itself: what it keeps, what it leaves behind, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.journeys.conftest import REPOSITORY, Demo, Kubectl, kubectls, running_demo
from tests.journeys.processes import eventually

NEWEST = kubectls()[-1:]


def kubectl_for(kubeconfig: Path, home: Path) -> Kubectl:
    assert NEWEST, "no kubectl was found"
    return Kubectl(NEWEST[0], kubeconfig, home)


def children_of(pid: int) -> list[int]:
    """Whatever thread started them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it may end while we look
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                found += [int(entry.name)] if int(parent) == pid else []
    return sorted(found)


def server_of(kubeconfig: Path) -> str:
    return str(yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"])


def administer(demo: Demo, home: Path) -> None:
    """As the demo says one can: the lines that it prints, in a shell."""
    demo.wait_for("fairlead audit tail")
    text = "".join(demo.said)
    begin = text.index("  fairlead setup-code")
    lines = text[begin : text.index("  fairlead audit tail", begin)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"HOME": str(home), "PATH": path, "FAIRLEAD_CLI_KEYRING": "off"}
    shell = subprocess.run(["sh", "-c", lines], env=environment, capture_output=True, text=True, check=False)
    assert (shell.returncode, "connected" in shell.stdout) == (0, True), shell
    shutil.rmtree(home)


def test_a_second_start_with_the_same_data_is_the_same_place(tmp_path: Path) -> None:
    data = tmp_path / "data"
    seen = []
    for _ in range(2):
        with running_demo("--data", str(data)) as demo:
            kubectl_for(demo.kubeconfig, tmp_path)("get", "namespaces")
            authority = (data / "appliance" / "ca.pem").read_text()
            agent = (data / "agent" / "agent.crt").read_text()
            administer(demo, tmp_path / "administrator")
            seen.append((authority, agent, server_of(demo.kubeconfig)))

    assert seen[0] == seen[1]


def test_nothing_remains_of_a_demo_without_data() -> None:
    with running_demo() as demo:
        children = children_of(demo.process.pid)
        commands = [Path(f"/proc/{child}/cmdline").read_text() for child in children]
        environments = [Path(f"/proc/{child}/environ").read_text() for child in children]
        directory = re.search(r"(/[^\0]*/fairlead-demo-[^/\0]+)/", commands[0])
        assert directory is not None
        token = yaml.safe_load(demo.kubeconfig.read_text())["users"][0]["user"]["token"]
        toy_token = Path(directory[1], "toy", "token").read_text()
        demo.process.send_signal(signal.SIGTERM)
        demo.process.wait(30)

    assert len(children) == 3
    assert not Path(directory[1]).exists()
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert not [text for text in commands + environments if token in text or toy_token in text or "flm_" in text]


def test_a_child_that_dies_ends_the_demo_with_its_last_words() -> None:
    with running_demo(expected_code=1) as demo:
        children = children_of(demo.process.pid)
        agent = next(it for it in children if "\0agent\0" in Path(f"/proc/{it}/cmdline").read_text())
        os.kill(agent, signal.SIGKILL)
        demo.process.wait(30)

    assert "fairlead: agent ended with code -9. Its last lines:\n" in demo.said
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_a_taken_port_is_no_obstacle(tmp_path: Path) -> None:
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 8443))
            taken.listen()
        except OSError:
            pass  # somebody else has taken it, which is as good
        with running_demo() as demo:
            assert not server_of(demo.kubeconfig).startswith("https://127.0.0.1:8443/")
            kubectl_for(demo.kubeconfig, tmp_path)("get", "namespaces")

    assert any("port 8443 is taken" in line for line in demo.said)


@pytest.mark.parametrize("way", ["token", "tokenFile", "exec"])
def test_a_cluster_of_ones_own(tmp_path: Path, way: str) -> None:
    """Here a toy cluster of its own plays the part, on IPv6."""
    toy = tmp_path / "toy"
    command = [sys.executable, "-m", "ops.cli.main", "toy-cluster", "--listen", "[::1]:0", "--dir", str(toy)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            token = (toy / "token").read_text()
            plugin = tmp_path / "plugin"
            answer = {"apiVersion": "client.authentication.k8s.io/v1", "status": {"token": token}}
            plugin.write_text(f"#!/bin/sh\nprintf '%s' '{json.dumps(answer)}'\n")
            plugin.chmod(0o700)
            run = {"apiVersion": answer["apiVersion"], "command": "./plugin", "interactiveMode": "Never"}
            user = {"token": token, "tokenFile": "toy/token", "exec": run}[way]
            config = tmp_path / "config"
            document = {
                "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority": "toy/ca.pem"}}],
                "users": [{"name": "u", "user": {way: user}}],
                "contexts": [{"name": "mine", "context": {"cluster": "c", "user": "u"}}],
            }
            config.write_text(yaml.safe_dump(document))

            arguments = ("--kubeconfig", str(config), "--context", "mine", "--group", "toy:admins")
            with running_demo(*arguments) as demo:
                whoami = kubectl_for(demo.kubeconfig, tmp_path)("auth", "whoami")
            assert "demo@example.com" in whoami
            assert "toy:admins" in whoami
        finally:
            process.terminate()


def test_a_port_that_is_taken_between_the_look_and_the_use_is_given_up(tmp_path: Path) -> None:
    """Somebody binds it as soon as the settings name it, long before the appliance is up."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    wanted = {"users": port, "agents": 0, "health": 0}
    (data / "ports.json").write_text(json.dumps(wanted))
    squatter: list[socket.socket] = []

    def squat() -> None:
        eventually(
            lambda: f":{port}" in (data / "fairlead.toml").read_text() if (data / "fairlead.toml").exists() else ""
        )
        squatter.append(socket.create_server(("127.0.0.1", port)))

    waiting = threading.Thread(target=squat)
    waiting.start()
    try:
        with running_demo("--data", str(data)) as demo:
            waiting.join()
            assert squatter
            assert not server_of(demo.kubeconfig).startswith(f"https://127.0.0.1:{port}/")
            assert "demo" in kubectl_for(demo.kubeconfig, tmp_path)("get", "namespaces")
            assert "cannot listen" not in "".join(demo.said)
    finally:
        for listener in squatter:
            listener.close()


def test_two_demos_may_start_at_once(tmp_path: Path) -> None:
    with running_demos(2) as demos:
        servers = {server_of(demo.kubeconfig) for demo in demos}
        assert len(servers) == 2
        for demo in demos:
            assert "demo" in kubectl_for(demo.kubeconfig, tmp_path)("get", "namespaces")


@contextlib.contextmanager
def running_demos(count: int) -> Iterator[list[Demo]]:
    """Each started while the others start."""
    with contextlib.ExitStack() as ending:
        with ThreadPoolExecutor(count) as pool:
            starts = [pool.submit(ending.enter_context, running_demo()) for _ in range(count)]
        yield [start.result() for start in starts]
