"""A person at a terminal in front of one program: keys in, a screen to read, a window to resize."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Self

EXPECT_SECONDS = 20.0


class Screen:
    """A program with a pseudo-terminal for all three standard streams; ended when the block ends."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], rows: int = 24, columns: int = 80
    ) -> None:
        self._ours, self._theirs = pty.openpty()
        self._size(rows, columns)
        screen = self._theirs
        self._process = subprocess.Popen(
            command, stdin=screen, stdout=screen, stderr=screen, env={**environment, "TERM": "xterm"}
        )
        self._seen = ""

    def _size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows: int, columns: int) -> None:
        """Change the window, and tell the program as a terminal would."""
        self._size(rows, columns)
        self._process.send_signal(signal.SIGWINCH)

    def expect(self, pattern: str, seconds: float = EXPECT_SECONDS) -> str:
        """Read until the pattern shows; what was there up to its end is then done with."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self._seen)):
            left = until - time.monotonic()
            assert left > 0, f"no {pattern!r} on the screen: {self._seen!r}"
            if select.select([self._ours], [], [], left)[0]:
                self._seen += self._read()
        done, self._seen = self._seen[: found.end()], self._seen[found.end() :]
        return done

    def _read(self) -> str:
        try:
            return os.read(self._ours, 4096).decode(errors="replace")
        except OSError as error:  # the program has closed the terminal
            assert error.errno == errno.EIO
            raise AssertionError(f"the screen is gone: {self._seen!r}") from error

    def keys(self, keys: str, expected: str) -> str:
        os.write(self._ours, keys.encode())
        return self.expect(expected)

    def repeat(self, keys: str, expected: str) -> None:
        """Type the same line until the answer is right."""
        until = time.monotonic() + EXPECT_SECONDS
        while not re.search(expected, self.keys(keys, r"\n.*\n.*/ # ")):
            assert time.monotonic() < until, f"{keys!r} never gave {expected!r}"

    def exit_code(self) -> int:
        return self._process.wait(EXPECT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._theirs)
        os.close(self._ours)
