"""Out of a backup into databases: the configuration in one transaction, the ledger as it was.

What always holds: the schema is first made as it was when the backup was made, then filled, then brought up to date,
so that an old backup goes into a new program; a row that the schema or its checksums forbid ends all of it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.audit.shelf import Place
from appliance.backup.content import ContentReader, Head, Told
from appliance.backup.envelope import opened
from appliance.backup.faults import BackupDamaged, BackupError
from appliance.backup.ledger import read_ledger
from appliance.backup.pages import batched
from appliance.backup.voiding import Voided, void_what_was_issued
from appliance.store import schema
from appliance.store.sealing import Sealer, SealError
from appliance.store.tables import Table, tables_after
from appliance.store.unit import Statement, Unit, run

BATCH = 64  # rows a statement; with the widest table some 1,400 parameters, where the engines take 32,000


@contextmanager
def content_of(source: Path, passphrase: str, told: Told) -> Iterator[ContentReader]:
    """The backup in a file, from its beginning."""
    try:
        with source.open("rb") as file:
            yield ContentReader(opened(file, passphrase), told)
    except OSError as error:
        if error.filename is not None and Path(str(error.filename)) != source:
            raise
        raise BackupError(f"The backup {source} cannot be read: {error.strerror}.") from None


def tables_in(head: Head) -> tuple[Table, ...]:
    """The tables it holds.

    Raises:
        BackupError: it was made by another program than this, or a newer one.

    """
    known = [it.checksum for it in schema.migrations()]
    if len(head.schema) > len(known):
        raise BackupError(
            f"The backup is of schema {len(head.schema)} (Fairlead {head.software}), newer than this program. "
            "Install that version, or a newer one."
        )
    if list(head.schema) != known[: len(head.schema)]:
        raise BackupError(f"The backup was made by another build, Fairlead {head.software}. Install that one.")
    return tables_after(schema.migrations()[: len(head.schema)])


def key_in(head: Head) -> bytes | None:
    """The master key it holds, if it does."""
    if head.master_key is None:
        return None
    try:
        key = base64.b64decode(head.master_key, validate=True)
        fits = Sealer(key).key_id == head.key_id or not head.key_id
    except (ValueError, SealError):
        fits = False
    if not fits:
        raise BackupDamaged("The master key in the backup is not the one its secrets are sealed under.")
    return key


def configuration(content: ContentReader, now: int, *, keep_credentials: bool) -> Unit[Voided]:
    """Fills an empty database, and refuses what was given out before unless it is to be kept."""
    tables = tables_in(content.head)
    yield from schema.bring_up_to_date(tabled=False, migrate=True, now=now, to=len(content.head.schema))
    for table in reversed(tables):
        yield Statement(table.clear)  # the migrations themselves fill some
    for table in tables:
        for batch in batched(content.rows(table.name, table.columns), BATCH):
            text = table.add(len(batch))
            try:
                statement = run(text, *(value for row in batch for value in row))
            except (TypeError, ValueError) as error:
                raise BackupDamaged(f"A row of {table.name} in the backup is not one: {error}.") from None
            yield statement
    yield from schema.bring_up_to_date(tabled=True, migrate=True, now=now)
    if keep_credentials:
        return Voided(0, ())
    return (yield from void_what_was_issued(now))


def skip_configuration(content: ContentReader) -> None:
    for table in tables_in(content.head):
        for _ in content.rows(table.name, table.columns):
            pass


def ledger(content: ContentReader, place: Place) -> int:
    """What follows the configuration, to the end of the backup; how many records there were."""
    records = read_ledger(content, place)
    content.finish()
    return records
