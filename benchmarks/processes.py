"""The processes under measurement: started, accounted for and ended by their ids.

CPU time is what /proc/PID/stat says of a process, its threads and its children, so it includes the kernel's work on
their behalf (system calls, copying, TLS) but not interrupts. What always holds: whatever is started here is asked to
stop (SIGTERM), given time, then killed; its output goes to a file in the run's own directory.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 8.0  # a drained appliance needs two; nginx none
START_SECONDS = 20.0  # a part that needs longer is broken
POLL_SECONDS = 0.02  # how often we look whether a part has come up
LAST_LINES = 20  # of its output, when a part fails
NOTHING_MORE: Mapping[str, str] = {}


class PartFailedError(Exception):
    """A part did not start or ended on its own; the text holds its last lines."""


@dataclass(frozen=True, slots=True)
class Part:
    """One measured program: its name in the tables and the id of its first process."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process and its children. PSS counts a shared page by its share."""

    rss_kib: int
    pss_kib: int


def family(pid: int) -> list[int]:
    """The process and all its descendants that are alive."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError, IndexError):
                parents.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [pid]
    for known in found:
        found += parents.get(known, [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the process, its descendants, and the children it has waited for."""
    ticks = 0
    for member in family(pid):
        with suppress(OSError, IndexError):
            ticks += sum(int(field) for field in _stat(member)[11:15])
    return ticks * TICK_SECONDS


def memory(pid: int) -> Memory:
    """What the process and its descendants hold now."""
    rss = pss = 0
    for member in family(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    rss += int(line.split()[1])
                elif line.startswith("Pss:"):
                    pss += int(line.split()[1])
    return Memory(rss, pss)


def socket_memory_kib() -> int:
    """What all TCP sockets of this network namespace hold in the kernel (pages, so coarse)."""
    for line in Path("/proc/net/sockstat").read_text().splitlines():
        if line.startswith("TCP:"):
            words = line.split()
            return int(words[words.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    return 0


@asynccontextmanager
async def running(
    name: str, command: Sequence[str], log: Path, more: Mapping[str, str] = NOTHING_MORE
) -> AsyncIterator[Part]:
    """Run a part for as long as the block; its standard input ends when we do, which a leash reads as SIGTERM.

    `more` is added to the environment.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FAIRLEAD_")} | dict(more)
    with log.open("ab") as output:
        process = await trio.lowlevel.open_process(
            list(command), stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        yield Part(name, process.pid)
        if process.poll() is not None:
            raise PartFailedError(f"{name} ended with code {process.returncode} during the run:\n{tail(log)}")
    finally:
        with trio.CancelScope(shield=True):
            await _stop(process)


async def _stop(process: trio.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    with trio.move_on_after(STOP_SECONDS):
        await process.wait()
        return
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def until(what: str, there: Callable[[], bool], part: Part, log: Path, *, seconds: float = START_SECONDS) -> None:
    """Wait for something another process does (there is no event to wait for)."""
    with trio.move_on_after(seconds):
        while not there():
            if not _alive(part.pid):
                break
            await trio.sleep(POLL_SECONDS)
        else:
            return
    raise PartFailedError(f"{what} did not come:\n{tail(log)}")


def tail(log: Path) -> str:
    """The last lines a part wrote."""
    with suppress(OSError):
        lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"
    return "    (no output)"


def _alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return False


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may itself hold spaces: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
