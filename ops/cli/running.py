"""What the commands on the appliance's own host share: settings, sentences instead of tracebacks, progress, an end.

Exit codes: 0 it is done and all is well, 1 it found something wrong or could not be done, 2 it was not asked rightly.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from appliance.config import Config

FAILED = 1

FILE = click.Path(dir_okay=False, path_type=Path)
config_option = click.option("--config", type=FILE, help="The appliance's settings (TOML).")

QUIET_SECONDS = 1.0  # what takes no longer says nothing
EVERY_SECONDS = 5.0  # in a log; a terminal shows each second


def settings(path: Path | None, *, restoring: bool = False) -> Config:
    """The appliance's settings; those that cannot be used are a sentence."""
    from appliance.config import load
    from daemon.settings import ConfigError

    try:
        return load(path, os.environ, restoring=restoring)
    except ConfigError as error:
        stop(error)


@contextmanager
def sentences() -> Iterator[None]:
    """Whatever stands in the way is one sentence on standard error, and exit code 1."""
    import sqlite3

    from appliance.audit.shelf import AuditBroken
    from appliance.backup.faults import BackupError
    from appliance.layout import InUseError
    from appliance.store.faults import StoreRefused, StoreUnavailable
    from appliance.store.sealing import SealError

    try:
        yield
    except (BackupError, StoreRefused, SealError) as error:
        stop(error)
    except InUseError as error:
        stop(f"{str(error).rstrip('.')}: stop it first.")
    except StoreUnavailable as error:
        stop(f"The database does not do it: {error}.")
    except AuditBroken as error:
        stop(f"The audit ledger cannot be used: {error}.")
    except sqlite3.Error as error:
        stop(f"A database cannot be used: {error}.")
    except OSError as error:
        stop(f"{error.filename or 'The system'}: {error.strerror or error}.")


def stop(reason: object) -> NoReturn:
    """End with one sentence."""
    click.echo(f"fairlead: {reason}", err=True)
    raise SystemExit(FAILED)


class Progress:
    """Says on standard error how far something is that takes its time, and ends it when a signal asks for that."""

    def __init__(self) -> None:
        self._began = self._said = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._shown = False
        self._stopped = False
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._stop)

    def told(self, what: str, rows: int) -> None:
        """Called often, from any thread."""
        if self._stopped:
            from appliance.backup.faults import BackupError

            raise BackupError("Stopped; nothing was changed.")
        now = time.monotonic()
        every = QUIET_SECONDS if self._terminal or not self._shown else EVERY_SECONDS
        if now - self._began < QUIET_SECONDS or now - self._said < every:
            return
        self._said, self._shown = now, True
        done = f"{what}: {rows:,} rows" if rows else what
        click.echo(f"\r{done:<70}" if self._terminal else f"... {done}", err=True, nl=not self._terminal)

    def end(self) -> None:
        if self._terminal and self._shown:
            click.echo("\r" + " " * 70 + "\r", err=True, nl=False)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._stopped:
            raise KeyboardInterrupt
        self._stopped = True
