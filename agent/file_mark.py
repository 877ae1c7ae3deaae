"""What differs once a file was replaced or rewritten."""

from __future__ import annotations

from pathlib import Path


def file_mark(path: Path) -> tuple[int, int, int] | None:
    """Return it; None: there is no file that can be seen. Kubernetes replaces by renaming a link."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
