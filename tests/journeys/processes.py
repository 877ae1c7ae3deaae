"""Processes from outside: what they say, how much memory they hold, and waiting for something to become true.

Every wait has a deadline and fails with what was seen. Nothing here knows anything about Fairlead.
"""

from __future__ import annotations

import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

Seen = TypeVar("Seen")

POLL_SECONDS = 0.02
LINE_SECONDS = 20.0  # for a line that is on its way; generous, because a busy machine is no failure of ours
END_SECONDS = 30.0
BUSY_SECONDS = 3.0  # what a machine with other work may add to a length of time that is promised
MIB = 1024 * 1024


def eventually(look: Callable[[], Seen], seconds: float = LINE_SECONDS, what: str = "") -> Seen:
    """What `look` gives once it is true. `look` may fail with an AssertionError meanwhile; the last one is told."""
    until = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        reason = ""
        try:
            seen = look()
            if seen:
                return seen
        except AssertionError as failed:
            reason = f"; the last try: {failed}"
        if time.monotonic() > until:
            raise AssertionError(f"{what or look} did not come true within {seconds} s{reason}")
        pause.wait(POLL_SECONDS)


def wait_until(moment: float) -> None:
    """Wait for a moment of time.monotonic(), for the tests whose subject is a length of time."""
    threading.Event().wait(max(0.0, moment - time.monotonic()))


def resident_bytes(pid: int) -> int:
    """The memory a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def children_by_command(pid: int) -> dict[str, int]:
    """The children of a `fairlead demo`, by the sub-command each of them runs."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():  # a child counts for the thread that started it
        for child in (task / "children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
            found[words[words.index("ops.demo.leash") + 1]] = int(child)
    return found


class Growth:
    """How much more memory each of some processes held at its peak than at the start."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._start = {pid: resident_bytes(pid) for pid in pids}
        self._peak = dict(self._start)

    def look(self) -> None:
        for pid in self._peak:
            self._peak[pid] = max(self._peak[pid], resident_bytes(pid))

    def mebibytes(self) -> list[float]:
        """Of each process, in the order given."""
        self.look()
        return [(self._peak[pid] - self._start[pid]) / MIB for pid in self._peak]


class Running:
    """A program that goes on: its standard output line by line, its standard error at the end."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, stdin: bool = False) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            errors="replace",
        )
        self.said: list[str] = []
        self.complaints: list[str] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._listen, self._complain)]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            self._lines.put(line)

    def _complain(self) -> None:
        assert self.process.stderr is not None
        self.complaints.extend(self.process.stderr)

    def line(self, text: str = "", seconds: float = LINE_SECONDS) -> str:
        """The next line that holds `text`."""
        until = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line with {text!r} in {self.said} {self.complaints}") from None
            if text in line:
                return line

    def give(self, text: str) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, seconds: float = END_SECONDS) -> int:
        """Wait for it to end by itself; all it said is there afterwards."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: {self.said[-5:]} {self.complaints}") from None
        for thread in self._threads:
            thread.join(seconds)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
