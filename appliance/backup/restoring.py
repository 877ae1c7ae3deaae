"""Restores a backup: all of it is unpacked and verified beside, and only then put where an appliance finds it.

With SQLite what was verified is renamed into place. With PostgreSQL the verified files were a rehearsal, and the backup
is read again into the database: the ledger, then the configuration in one transaction, whose commit is what makes the
restore real. What always holds: no appliance runs with the data meanwhile; a backup that is damaged, of another
program, or opened with the wrong passphrase changes nothing; that there was a restore is in the audit trail before
anything is in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from appliance import database
from appliance.audit.book import Book
from appliance.audit.shelf import Place
from appliance.audit.sqlite import SQLitePlace
from appliance.audit_place import audit_place
from appliance.backup import premises, unpacking
from appliance.backup.content import ContentReader, Head, Told
from appliance.backup.faults import BackupDamaged, BackupError
from appliance.backup.ledger import remove_ledger
from appliance.backup.voiding import Voided
from appliance.config import Config
from appliance.core.credentials import MAX_CLOCK_SKEW_SECONDS, SECOND
from appliance.core.events import AuditEvent, EventType
from appliance.inspection import Inspection, inspect_databases
from appliance.keys import open_keys
from appliance.layout import Layout
from appliance.store.clock import utc_micros
from appliance.store.sealing import Sealer, keep_master_key, read_master_key
from appliance.store.server import Server
from appliance.store.unit import Unit


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator said beside where from and where to."""

    keep_credentials: bool = False
    force: bool = False
    despite_ledger_faults: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """`aside`: where what had been there is now. `faults`: of the ledger, put in place nevertheless."""

    head: Head
    voided: Voided
    records: int
    aside: Path | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    config: Config
    source: Path
    passphrase: str
    wishes: Wishes
    told: Told
    now: int

    @property
    def layout(self) -> Layout:
        return Layout(self.config.data_dir)

    @property
    def key_file(self) -> Path:
        return self.config.store.master_key or self.layout.master_key


async def restore(
    config: Config,
    source: Path,
    passphrase: str,
    wishes: Wishes,
    *,
    told: Told,
    clock: Callable[[], int] = utc_micros,
) -> Restored:
    """Restore the backup into what these settings name.

    Raises:
        BackupError: see the module; nothing was changed.
        InUseError: an appliance runs with the data.
        StoreRefused, StoreUnavailable, AuditBroken, SealError: a database or a key cannot be used.

    """
    plan = _Plan(config, source, passphrase, wishes, told, clock())
    head = await trio.to_thread.run_sync(_head, plan)
    where = database.place(config.store, plan.layout)
    with premises.held(plan.layout):
        blocking = await _in_the_way(plan, where, kept_key=head.master_key is None)
        key = _key(plan, head)
        with premises.stage(plan.layout) as staged:
            keep_master_key(staged.master_key, key)
            voided, records = await _unpack(plan, staged)
            faults = await _verified(plan, staged)
            await _record(plan, head, staged, SQLitePlace(staged.audit))
            if isinstance(where, Server):
                aside = None
                await _into_server(plan, where, staged, head)
            else:
                aside = _into_files(plan, staged, blocking, kept_key=head.master_key is None)
    return Restored(head, voided, records, aside, faults)


def _head(plan: _Plan) -> Head:
    """What the backup says of itself, when it is one that we can restore."""
    with unpacking.content_of(plan.source, plan.passphrase, lambda *_: None) as content:
        unpacking.tables_in(content.head)
        unpacking.key_in(content.head)
        if plan.now < content.head.made_at - MAX_CLOCK_SKEW_SECONDS * SECOND:
            raise BackupError(
                "The backup is from the future: set the clock of this machine, which decides what is refused."
            )
        return content.head


def _key(plan: _Plan, head: Head) -> bytes:
    """The master key that the restored appliance will have."""
    ours, theirs = read_master_key(plan.key_file), unpacking.key_in(head)
    key = theirs or ours
    if key is None:
        raise BackupError(f"The backup was made without its master key. Put that key into {plan.key_file} first.")
    movable = plan.key_file == plan.layout.master_key and plan.wishes.force
    if theirs is None and head.key_id and Sealer(key).key_id != head.key_id:
        raise BackupError(f"The master key {plan.key_file} is not the one that the backup's secrets are sealed under.")
    if theirs is not None and ours is not None and ours != theirs and not movable:
        raise BackupError(f"Another master key lies in {plan.key_file}. Move it away, or give a data_dir of its own.")
    return key


async def _in_the_way(plan: _Plan, where: Path | Server, *, kept_key: bool) -> list[Path]:
    """What has to be moved aside.

    Raises:
        BackupError: something is there, and may not be moved.

    """
    if isinstance(where, Server):
        look = database.Look()
        async with database.opened_engine(where, look):
            if look.tabled:
                raise BackupError(
                    "The database holds a configuration already, and no restore removes one. Make a new database and "
                    "put its URL into the file that store.url_file names."
                )
        return []
    but = (plan.layout.master_key,) if kept_key or not plan.wishes.force else ()
    found = premises.in_the_way(plan.layout, but=but)
    if found and not plan.wishes.force:
        raise BackupError(
            f"There is an appliance's data in {plan.layout.root} already. Give another data_dir, or --force to have it "
            "moved aside (nothing is deleted)."
        )
    return found


def _configuration(plan: _Plan, content: ContentReader) -> Unit[Voided]:
    return unpacking.configuration(content, plan.now, keep_credentials=plan.wishes.keep_credentials)


async def _unpack(plan: _Plan, staged: Layout) -> tuple[Voided, int]:
    with unpacking.content_of(plan.source, plan.passphrase, plan.told) as content:
        async with database.opened_engine(staged.store, database.Look()) as engine:
            voided = await engine.write(_configuration(plan, content))
        return voided, await trio.to_thread.run_sync(unpacking.ledger, content, SQLitePlace(staged.audit))


async def _verified(plan: _Plan, staged: Layout) -> tuple[str, ...]:
    """What is wrong with the ledger, and accepted."""
    inspection = Inspection(lambda what: plan.told(f"verifying: {what}", 0))
    await inspect_databases(staged.store, SQLitePlace(staged.audit), staged.master_key, inspection)
    other = [fault for fault in inspection.faults if fault not in inspection.ledger]
    if other:
        raise BackupDamaged(f"What is in the backup is not whole: {other[0].what}.")
    if inspection.ledger and not plan.wishes.despite_ledger_faults:
        raise BackupError(
            f"The audit ledger in the backup is not what an appliance wrote: {inspection.ledger[0].what}. Use another "
            "backup, or restore it as it is with --despite-audit-faults."
        )
    return tuple(fault.what for fault in inspection.ledger)


async def _record(plan: _Plan, head: Head, staged: Layout, ledger: Place) -> None:
    """That there was a restore, at the end of the ledger that was restored."""
    details = (
        ("backup_made_at", str(head.made_at)),
        ("backup_software", head.software),
        ("credentials", "kept" if plan.wishes.keep_credentials else "refused"),
    )
    event = AuditEvent(plan.now, EventType.APPLIANCE_RESTORED, actor="host", details=details)
    async with database.opened_at(staged.store, staged.master_key, migrate=False) as store:
        key = (await open_keys(store, utc_micros)).audit

    def write() -> None:
        book = Book(ledger, key, plan.now)
        try:
            book.append([event])
        finally:
            book.close()

    await trio.to_thread.run_sync(write)


def _into_files(plan: _Plan, staged: Layout, blocking: list[Path], *, kept_key: bool) -> Path | None:
    """Where what had been there is now."""
    if kept_key or plan.key_file != plan.layout.master_key:
        _keep_key(plan.key_file, staged)
        staged.master_key.unlink()
    aside = premises.move_aside(plan.layout, blocking, plan.now) if blocking else None
    premises.move_in(plan.layout, staged)
    return aside


async def _into_server(plan: _Plan, server: Server, staged: Layout, head: Head) -> None:
    """The ledger first: an appliance that finds the configuration finds everything."""
    ledger = audit_place(plan.config)

    def fill() -> None:
        with unpacking.content_of(plan.source, plan.passphrase, plan.told) as content:
            unpacking.skip_configuration(content)
            unpacking.ledger(content, ledger)

    await trio.to_thread.run_sync(fill)
    wrote_key = False
    try:
        await _record(plan, head, staged, ledger)
        wrote_key = _keep_key(plan.key_file, staged)
        with unpacking.content_of(plan.source, plan.passphrase, plan.told) as content:
            async with database.opened_engine(server, database.Look()) as engine:
                await engine.write(_configuration(plan, content))
    except BaseException:
        if wrote_key:
            plan.key_file.unlink()
        with trio.CancelScope(shield=True):  # each statement has its limit
            await trio.to_thread.run_sync(remove_ledger, ledger)
        raise


def _keep_key(path: Path, staged: Layout) -> bool:
    """Put the key where the settings say, unless it is there; whether it was put."""
    key = read_master_key(staged.master_key)
    if key is None or path.exists():
        return False
    keep_master_key(path, key)
    return True
