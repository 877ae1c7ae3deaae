"""Every kubectl on this machine against the toy cluster: exec, terminals, attach, port-forward, cp."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.ops.streams.rig import Toy, kubectls

pytestmark = pytest.mark.real_clock
ALL = pytest.mark.parametrize("version", list(kubectls()))
#: The oldest speaks SPDY, the newest WebSocket; what costs seconds is tried with these two.
ENDS = pytest.mark.parametrize("version", [next(iter(kubectls())), list(kubectls())[-1]])
SIZE = 32 * 1024 * 1024  # 200 MiB go through the tunnel, in tests/journeys


@ALL
async def test_exec(version: str, cluster: Toy) -> None:
    ran = await cluster.kubectl(version, "exec", "web", "--", "sh", "-c", "echo out $COLOUR; echo err >&2; exit 42")
    assert (ran.returncode, ran.stdout) == (42, b"out blue\n")
    assert ran.stderr == b"err\ncommand terminated with exit code 42\n"
    ran = await cluster.kubectl(version, "exec", "-i", "web", "--", "cat", stdin=b"half-close ends cat\n" * 5000)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"half-close ends cat\n" * 5000, b"")
    ran = await cluster.kubectl(version, "exec", "web", "--", "nosuch")
    assert ran.returncode == 1
    assert b'exec: "nosuch": executable file not found in $PATH' in ran.stderr


@ALL
async def test_cp_both_ways(version: str, cluster: Toy, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep/random").write_bytes(os.urandom(3_000_000))
    (source / "empty").touch()
    (source / "run.sh").write_text("echo hi\n")
    (source / "run.sh").chmod(0o755)
    await cluster.kubectl(version, "exec", "web", "--", "mkdir", f"/tmp/{version}")
    for command in (
        ("cp", str(source), f"web:/tmp/{version}/there"),
        ("cp", "--no-preserve", str(source / "run.sh"), f"web:/tmp/{version}/run.sh"),
        ("cp", f"web:/tmp/{version}/there", str(tmp_path / "back")),
        ("cp", "--retries=2", f"web:/tmp/{version}/run.sh", str(tmp_path / "back.sh")),
    ):
        ran = await cluster.kubectl(version, *command)
        assert ran.returncode == 0, ran.stderr
        assert b"error" not in ran.stderr
    assert (tmp_path / "back/deep/random").read_bytes() == (source / "deep/random").read_bytes()
    assert sorted(path.name for path in (tmp_path / "back").rglob("*")) == ["deep", "empty", "random", "run.sh"]
    assert (tmp_path / "back.sh").read_text() == "echo hi\n"
    await cluster.kubectl(version, "cp", "web:/nope", str(tmp_path / "never"))
    assert not (tmp_path / "never").exists()  # whether kubectl still shows tar's complaint is a race of its own


@ENDS
@pytest.mark.slow
async def test_cp_of_much(version: str, cluster: Toy, tmp_path: Path) -> None:
    block = os.urandom(1024 * 1024)
    with (tmp_path / "big").open("wb") as file:
        for _ in range(SIZE // len(block)):
            file.write(block)
    for command in (("cp", str(tmp_path / "big"), "web:/tmp/big"), ("cp", "web:/tmp/big", str(tmp_path / "back"))):
        ran = await cluster.kubectl(version, *command)
        assert ran.returncode == 0, ran.stderr
    digest = hashlib.sha256(block * (SIZE // len(block))).hexdigest()
    ran = await cluster.kubectl(version, "exec", "web", "--", "sha256sum", "/tmp/big")
    assert ran.stdout.decode() == f"{digest}  /tmp/big\n"
    with (tmp_path / "back").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest


@ALL
async def test_an_endless_output_passes_through_and_does_not_pile_up(version: str, cluster: Toy) -> None:
    async with running(cluster, version, "exec", "web", "--", "yes") as process:
        assert process.stdout is not None
        before, passed = cluster.resident_bytes(), 0
        while passed < 64 * 1024 * 1024:
            passed += len(await process.stdout.receive_some())
        assert cluster.resident_bytes() - before < 32 * 1024 * 1024


@ENDS
async def test_attach(version: str, cluster: Toy) -> None:
    async with running(cluster, version, "attach", "-i", "web") as process:
        assert await read_until(process, rb"web line \d+\n")
        assert process.stdin is not None
        await process.stdin.send_all(b"typed\n")
        assert await read_until(process, rb"typed\n")
        assert await read_until(process, rb"web line \d+\n")


@ALL
async def test_a_terminal(version: str, cluster: Toy) -> None:
    async with at_terminal(cluster, version, "exec", "-it", "web", "--", "sh") as screen:
        await screen.expect(r"/ # $")
        await screen.type("stty size; tty\r", r"37 101\r\n/dev/pts/0\r\n/ # $")
        screen.resize(20, 60)
        await screen.until("stty size\r", r"20 60\r\n/ # $")
        await screen.type("sleep 1000\r", r"sleep 1000\r\n$")
        await screen.type("\x03", r"\^C\r\n/ # $")
        await screen.type("exit 5\r", r"exit 5\r\n")
        assert await screen.exit_code() == 5


@ENDS
async def test_ctrl_d_ends_a_terminal(version: str, cluster: Toy) -> None:
    async with at_terminal(cluster, version, "exec", "-it", "web", "--", "cat") as screen:
        await screen.type("abc\r", r"abc\r\nabc\r\n")
        await screen.type("\x04", "")
        assert await screen.exit_code() == 0


@ALL
async def test_port_forward_many_connections_at_once(version: str, cluster: Toy) -> None:
    async with running(cluster, version, "port-forward", "pod/web", ":80", ":7", ":9") as process:
        said = await read_until(process, rb"(?s)(127.0.0.1:\d+ -> \d+.*){3}")
        ports = {int(remote): int(local) for local, remote in re.findall(rb"127.0.0.1:(\d+) -> (\d+)", said)}
        async with trio.open_nursery() as nursery:
            for number in range(15):
                nursery.start_soon(echoes, ports[7], bytes((number,)) * 200_000)
                nursery.start_soon(greets, ports[80])
            nursery.start_soon(discards, ports[9])


@ALL
async def test_port_forward_to_a_port_nobody_listens_on(version: str, cluster: Toy) -> None:
    async with running(cluster, version, "port-forward", "pod/web", ":81") as process:
        said = await read_until(process, rb"127.0.0.1:\d+ -> 81")
        found = re.search(rb"127.0.0.1:(\d+)", said)
        assert found
        client = await trio.open_tcp_stream("127.0.0.1", int(found[1]))
        await client.send_all(b"x")
        assert process.stderr is not None
        complaint = b""
        while b"connection refused" not in complaint:
            complaint += await process.stderr.receive_some()
        assert b"error forwarding port 81 to pod web" in complaint
        await client.aclose()


async def echoes(port: int, sent: bytes) -> None:
    client = await trio.open_tcp_stream("127.0.0.1", port)
    async with client, trio.open_nursery() as nursery:

        async def send() -> None:
            await client.send_all(sent)
            await client.send_eof()

        nursery.start_soon(send)
        received = b""
        async for data in client:
            received += data
        assert received == sent


async def greets(port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as client:
        for _ in range(2):
            await client.send_all(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
            answer = b""
            while not answer.endswith(b"hello from web\n"):
                answer += await client.receive_some()
            assert answer.startswith(b"HTTP/1.1 200 ")


async def discards(port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as client:
        await client.send_all(bytes(2_000_000))
        await client.send_eof()
        assert await client.receive_some() == b""


@asynccontextmanager
async def running(cluster: Toy, version: str, *arguments: str) -> AsyncIterator[trio.Process]:
    """A kubectl that goes on until the block ends."""
    pipe = subprocess.PIPE
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            cluster.argv(version, *arguments),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            check=False,
            env=cluster.environment(),
        )
        process = await nursery.start(start)
        with trio.fail_after(30):
            yield process
        process.terminate()


async def read_until(process: trio.Process, pattern: bytes) -> bytes:
    assert process.stdout is not None
    seen = b""
    while not re.search(pattern, seen):
        data = bytes(await process.stdout.receive_some())
        assert data, seen
        seen += data
    return seen


class Screen:
    """A person at a terminal in front of one kubectl."""

    def __init__(self, descriptor: int, process: trio.Process) -> None:
        self._descriptor = descriptor
        self._process = process
        self._seen = ""

    async def type(self, keys: str, expected: str) -> str:
        os.write(self._descriptor, keys.encode())
        return await self.expect(expected)

    async def expect(self, pattern: str) -> str:
        """Read until the pattern shows; returns what was there up to its end, which is then done with."""
        while not (found := re.search(pattern, self._seen)):
            await trio.lowlevel.wait_readable(self._descriptor)
            self._seen += os.read(self._descriptor, 4096).decode()
        done, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        return done

    async def until(self, keys: str, expected: str) -> None:
        """Type the same line again until the answer is right: a new size takes its time to travel."""
        answered = ""
        while not re.search(expected, answered):
            answered = await self.type(keys, r"/ # $")

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process.send_signal(signal.SIGWINCH)

    async def exit_code(self) -> int:
        return await self._process.wait()


@asynccontextmanager
async def at_terminal(cluster: Toy, version: str, *arguments: str) -> AsyncIterator[Screen]:
    """kubectl with a pseudo-terminal of 37 rows and 101 columns for all three standard streams."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 37, 101, 0, 0))
    try:
        process = await trio.lowlevel.open_process(
            cluster.argv(version, *arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=cluster.environment()
        )
        try:
            with trio.fail_after(30):
                yield Screen(ours, process)
        finally:
            if process.poll() is None:
                process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
    finally:
        os.close(theirs)
        os.close(ours)
