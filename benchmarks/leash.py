"""Runs a program that must not outlive its parent: `python -m benchmarks.leash PROGRAM ARGUMENT...`.

The parent holds the other end of our standard input and never writes to it. When the parent is gone, however it went,
the pipe ends and the program is asked to stop; a SIGTERM is passed on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType


class Leash:
    """One program and the wish that it ends, whichever comes first."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._wanted = False

    def run(self, command: list[str]) -> int:
        """Run the program to its end."""
        signal.signal(signal.SIGTERM, self._on_signal)
        self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        if self._wanted:
            self._child.terminate()
        threading.Thread(target=self._watch, name="leash", daemon=True).start()
        return self._child.wait()

    def stop(self) -> None:
        """Ask the program to stop, now or as soon as it has started."""
        self._wanted = True
        if self._child is not None:
            self._child.terminate()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    def _watch(self) -> None:
        while os.read(0, 1):
            pass
        self.stop()


if __name__ == "__main__":
    sys.exit(Leash().run(sys.argv[1:]))
