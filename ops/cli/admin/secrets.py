"""Secrets that the appliance shows once: onto standard output, where a shell can take them, or into a private file.

What always holds: a secret is never mixed with sentences: standard output then holds nothing else, so that
`> file` keeps exactly it; into a file it goes with mode 0600, over nothing that is there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from ops.cli.admin.desk import Desk
from ops.cli.faults import Fault
from ops.cli.output import clean
from ops.cli.output.kinds import Kind

token_out_option = click.option(
    "--token-out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the secret into this file, for you alone to read, and not to standard output.",
)


def taken(file: Path | None) -> Path | None:
    """The file if it can be used; tried before anything is made."""
    if file is None:
        return None
    if file.exists() or file.is_symlink():
        raise Fault(f"{clean.plain(file)} exists, so nothing was made.", next_step="give another file")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise Fault(f"{clean.plain(file)} cannot be written, so nothing was made.", next_step="give another file")
    return file


def written_private(file: Path, text: str) -> None:
    """A new file for its owner alone; an OSError is the caller's."""
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(text)


def shown_once(desk: Desk, kind: Kind, made: dict[str, Any], field: str, file: Path | None, what: str) -> None:
    """What was made with its secret. For scripts the secret is a field, unless it went into a file."""
    secret = str(made[field])
    if file is not None:
        try:
            written_private(file, secret + "\n")
        except OSError as error:
            why = error.strerror or "it cannot be written"
            raise Fault(f"It is made, but its secret is lost: {clean.plain(file)}: {why}.") from None
        rest = {name: value for name, value in made.items() if name != field}
        desk.done(kind, {**rest, f"{field}_file": str(file)}, f"{what} Its {field} is in {file}.")
    elif desk.form.for_people:
        desk.remark(f"{what} Its {field} is shown this once:")
        desk.said(f"{clean.plain(secret)}\n")
    else:
        desk.whole(kind, made)
