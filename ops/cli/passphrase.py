"""The passphrase of a backup: from a file or from the terminal, never from the command line or the environment."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import click

SHORTEST = 12  # characters; whoever has the file may try at leisure, each try costs some tenths of a second
MAX_FILE_BYTES = 64 * 1024

passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the passphrase, not readable by others; its first line counts. Without it you are asked.",
)


def read(file: Path | None, *, new: bool) -> str:
    """The passphrase. A new one is asked for twice and must not be short."""
    given = _from_file(file) if file is not None else _asked(new=new)
    if not given:
        raise click.UsageError("The passphrase is empty.")
    if new and len(given) < SHORTEST:
        raise click.UsageError(f"The passphrase has fewer than {SHORTEST} characters. Try: openssl rand -base64 32")
    return given


def _from_file(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(file.stat().st_mode)
            raw = opened.read(MAX_FILE_BYTES)
    except OSError as error:
        raise click.UsageError(f"--passphrase-file {file} cannot be read: {error.strerror}.") from None
    if mode & 0o037:
        raise click.UsageError(f"--passphrase-file {file} can be read by others. Run: chmod 600 {file}")
    try:
        return raw.decode().partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        raise click.UsageError(f"--passphrase-file {file} is not text.") from None


def _asked(*, new: bool) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the passphrase at: give --passphrase-file.")
    asked: str = click.prompt("Passphrase of the backup", hide_input=True, confirmation_prompt=new, err=True)
    return asked
