"""What lies where in the data directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class InUseError(Exception):
    """Another appliance uses the same data directory."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Every file of one appliance. All are private but `ca` and `ports`, and the directory is closed to others."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "fairlead.db"

    @property
    def audit(self) -> Path:
        return self.root / "audit.db"

    @property
    def master_key(self) -> Path:
        return self.root / "master.key"

    @property
    def ca(self) -> Path:
        """The certificate of our CA, for whoever on this host wants to connect."""
        return self.root / "ca.pem"

    @property
    def ports(self) -> Path:
        """The bound ports, once all listeners listen."""
        return self.root / "ports.json"

    def make(self) -> None:
        """Make the directory, closed to others."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the directory for one appliance; SQLite's files allow several, our keys and chains do not."""
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InUseError(f"Another appliance runs with the data in {self.root}.") from None
            yield
        finally:
            os.close(descriptor)


def replace_file(path: Path, content: str) -> None:
    """Write a file whole: a reader sees the old content or the new, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(content)
    part.replace(path)
