"""How much memory some processes hold, the kernel's buffers for their sockets included, by the best account there is.

A control group counts all of it (version 2 in one figure, version 1 in two). Where none can be made, the processes'
own pages and the kernel's total of TCP buffers stand in: more is counted then, namely everybody's sockets. Run as a
program it enters a group and becomes another command:

    python -m tests.journeys.memory GROUP COMMAND...
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

CGROUPS = Path("/sys/fs/cgroup")
PLENTY = 1 << 40
"""A limit that limits nothing: version 1 counts TCP buffers only where there is one."""


class Account(Protocol):
    """One way to count."""

    @property
    def name(self) -> str: ...
    @property
    def inside(self) -> Sequence[str]:
        """What goes before a command so that it is counted."""

    @property
    def foreign_kib(self) -> int:
        """What of a connection's other ends, which are not ours, is counted as well."""

    def held(self, pids: Sequence[int]) -> int:
        """Bytes held now."""


class Group:
    """A control group of this test's own."""

    foreign_kib = 0

    def __init__(self, directory: Path, files: Sequence[str]) -> None:
        self.name = f"control group ({', '.join(files)})"
        self.inside = (sys.executable, "-m", "tests.journeys.memory", str(directory))
        self._files = [directory / name for name in files]

    def held(self, pids: Sequence[int]) -> int:
        del pids
        return sum(int(file.read_text()) for file in self._files)


class Pages:
    """Proportional pages of the processes, and the TCP buffers of the whole machine."""

    foreign_kib = 2048

    def __init__(self, reason: str) -> None:
        self.name = f"smaps and sockstat ({reason})"
        self.inside: Sequence[str] = ()

    def held(self, pids: Sequence[int]) -> int:
        pages = sum(_field(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") * 1024 for pid in pids)
        words = next(line for line in Path("/proc/net/sockstat").read_text().splitlines() if line.startswith("TCP:"))
        buffers = int(words.split()[words.split().index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE")
        return pages + buffers


@contextmanager
def account() -> Iterator[Account]:
    """The best account that this machine allows; it says which."""
    for parent, files, prepare in (
        (CGROUPS / "memory", ("memory.usage_in_bytes", "memory.kmem.tcp.usage_in_bytes"), _count_tcp),
        (_own_version_2(), ("memory.current",), _nothing),
    ):
        directory = parent / f"fairlead-{secrets.token_hex(4)}"
        try:
            directory.mkdir()
        except OSError:
            continue
        try:
            if not all((directory / file).exists() for file in files):
                continue
            prepare(directory)
            yield Group(directory, files)
        finally:
            with contextlib.suppress(OSError):  # a process that is on its way out: the group goes with the machine
                directory.rmdir()
        return
    yield Pages("no control group with a memory account can be made here")


def _own_version_2() -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return CGROUPS / line.removeprefix("0::").lstrip("/")
    return CGROUPS


def _count_tcp(directory: Path) -> None:
    (directory / "memory.kmem.tcp.limit_in_bytes").write_text(str(PLENTY))


def _nothing(directory: Path) -> None:
    del directory


def _field(file: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(name))


if __name__ == "__main__":
    Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
    os.execv(sys.argv[2], sys.argv[2:])
