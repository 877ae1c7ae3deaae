"""The audit ledger as rows: out of either database into a backup, and from there into either.

What always holds: it is read as it was at one moment; rows come back exactly as they were, so the chains and their
signatures still hold; in PostgreSQL all of it is put in by one commit. Whether the chains are sound is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress

from appliance.audit import statements
from appliance.audit.sheaf import PAGE_CHARS, Sheaf, found, page_size
from appliance.audit.shelf import Place, Shelf
from appliance.backup.content import ContentReader, ContentWriter
from appliance.backup.faults import BackupError
from appliance.backup.pages import batched, pages
from appliance.store.tables import Table
from appliance.store.unit import Row

CHAINS = Table("chains", ("number", "started_at"), "number")
SHEAVES = Sheaf._fields
CHECKPOINTS = Table("checkpoints", ("number", "body", "signature"), "number")

PAGE = 1_000  # rows read or written at once
LOWEST = -(1 << 63)
HIGHEST = (1 << 63) - 1


def write_ledger(place: Place, writer: ContentWriter) -> int:
    """All of it; how many records there were."""
    shelf = place.open_to_read()
    try:
        with shelf.reading():
            _write_table(shelf, CHAINS, writer)
            section = writer.section("audit.sheaves", SHEAVES)
            count = 0
            for chain in _recorded(shelf):
                for page in _sheaves(shelf, chain):
                    section.add((chain, *row) for row in page)
                    count += sum(sum(1 for _ in found(content)) for *_, content in page)
            section.finish()
            _write_table(shelf, CHECKPOINTS, writer)
    finally:
        shelf.close()
    return count


def read_ledger(reader: ContentReader, place: Place) -> int:
    """Into a ledger that holds nothing yet; how many records there were.

    Raises:
        BackupError: the ledger there holds something.

    """
    shelf = place.open()
    try:
        # Where others may see it, it is there all at once; a file is put into its place when it is whole.
        with shelf.signing() if shelf.shared else nullcontext():
            _refuse_used(shelf, place)
            _read_table(shelf, CHAINS, reader)
            count = 0
            for sheaves in _gathered(reader.rows("audit.sheaves", SHEAVES)):
                shelf.add(sheaves)
                count += sum(sum(1 for _ in found(sheaf.content)) for sheaf in sheaves)
            _read_table(shelf, CHECKPOINTS, reader)
    finally:
        shelf.close()
    return count


def remove_ledger(place: Place) -> None:
    """Everything in it; for one that was just put in."""
    shelf = place.open()
    try:
        with shelf.signing():
            for chain in list(_recorded(shelf)):
                shelf.rows(statements.SHEAVES_REMOVE, chain, HIGHEST, HIGHEST)
            shelf.rows(CHAINS.clear)
            shelf.rows(CHECKPOINTS.clear)
    finally:
        shelf.close()


def _refuse_used(shelf: Shelf, place: Place) -> None:
    chain = shelf.rows(statements.SHEAF_CHAIN_NEXT, LOWEST)
    if chain or shelf.rows(statements.LAST_CHAIN) or shelf.rows(statements.LAST_CHECKPOINT):
        raise BackupError(f"There is an audit ledger already: {place}. Restore into an empty database.")


def _write_table(shelf: Shelf, table: Table, writer: ContentWriter) -> None:
    section = writer.section(f"audit.{table.name}", table.columns)
    reading = pages(table, PAGE, section.add)
    with suppress(StopIteration):
        statement = next(reading)
        while True:
            statement = reading.send(shelf.rows(statement.sql, *statement.values))
    section.finish()


def _read_table(shelf: Shelf, table: Table, reader: ContentReader) -> None:
    for batch in batched(reader.rows(f"audit.{table.name}", table.columns), PAGE):
        with _transaction(shelf):
            shelf.rows(table.add(len(batch)), *(value for row in batch for value in row))


def _transaction(shelf: Shelf) -> AbstractContextManager[None]:
    return nullcontext() if shelf.shared else shelf.signing()


def _recorded(shelf: Shelf) -> Iterator[object]:
    chain: object = LOWEST
    while rows := shelf.rows(statements.SHEAF_CHAIN_NEXT, chain):
        chain = rows[0][0]
        yield chain


def _sheaves(shelf: Shelf, chain: object) -> Iterator[list[Row]]:
    first: object = LOWEST
    size = page_size()
    while rows := shelf.rows(statements.SHEAVES, chain, first, size):
        first = rows[-1][0]
        yield rows
        size = page_size([row[-1] for row in rows])


def _gathered(rows: Iterable[Row]) -> Iterator[list[Sheaf]]:
    """As many as are put in by one commit."""
    sheaves: list[Sheaf] = []
    chars = 0
    for row in rows:
        sheaves.append(Sheaf(*row))
        chars += len(sheaves[-1].content)
        if chars >= PAGE_CHARS or len(sheaves) == PAGE:
            yield sheaves
            sheaves, chars = [], 0
    if sheaves:
        yield sheaves
