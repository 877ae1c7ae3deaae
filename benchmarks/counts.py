"""What one small GET takes, in counts: calls of Python functions, system calls, bytes, turns given to others.

Counts hardly move when a machine is busy or slow, so a small loss of efficiency shows where seconds would need a
factor. One connection asks N times, one after the other; the counters of appliance and agent are read before and
after, and divided by N. Sources: benchmarks.launch counts calls (of Python functions only, so that a compiled build
has almost none); /proc/PID/io counts reads and writes and their bytes, as OpenSSL makes them; /proc/PID/status counts
voluntary switches, one for each time that a thread waited.
"""

from __future__ import annotations

import os
import signal
import ssl
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import trio

from benchmarks import fairlead, nginx
from benchmarks.fairlead import Chain, Wishes
from benchmarks.processes import Part, until
from benchmarks.talk import dial, read_answer, request, trusting
from benchmarks.wrk import Load
from tests.support.certificates import TestCA

WARM, ASKED = 200, 500
TELL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one request, in one process."""

    calls: float
    reads_and_writes: float
    kilobytes: float
    waits: float

    def words(self) -> str:
        return (
            f"{self.calls:.1f} calls, {self.reads_and_writes:.2f} reads and writes of {self.kilobytes:.2f} KB, "
            f"{self.waits:.2f} waits"
        )


async def measure(directory: Path) -> dict[str, Counts]:
    """Start a chain whose processes count their calls, ask, and say what one request took each."""
    counted = ("benchmarks.launch", "counted")
    async with nginx.upstream(directory, TestCA.make("benchmark CA")) as upstream:
        wishes = Wishes(name="counted", module=counted, agent_module=counted)
        async with fairlead.wished(directory, upstream, wishes) as chain:
            load = chain.load(nginx.SMALL_PATH)
            with closing(await trio.to_thread.run_sync(dial, load, trusting(load))) as sock:
                await trio.to_thread.run_sync(_ask, sock, load, WARM)
                before = await _read(chain)
                await trio.to_thread.run_sync(_ask, sock, load, ASKED)
                after = await _read(chain)
    return {
        name: Counts(*((late - early) / ASKED for early, late in zip(before[name], after[name], strict=True)))
        for name in before
    }


def _ask(sock: ssl.SSLSocket, load: Load, times: int) -> None:
    asking = request(load)
    for _ in range(times):
        sock.sendall(asking)
        read_answer(sock, len(nginx.small_json()))


async def _read(chain: Chain) -> dict[str, tuple[float, float, float, float]]:
    """The counters of both processes. Asking for the calls is itself some calls, in every reading alike."""
    home = chain.serving.home
    return {
        part.name: (await _calls(part, home / f"{part.name}-watched", home / f"{part.name}.log"), *_kernel(part.pid))
        for part in chain.parts
    }


async def _calls(part: Part, told: Path, log: Path) -> float:
    """Ask for the count. Its file is replaced as a whole each time, so a newer one is another file."""
    before = _identity(told)
    os.kill(part.pid, signal.SIGUSR1)
    await until("the count of calls", lambda: _identity(told) != before, part, log, seconds=TELL_SECONDS)
    return _number(told)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _number(path: Path) -> float:
    return float(path.read_text())


def _kernel(pid: int) -> tuple[float, float, float]:
    """Reads and writes, their kilobytes, and voluntary switches of all threads."""
    io = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    waits = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for line in (thread / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                waits += int(line.split()[1])
    return int(io["syscr"]) + int(io["syscw"]), (int(io["rchar"]) + int(io["wchar"])) / 1e3, waits


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(prefix="fairlead-counts-") as made:
        for name, found in trio.run(measure, Path(made)).items():
            print(f"{name}: {found.words()}")
