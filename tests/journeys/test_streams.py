"""Streams that outlive HTTP: shells, terminals, attach, port-forward and cp, over SPDY and over WebSocket."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.journeys.conftest import Kubectl
from tests.journeys.processes import MIB, Running
from tests.journeys.screen import Screen

CP_BYTES = 200 * MIB
SOCKET_SECONDS = 30.0


def test_exec_keeps_streams_and_exit_codes_apart(kubectl: Kubectl, pod: str) -> None:
    done = kubectl.run("exec", pod, "--", "sh", "-c", "echo out; echo err >&2; exit 42")
    assert done.returncode == 42
    assert done.stdout == "out\n"
    assert done.stderr == "err\ncommand terminated with exit code 42\n"
    assert kubectl.run("exec", pod, "--", "true").returncode == 0
    assert kubectl.run("exec", pod, "--", "no-such-program").returncode != 0


def test_the_end_of_standard_input_arrives(kubectl: Kubectl, pod: str) -> None:
    much = "the end of input ends cat\n" * 20_000
    assert kubectl("exec", "-i", pod, "--", "cat", stdin=much) == much
    assert kubectl("exec", "-i", pod, "--", "sh", "-c", "cat; echo over", stdin="") == "over\n"
    with kubectl.start("exec", "-i", pod, "--", "cat", stdin=True) as cat:
        cat.give("one line\n")
        assert cat.line() == "one line\n"  # what is typed comes back before anything is closed
        assert cat.process.stdin is not None
        cat.process.stdin.close()
        assert cat.end() == 0


def test_a_terminal(kubectl: Kubectl, pod: str) -> None:
    with Screen(kubectl.command("exec", "-it", pod, "--", "sh"), kubectl.environment, rows=37, columns=101) as screen:
        screen.expect(r"/ # ")
        screen.keys("stty size\r", r"37 101\r\n")
        screen.resize(20, 60)
        screen.repeat("stty size\r", r"20 60\r\n")  # a new size takes its time to travel
        screen.keys("sleep 1000\r", r"sleep 1000\r\n")
        screen.keys("\x03", r"\^C\r\n")
        screen.keys("exit 5\r", r"exit 5\r\n")
        assert screen.exit_code() == 5


def test_without_input_kubectl_asks_for_no_terminal(kubectl: Kubectl, pod: str) -> None:
    with Screen(kubectl.command("exec", "-t", pod, "--", "tty"), kubectl.environment) as screen:
        screen.expect(r"not a tty\r\n")
        assert screen.exit_code() == 1


def test_attach(kubectl: Kubectl, pod: str) -> None:
    with kubectl.start("attach", pod) as attached:
        attached.line()
        attached.line()
        assert attached.process.poll() is None


def test_exec_in_a_pod_that_does_not_exist(kubectl: Kubectl, unique: str) -> None:
    assert f'pods "{unique}" not found' in kubectl.refused("exec", unique, "--", "true")


def test_many_connections_through_one_port_forward(toy_kubectl: Kubectl) -> None:
    """The toy's pods greet on port 80, echo on 7 and discard on 9."""
    pod = ("-n", "demo", "pod/harbour-master")
    with toy_kubectl.start("port-forward", *pod, ":80", ":7") as forward, ThreadPoolExecutor(24) as pool:
        ports = dict(forwarded(forward) for _ in range(2))
        echoes = [pool.submit(echoed, ports[7], bytes((number,)) * 300_000) for number in range(12)]
        greetings = [pool.submit(greeted, ports[80]) for _ in range(12)]
        assert all(answer.result(SOCKET_SECONDS) for answer in echoes + greetings)
        assert greeted(ports[80])  # the forward goes on when all of them have left
        assert forward.process.poll() is None


def forwarded(forward: Running) -> tuple[int, int]:
    """Remote and local port of the next IPv4 line."""
    found = re.search(r"127\.0\.0\.1:(\d+) -> (\d+)", forward.line("127.0.0.1:"))
    assert found is not None
    return int(found[2]), int(found[1])


def echoed(port: int, sent: bytes) -> bool:
    with socket.create_connection(("127.0.0.1", port), SOCKET_SECONDS) as client:

        def send() -> None:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = bytearray()
        while piece := client.recv(65536):
            received += piece
        sender.join()
        return received == sent


def greeted(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), SOCKET_SECONDS) as client:
        received = b""
        for _ in range(2):
            client.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\n\r\n")
            received = b""
            while not received.endswith(b"hello from harbour-master\n"):
                piece = client.recv(4096)
                assert piece, received
                received += piece
        return received.startswith(b"HTTP/1.1 200 ")


@pytest.mark.ends
def test_cp_of_200_mib_both_ways(kubectl: Kubectl, pod: str, tmp_path: Path, unique: str) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    digest = random_file(there, CP_BYTES)
    remote = f"/tmp/{unique}"

    kubectl("cp", str(there), f"{pod}:{remote}")
    assert kubectl("exec", pod, "--", "sha256sum", remote).split()[0] == digest

    kubectl("cp", f"{pod}:{remote}", str(back))
    with back.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest
    kubectl("exec", pod, "--", "rm", remote)


def random_file(path: Path, size: int) -> str:
    """Write `size` bytes that do not compress; return their SHA-256."""
    block, digest = os.urandom(MIB), hashlib.sha256()
    with path.open("wb") as file:
        for number in range(size // MIB):
            piece = number.to_bytes(8, "big") + block[8:]
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


@pytest.mark.ends
def test_endless_output_ends_with_its_reader(kubectl: Kubectl, pod: str) -> None:
    command = kubectl.command("exec", pod, "--", "yes")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=kubectl.environment) as process:
        assert process.stdout is not None
        passed = 0
        while passed < 64 * MIB:
            piece = process.stdout.read(MIB)
            assert piece
            passed += len(piece)
        process.terminate()
    assert kubectl("exec", pod, "--", "echo", "still there") == "still there\n"
