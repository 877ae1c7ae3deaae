"""Makes a backup while the appliance runs: the configuration as it is at one moment, then the audit ledger.

The ledger is read after the configuration, so that whatever the configuration holds is on record in it. What always
holds: nothing is written in clear to a disk; secrets stay sealed in their rows, and the master key that opens them
goes into the backup only inside its encryption, or not at all; memory does not grow with the databases.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import trio

from appliance import database
from appliance.audit_place import audit_place
from appliance.backup.content import ContentWriter, Head, Told
from appliance.backup.envelope import Envelope
from appliance.backup.faults import BackupError
from appliance.backup.ledger import write_ledger
from appliance.backup.new_file import new_file
from appliance.backup.pages import pages
from appliance.config import Config
from appliance.layout import Layout
from appliance.store import schema, statements
from appliance.store.clock import utc_micros
from appliance.store.sealing import Sealer, read_master_key
from appliance.store.tables import tables_after
from appliance.store.unit import Unit, run

PAGE = 500  # rows read at once; the longest are some KB


@dataclass(frozen=True, slots=True)
class Made:
    """`rows` of the configuration, `records` of the audit ledger."""

    rows: int
    records: int
    bytes: int


async def back_up(
    config: Config,
    out: Path,
    passphrase: str,
    *,
    told: Told,
    with_master_key: bool = True,
    replace: bool = False,
    clock: Callable[[], int] = utc_micros,
) -> Made:
    """Write the backup to a new file.

    Raises:
        BackupError: there is nothing to back up, or the file cannot be written.
        StoreRefused, StoreUnavailable, AuditBroken, SealError: a database or the key cannot be read.

    """
    layout = Layout(config.data_dir)
    where = database.place(config.store, layout)
    ledger = audit_place(config)
    for path in (layout.store, layout.audit) if isinstance(where, Path) else ():
        if not path.exists():
            raise BackupError(f"There is no {path}. Give the settings of the appliance with --config.")
    key = read_master_key(config.store.master_key or layout.master_key)
    with new_file(out, replace=replace) as file:
        envelope = await trio.to_thread.run_sync(Envelope, file, passphrase)
        writer = ContentWriter(envelope.write, told)
        look = database.Look()
        async with database.opened_engine(where, look) as engine:
            if not look.tabled:
                raise BackupError("The database is empty: there is nothing to back up.")
            rows = await engine.read(_configuration(writer, key, with_master_key, clock()))

        def rest() -> int:
            records = write_ledger(ledger, writer)
            writer.finish()
            envelope.finish()
            return records

        records = await trio.to_thread.run_sync(rest)
        return Made(rows, records, file.tell())


def _configuration(writer: ContentWriter, key: bytes | None, with_master_key: bool, now: int) -> Unit[int]:
    """Writes the head and every table as they are at one moment; how many rows there were."""
    applied = yield from schema.applied(tabled=True)
    waiting = {it.number for it in schema.missing(applied)}
    known = [it for it in schema.migrations() if it.number not in waiting]
    sealed = yield run(statements.SEALED_ANY)
    writer.head(
        Head(
            software=version("fairlead"),
            made_at=now,
            schema=tuple(it.checksum for it in known),
            key_id=_key_id(key, sealed[0][0] if sealed else "", with_master_key),
            master_key=base64.b64encode(key).decode() if key is not None and with_master_key else None,
        )
    )
    count = 0
    for table in tables_after(known):
        section = writer.section(table.name, table.columns)
        yield from pages(table, PAGE, section.add)
        count += section.finish()
    return count


def _key_id(key: bytes | None, sealed_under: str, with_master_key: bool) -> str:
    """Of the key that the secrets are sealed under. A backup that opens none of them is refused while there is time."""
    if with_master_key and sealed_under:
        if key is None:
            raise BackupError("The master key is missing: put its file back, or say --without-master-key.")
        if Sealer(key).key_id != sealed_under:
            raise BackupError("The master key is not the one that this database was sealed under: put that one back.")
    return sealed_under
