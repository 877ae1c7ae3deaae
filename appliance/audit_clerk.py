"""The process that writes the audit ledger: does what the appliance orders, and holds the real book.

Started by appliance/audit/desk.py with a socket as its standard input, through which it gets all that it knows. What
always holds: one order after the other, each carried out whole and then answered; signals meant for the appliance do
not end it; when the socket ends, because the appliance closed it or is gone, what was given is kept, the chain's end is
signed, and the process ends. What the book has to log goes back with the answers: one process writes the log.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sqlite3
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit import orders
from appliance.audit.book import Book
from appliance.audit.chain import Progress
from appliance.audit.line import Line
from appliance.audit.shelf import AuditBroken, AuditRefused, Place
from appliance.audit.sqlite import SQLitePlace
from daemon import interpreter

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
NAME = b"fairlead ledger"  # in a list of processes; the system takes fifteen bytes

log = logging.getLogger("fairlead.audit")


class Clerk:
    """Obeys orders. Without a book, before the first `Open` that succeeds, there is nothing else to order."""

    def __init__(self) -> None:
        self._book: Book | None = None

    def obey(self, order: orders.Order) -> orders.Answer:
        """Whatever the book suffers is the answer's fault, in the book's own words."""
        try:
            return self._obeyed(order)
        except AuditRefused as refusal:
            return orders.Answer(self._progress(), fault=(orders.REFUSED, str(refusal)))
        except (AuditBroken, OSError, sqlite3.Error) as error:
            return orders.Answer(self._progress(), fault=(orders.BROKEN, str(error) or type(error).__name__))
        except Exception as error:  # the appliance decides what becomes of it; this process can go on
            log.exception("the process that writes the audit ledger failed")
            return orders.Answer(self._progress(), fault=(orders.BROKEN, str(error) or type(error).__name__))

    def close(self) -> None:
        """Signs the chain's end, once."""
        book, self._book = self._book, None
        if book is not None:
            book.close()

    def _obeyed(self, order: orders.Order) -> orders.Answer:
        if isinstance(order, orders.Open):
            self.close()
            key = Ed25519PrivateKey.from_private_bytes(order.key)
            self._book = Book(place_of(order.told), key, order.now, order.left)
            interpreter.settle()
            return orders.Answer(self._progress())
        book = self._book
        if book is None:
            raise AuditBroken("the audit ledger is not open")
        kept = 0
        match order:
            case orders.Append(found):
                book.keep(found)
            case orders.Checkpoint(now):
                book.checkpoint(now)
            case orders.Recover(now, unsure):
                kept = book.resume(now, unsure)
            case orders.Close():
                self.close()
        return orders.Answer(self._progress(), kept)

    def _progress(self) -> Progress | None:
        return None if self._book is None else self._book.progress


def place_of(told: tuple[str, ...]) -> Place:
    """The place that said this of itself (Place.told)."""
    match told:
        case ("sqlite", path):
            return SQLitePlace(Path(path))
        case ("postgres", url, file):
            from appliance.audit.postgres import PostgresPlace
            from appliance.store import server

            try:
                return PostgresPlace(replace(server.parse(url), file=Path(file) if file else None))
            except server.ServerFault as fault:
                raise AuditBroken(f"store.url_file: the URL {fault}") from None
    raise AuditBroken("there is no such place for an audit ledger")


class _Lines(logging.Handler):
    """What was logged since it was last taken."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: list[orders.Line] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self._lines) < orders.MAX_LINES:
            self._lines.append((record.levelno, record.name, self.format(record)))

    def take(self) -> tuple[orders.Line, ...]:
        taken, self._lines = tuple(self._lines), []
        return taken


def serve(line: Line, lines: _Lines) -> None:
    """Until the other end is gone."""
    clerk = Clerk()
    with contextlib.suppress(OSError):  # it is gone, and so is who would be told
        while (message := line.hear()) is not None:
            answer = clerk.obey(orders.read_order(message))
            line.say(orders.answer(replace(answer, lines=lines.take())))
    clerk.close()


def main() -> None:
    """Be the process; see desk.py for how it is started."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_bytes(NAME)
    lines = _Lines()
    logging.basicConfig(level=logging.INFO, handlers=[lines], format="%(message)s")
    serve(Line(socket.socket(fileno=0), orders.MAX_BYTES), lines)
