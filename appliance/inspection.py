"""Looks at everything an appliance keeps and says what is wrong with it, and what to do.

The files and who may open them, the database (`store.soundness`), and the audit ledger with its chains. What always
holds: nothing is changed; it works beside a running appliance, on one moment of each database; one fault does not hide
the others, unless what they would be in cannot be read because of it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance import database
from appliance.audit.reader import Reader
from appliance.audit.shelf import AuditBroken, Place
from appliance.audit.sqlite import SQLitePlace
from appliance.audit.verify import verify_chain
from appliance.audit_place import audit_place
from appliance.config import Config
from appliance.keys import AUDIT_KEY, open_keys
from appliance.layout import Layout
from appliance.store import soundness
from appliance.store.clock import utc_micros
from appliance.store.faults import StoreRefused, StoreUnavailable
from appliance.store.sealing import Sealer, SealError, read_master_key
from appliance.store.server import Server
from appliance.store.soundness import RESTORE, Fault, Looked

INVESTIGATE = "Keep the ledger as it is for whoever looks into it; the records beside those named can be trusted."
NO_DATABASE = "Give the settings of the appliance with --config; or start it, which makes one; or restore a backup."


@dataclass(slots=True)
class Inspection:
    """What was looked at and found fine, in words, and what is wrong. `ledger`: of the faults, those of the ledger."""

    told: Callable[[str], None]
    fine: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ledger: list[Fault] = field(default_factory=list)

    def take(self, what: str, faults: list[Fault]) -> None:
        self.faults += faults
        if not faults:
            self.fine.append(what)

    def wrong(self, what: object, remedy: str) -> None:
        self.faults.append(Fault(str(what), remedy))


async def inspect(config: Config, told: Callable[[str], None]) -> Inspection:
    """Everything that belongs to these settings. `told` hears what is being looked at."""
    layout = Layout(config.data_dir)
    inspection = Inspection(told)
    told("files")
    try:
        where = database.place(config.store, layout)
        ledger = audit_place(config)
    except StoreRefused as refused:
        inspection.wrong(refused, "Correct the settings.")
        return inspection
    key_file = config.store.master_key or layout.master_key
    inspection.take("files: ours, and closed to others", list(_file_faults(config, layout)))
    await inspect_databases(where, ledger, key_file, inspection)
    return inspection


async def inspect_databases(where: Path | Server, ledger: Place, key_file: Path, inspection: Inspection) -> None:
    """The configuration and the ledger, wherever they are."""
    inspection.told("configuration")
    sealer = _sealer(key_file, inspection)
    looked = await _looked(where, sealer, inspection)
    if looked is None:
        return
    summary = f"configuration: schema {looked.schema}, {looked.rows} rows, {len(looked.secrets)} secrets that open"
    inspection.take(summary, looked.faults)
    if sealer is None or looked.faults:
        return  # without its key nothing can be said about the ledger
    if AUDIT_KEY not in looked.secrets:
        inspection.wrong("the key that signs the audit ledger is not there", RESTORE)
        return
    inspection.told("audit ledger")
    try:
        async with database.opened_at(where, key_file, migrate=False) as store:
            key = (await open_keys(store, utc_micros)).audit.public_key()
        summary, faults = await trio.to_thread.run_sync(_ledger_faults, ledger, key)
    except (StoreRefused, StoreUnavailable, SealError, AuditBroken, OSError, sqlite3.Error) as error:
        summary, faults = "", [Fault(f"the audit ledger {ledger} cannot be read: {error}", RESTORE)]
    inspection.ledger = faults
    inspection.take(summary, faults)


def _sealer(key_file: Path, inspection: Inspection) -> Sealer | None:
    try:
        key = read_master_key(key_file)
        if key is not None:
            return Sealer(key)
        inspection.wrong(
            f"the master key {key_file} is missing", "Put the file back, or restore a backup that holds it."
        )
    except (SealError, OSError) as error:
        inspection.wrong(error, "Make the file readable for us, and for nobody else.")
    return None


async def _looked(where: Path | Server, sealer: Sealer | None, inspection: Inspection) -> Looked | None:
    """What is in the configuration; None: it could not be read."""
    if isinstance(where, Path) and not where.exists():  # noqa: ASYNC240 -- a command of its own; nobody waits
        inspection.wrong(f"there is no database {where}", NO_DATABASE)
        return None
    look = database.Look()
    itself: list[Fault] = []
    try:
        async with database.opened_engine(where, look) as engine:
            if not look.tabled:
                inspection.wrong("the database is empty", NO_DATABASE)
                return None
            if isinstance(where, Path):
                itself = (await engine.read(soundness.sqlite_itself())).faults
            looked = await engine.read(soundness.configuration(sealer))
            looked.faults[:0] = itself
            return looked
    except StoreRefused as refused:
        inspection.wrong(refused, "Nothing in the database was looked at.")
    except StoreUnavailable as error:
        inspection.faults += itself
        remedy = RESTORE if isinstance(where, Path) else "Look at the server; nothing was looked at here."
        inspection.wrong(error, remedy)
    return None


def _ledger_faults(ledger: Place, key: Ed25519PublicKey) -> tuple[str, list[Fault]]:
    faults = []
    if isinstance(ledger, SQLitePlace):
        with Reader(ledger) as reader:
            said = [str(row[0]) for row in reader.shelf.rows("PRAGMA integrity_check")]
        faults += [Fault(f"the audit file is damaged: {line}", RESTORE) for line in said if line != "ok"]
    verdict = verify_chain(ledger, [key])
    faults += [Fault(f"audit ledger: {fault}", INVESTIGATE) for fault in verdict.faults]
    unsigned = f", {verdict.unsigned} of them not signed yet" if verdict.unsigned else ""
    return f"audit ledger: {verdict.records} records{unsigned}, {verdict.checkpoints} checkpoints", faults


def _file_faults(config: Config, layout: Layout) -> Iterator[Fault]:
    files = [layout.store, layout.audit] if config.store.url_file is None else [config.store.url_file]
    files = [path.with_name(path.name + suffix) for path in files for suffix in ("", "-wal", "-shm")]
    for path in files:
        yield from _mode_faults(path, 0o077 if path.parent == layout.root else 0o037)
    yield from _mode_faults(layout.root, 0o077)


def _mode_faults(path: Path, forbidden: int) -> Iterator[Fault]:
    try:
        found = path.stat() if forbidden != 0o077 else path.lstat()  # a secret of Kubernetes is a link
    except FileNotFoundError:
        return
    except OSError as error:
        yield Fault(f"{path} cannot be looked at: {error.strerror}", "Look at the directories above it.")
        return
    if found.st_uid != os.geteuid() and forbidden == 0o077:
        yield Fault(
            f"{path} belongs to another user", f"Run this as the user that the appliance runs as, or chown {path}"
        )
    if stat.S_IMODE(found.st_mode) & forbidden:
        mode = "0700" if stat.S_ISDIR(found.st_mode) else "0600"
        yield Fault(f"{path} has mode {stat.S_IMODE(found.st_mode):04o}, open to others", f"Run: chmod {mode} {path}")
