"""Database files that are ours alone, and names of files that stay through a power cut."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from appliance.store.faults import StoreRefused


def own_file(path: Path) -> None:
    """Makes the directory (0700) and the file (0600) if they are missing; refuses a file that others can open."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # Looked at without opening it: closing any descriptor of a file drops the locks SQLite holds on it.
        found = path.lstat()
        if found.st_uid != os.geteuid():
            raise StoreRefused(f"The file {path} belongs to another user. Run this as that user.") from None
        if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
            raise StoreRefused(f"The file {path} must be ours alone. Run: chmod 600 {path}") from None


def sync_directory(path: Path) -> None:
    """What was renamed or made in it stays so through a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
