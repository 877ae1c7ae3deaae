"""The data directory during a restore: who holds it, what is in the way, where the new files wait, how they move in.

What always holds: the directory is held as an appliance holds it, so none starts meanwhile; nothing is deleted that
was there before; what was in the way is moved into a directory beside the new files, by renaming, and only after
everything new is whole and on the disk. Files that are not ours are left alone.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from appliance.layout import Layout
from appliance.store.files import sync_directory

_PARTS = ("", "-wal", "-shm")  # of an SQLite database
_STAGE = ".restoring-"


@contextmanager
def held(layout: Layout) -> Iterator[None]:
    """The directory, made if it is not there; unmade when the restore fails and we had made it."""
    made = not layout.root.exists()
    layout.make()
    try:
        with layout.claimed():
            yield
    except BaseException:
        if made:
            with suppress(OSError):
                (layout.root / "lock").unlink()
                layout.root.rmdir()
        raise


@contextmanager
def stage(layout: Layout) -> Iterator[Layout]:
    """A directory inside, on the same disk, in which a whole appliance's files are made; gone afterwards."""
    for left in layout.root.glob(f"{_STAGE}*"):  # by a restore that was killed; it held this directory as we do now
        shutil.rmtree(left)
    directory = Path(tempfile.mkdtemp(prefix=_STAGE, dir=layout.root))
    try:
        yield Layout(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def in_the_way(layout: Layout, *, but: tuple[Path, ...] = ()) -> list[Path]:
    """The files of an appliance that are there."""
    files = [path.with_name(path.name + part) for path in (layout.store, layout.audit) for part in _PARTS]
    return [path for path in (*files, layout.master_key) if path.exists() and path not in but]


def move_aside(layout: Layout, files: list[Path], now: int) -> Path:
    """Into a new directory of ours; its name says when."""
    when = datetime.fromtimestamp(now / 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = Path(tempfile.mkdtemp(prefix=f"replaced-{when}-", dir=layout.root))
    for path in files:
        path.rename(aside / path.name)
    sync_directory(aside)
    return aside


def move_in(layout: Layout, staged: Layout) -> None:
    """The configuration first: a start between two of these steps is refused for want of the key."""
    for name in (
        *(f"{staged.store.name}{part}" for part in _PARTS),
        *(f"{staged.audit.name}{part}" for part in _PARTS),
    ):
        if (staged.root / name).exists():
            (staged.root / name).rename(layout.root / name)
    if staged.master_key.exists():
        staged.master_key.rename(layout.master_key)
    sync_directory(layout.root)
