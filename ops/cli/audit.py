"""`fairlead audit`: verify the audit ledger, keep a checkpoint of it elsewhere, export its records.

All of it reads only. What looks at the ledger itself runs on the appliance's own host, and works while the appliance
runs; its exit codes are for scripts: 0 means whole (or done), 1 that the ledger is not what was written, 2 that it
could not be looked at. What goes through the admin API is in `ops.cli.admin.trail`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from ops.cli.admin.options import Moment, desk
from ops.cli.admin.trail import export_online
from ops.cli.lazy import Group

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from appliance.audit.shelf import Place
    from appliance.audit.verify import Verdict
    from appliance.config import Config

BROKEN = 1
UNREADABLE = 2
_SETTINGS_HERE = "FAIRLEAD_PUBLIC_URL"  # the one setting that an appliance cannot do without

_FILE = click.Path(dir_okay=False, path_type=Path)
_config = click.option("--config", type=_FILE, help="The appliance's settings (TOML).")


#: Through the admin API, by whoever may read the trail.
_ONLINE = {
    "list": ("ops.cli.admin.trail:listed", "List audit records, the newest first."),
    "show": ("ops.cli.admin.trail:show", "Show one audit record whole."),
    "tail": ("ops.cli.admin.trail:tail", "Show the last audit records; with -f, go on."),
}


@click.group(cls=Group, lazy=_ONLINE)
def audit() -> None:
    r"""The audit records: search and follow them from anywhere; verify and keep them on the appliance's host.

    \b
    Example: fairlead audit list --since 24h --severity warning
             fairlead audit verify --config /etc/fairlead/fairlead.toml
    """


@audit.command()
@_config
@click.option("--checkpoint", type=_FILE, help="A checkpoint exported before: the ledger must still lead to it.")
def verify(config: Path | None, checkpoint: Path | None) -> None:
    r"""Read the whole ledger and name every record that was edited, removed, inserted or moved.

    Exits 0 when it is whole, 1 when it is not, 2 when it could not be read. Without --checkpoint, records cut off its
    end cannot be noticed: export one regularly and keep it on another machine.

    \b
    Example: fairlead audit verify --config /etc/fairlead/fairlead.toml
             fairlead audit verify --checkpoint /media/audit/monday.json
    """
    from appliance.audit.kept import MAX_FILE_BYTES, KeptCheckpoint
    from appliance.audit.verify import verify_chain

    kept = None
    if checkpoint is not None:
        try:
            with checkpoint.open("rb") as file:
                kept = KeptCheckpoint.parse(file.read(MAX_FILE_BYTES).decode())
        except (OSError, ValueError) as error:
            _cannot(f"The checkpoint {checkpoint} cannot be used: {error}.")
    place, key = _ledger(config)
    if kept is not None and not kept.signed_by(key):
        _cannot(f"The checkpoint {checkpoint} was not signed by this appliance.")
    with _reading(place):
        verdict = verify_chain(place, [key], kept=kept)
    for line in _told(verdict, place):
        click.echo(line)
    raise SystemExit(0 if verdict.sound else BROKEN)


@audit.command("checkpoint")
@_config
def export_checkpoint(config: Path | None) -> None:
    r"""Print the latest signed checkpoint, to be kept on another machine.

    \b
    Example: fairlead audit checkpoint --config /etc/fairlead/fairlead.toml > monday.json
             fairlead audit verify --checkpoint monday.json
    """
    from appliance.audit.kept import KeptCheckpoint
    from appliance.audit.reader import Reader

    place, key = _ledger(config)
    with _reading(place), Reader(place) as reader:
        kept = KeptCheckpoint.latest(reader)
    if kept is None:
        _cannot(f"The audit ledger {place} has no checkpoint yet.")
    if not kept.signed_by(key):
        click.echo(f"fairlead: the last checkpoint of {place} is not one that this appliance signed", err=True)
        raise SystemExit(BROKEN)
    click.echo(kept.text(), nl=False)


@audit.command()
@_config
@click.option("--since", type=Moment(ahead=False), help="From then on: a time, or how long ago, such as 24h.")
@click.option("--until", type=Moment(ahead=False), help="Until then, included.")
def export(config: Path | None, since: str | None, until: str | None) -> None:
    r"""Print the records as JSON, one a line, oldest first.

    On the appliance's host, which is where --config or the settings in the environment are given, they come from the
    ledger itself; elsewhere from the admin API, as far as whoever is signed in may see them.

    \b
    Example: fairlead audit export --since 2030-01-01T00:00:00Z --until 2030-02-01T00:00:00Z > january.jsonl
    """
    if config is not None or _SETTINGS_HERE in os.environ:
        _from_ledger(config, since, until)
    else:
        with desk() as online:
            export_online(online, since, until)


def _from_ledger(config: Path | None, since: str | None, until: str | None) -> None:
    from appliance.audit.reader import Reader
    from appliance.audit.shown import shown
    from appliance.core.audit_query import FOREVER, QueryFault, read_moment

    try:
        first = read_moment("--since", since) if since is not None else 0
        last = read_moment("--until", until) if until is not None else FOREVER
    except QueryFault as fault:
        raise click.UsageError(str(fault)) from None
    place = _place(_settings(config))
    with _reading(place), Reader(place) as reader:
        for kept in reader.export(first, last):
            click.echo(json.dumps(shown(kept)))


def _told(verdict: Verdict, place: Place) -> list[str]:
    lines = [f"BROKEN {fault}" for fault in verdict.faults]
    if verdict.cut is not None:
        lines.append(
            f"Retention may have removed what was signed up to {_day(verdict.cut.time)}; the rest is looked at."
        )
    if verdict.unsigned:
        lines.append(f"{verdict.unsigned} records came after the last checkpoint and are not signed yet.")
    what = f"{verdict.records} records and {verdict.checkpoints} checkpoints, the last one {verdict.last}"
    lines.append(f"{place}: {'whole' if verdict.sound else 'NOT WHOLE'}: {what}")
    return lines


def _day(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _settings(path: Path | None) -> Config:
    from appliance.config import load
    from daemon.settings import ConfigError

    try:
        return load(path, os.environ)
    except ConfigError as error:
        _cannot(error)


def _place(config: Config) -> Place:
    from appliance.audit.sqlite import SQLitePlace
    from appliance.audit_place import audit_place
    from appliance.layout import Layout
    from appliance.store.faults import StoreRefused

    try:
        place = audit_place(config)
    except StoreRefused as error:
        _cannot(error)
    if isinstance(place, SQLitePlace) and not (place.path.exists() and Layout(config.data_dir).store.exists()):
        _cannot(f"There is no audit ledger {place}. Give the settings of the appliance with --config.")
    return place


def _ledger(path: Path | None) -> tuple[Place, Ed25519PublicKey]:
    """Where the ledger is, and the key that its checkpoints must be signed with."""
    import sqlite3

    import trio

    from appliance import database
    from appliance.keys import open_keys
    from appliance.store.clock import utc_micros
    from appliance.store.faults import StoreRefused, StoreUnavailable
    from appliance.store.sealing import SealError

    config = _settings(path)
    place = _place(config)

    async def key() -> Ed25519PublicKey:
        async with database.opened(config, migrate=False) as store:
            return (await open_keys(store, utc_micros)).audit.public_key()

    try:
        return place, trio.run(key)
    except (StoreRefused, StoreUnavailable, SealError, OSError, sqlite3.Error) as error:
        _cannot(f"The key of the audit ledger cannot be read: {error}")


@contextmanager
def _reading(place: Place) -> Iterator[None]:
    """What goes wrong with the database is a sentence."""
    import sqlite3

    from appliance.audit.shelf import AuditBroken, AuditRefused

    try:
        yield
    except (sqlite3.Error, OSError, AuditBroken, AuditRefused) as error:
        _cannot(f"The audit ledger {place} cannot be read: {error}")


def _cannot(reason: object) -> NoReturn:
    click.echo(f"fairlead: {reason}", err=True)
    raise SystemExit(UNREADABLE)
