"""A file that is there whole or not at all, and for us alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from appliance.backup.faults import BackupError
from appliance.store.files import sync_directory


@contextmanager
def new_file(path: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """Takes its place, on the disk, when the block ends well; until then it lies beside it under another name.

    Raises:
        BackupError: something is there and `replace` is off, or the file cannot be written.

    """
    if not replace and os.path.lexists(path):
        raise _there(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if replace:
                part.replace(path)
            else:
                os.link(part, path)  # unlike a rename, it replaces nothing
        finally:
            part.unlink(missing_ok=True)
        sync_directory(path.parent)
    except FileExistsError:
        raise _there(path) from None
    except OSError as error:
        raise BackupError(f"The file {path} cannot be written: {error.strerror or error}.") from None


def _there(path: Path) -> BackupError:
    return BackupError(f"The file {path} is there already. Give another name, or --force to replace it.")
