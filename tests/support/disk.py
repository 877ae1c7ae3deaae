"""A disk that really fills: a file system of our own, as large as it is made, in memory and gone afterwards.

While it is full, whatever comes free is taken at once, as by a log that somebody else writes there. It is unmounted
also when the test is killed. Needs the right to mount (root), which network namespaces take as well.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.missing import cannot

COMMAND_SECONDS = 10.0
TAKE_SECONDS = 0.02  # between two looks for room
PIECE = bytes(4096)  # a page: the least that is taken or comes free

# Waits until nobody holds the other end of its input: the test has ended, or is dead.
WATCH = 'echo; read -r _; exec umount --lazy "$1"'


class Disk:
    """Make one with `small_disk`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"
        self._over = threading.Event()
        self._filling = threading.Thread()

    def fill(self) -> None:
        """Leave no room, until `make_room`."""
        full = threading.Event()
        self._over.clear()
        self._filling = threading.Thread(target=self._fill, args=(full,), daemon=True)
        self._filling.start()
        assert full.wait(COMMAND_SECONDS), "the disk does not fill"

    def make_room(self) -> None:
        self._over.set()
        if self._filling.ident is not None:
            self._filling.join()
        self._ballast.unlink(missing_ok=True)

    def _fill(self, full: threading.Event) -> None:
        with self._ballast.open("ab", buffering=0) as ballast:
            while not self._over.is_set():
                try:
                    ballast.write(PIECE)
                except OSError:
                    full.set()
                    self._over.wait(TAKE_SECONDS)


@contextmanager
def small_disk(path: Path, mebibytes: int, owner: int | None = None) -> Iterator[Disk]:
    """A disk on this directory. Skipped only where that is not possible and the developer allows it."""
    owner = os.geteuid() if owner is None else owner
    how = f"size={mebibytes}m,mode=0700,uid={owner},gid={owner}"
    command = ["mount", "-t", "tmpfs", "-o", how, "fairlead-test", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        fault = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError:
        fault = "`mount` is not installed"
    if fault:
        cannot(f"no disk of our own can be made: {fault}")
    watch = subprocess.Popen(
        ["sh", "-c", WATCH, "sh", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    disk = Disk(path)
    try:
        assert watch.stdout is not None
        watch.stdout.readline()
        yield disk
    finally:
        disk.make_room()
        watch.communicate(timeout=COMMAND_SECONDS)
    assert watch.returncode == 0, f"{path} is still mounted"
