"""A book that a process of its own writes: the appliance's side. To the scribe it is a `Book`; see book.py.

Rendering, hashing and the database would take turns with the event loop at the interpreter's lock; in another process
they take another core. What always holds: one process at a time has the ledger; whatever it was told and did not
answer is unsure, and `recover` asks the ledger itself; one that ends, hangs beyond a deadline or answers nonsense is
killed and another goes on where it was. The signing key and a database's password go through an inherited socket and
nowhere else. A process whose appliance is gone ends by itself; see appliance/audit_clerk.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit import orders
from appliance.audit.chain import Head, Progress
from appliance.audit.line import Line
from appliance.audit.shelf import AuditBroken, AuditRefused, Place
from appliance.audit.sqlite import SQLitePlace
from appliance.core.events import AuditEvent

ANSWER_SECONDS: Final = 30.0  # for one order; a database is given up before (postgres.py), so this is a hang
END_SECONDS: Final = 5.0  # for a process to end once told to
KILL_SECONDS: Final = 1.0  # for the system to end one; a disk that hangs keeps it longer
RESTART_SECONDS: Final = 1.0  # between two starts: one takes a quarter of a second of CPU

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_CODE: Final = "import sys; sys.path.insert(0, sys.argv[1]); from appliance.audit_clerk import main; main()"
_TITLE: Final = "fairlead audit ledger"  # for whoever looks at a list of processes


class Desk:
    """One ledger, the process that writes it, and how far it is."""

    def __init__(self, place: Path | Place, key: Ed25519PrivateKey, now: int) -> None:
        self._place: Place = SQLitePlace(place) if isinstance(place, Path) else place
        self._key = key.private_bytes_raw()
        self._progress: Progress | None = None
        self._opened = False
        self._start()
        try:
            self._open(now)
        except BaseException:
            self._end(0.0)
            raise

    @property
    def head(self) -> Head:
        """The last record that we know to be kept."""
        assert self._progress is not None
        return self._progress.head

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises AuditBroken when the process is gone, which is seen here and reaped."""
        if (code := self._process.poll()) is not None:
            raise AuditBroken(f"the process that writes it ended ({_why(code)})")

    def append(self, events: Sequence[AuditEvent]) -> None:
        self._ask(orders.append(events))

    def checkpoint(self, now: int) -> None:
        self._ask(orders.checkpoint(now))

    def recover(self, now: int, unsure: Sequence[AuditEvent]) -> int:
        if self._process.poll() is not None:
            self._restart()
        if not self._opened:
            self._open(now)
        return self._ask(orders.recover(now, unsure)).kept

    def close(self) -> None:
        with contextlib.suppress(AuditBroken, AuditRefused):
            self._ask(orders.close(), END_SECONDS)
        self._end(END_SECONDS)

    # The process

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        # As isolated as we are; in a session of its own, so that a Ctrl-C meant for us does not reach it.
        command = [sys.executable, "-I" if sys.flags.isolated else "-P", "-c", _CODE, str(_ROOT), _TITLE]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD_")}
        self._started_at = time.monotonic()
        with theirs:
            try:
                self._process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 -- our own code, by our own interpreter
                    command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=environment, start_new_session=True
                )
            except BaseException:
                ours.close()
                raise
        self._line = Line(ours, orders.MAX_BYTES)

    def _restart(self) -> None:
        if time.monotonic() - self._started_at < RESTART_SECONDS:
            raise AuditBroken("the process that writes it ended again")
        self._line.close()
        self._opened = False
        self._start()

    def _open(self, now: int) -> None:
        self._ask(orders.opening(self._place.told(), self._key, now, self._progress))
        self._opened = True

    def _ask(self, order: bytes, seconds: float = ANSWER_SECONDS) -> orders.Answer:
        until = time.monotonic() + seconds
        try:
            self._line.say(order, until)
            message = self._line.hear(until)
            if message is None:
                raise ConnectionResetError
            answer = orders.read_answer(message)
        except TimeoutError:
            raise self._given_up(f"the process that writes it did not answer within {seconds:.0f} s") from None
        except OSError:
            raise self._given_up("the process that writes it ended") from None
        except ValueError:
            raise self._given_up("the process that writes it answered nonsense") from None
        for level, name, text in answer.lines:
            logging.getLogger(name).log(level, "%s", text)
        if answer.fault is not None:
            kind, sentence = answer.fault
            raise AuditRefused(sentence) if kind == orders.REFUSED else AuditBroken(sentence)
        self._progress = answer.progress or self._progress
        return answer

    def _given_up(self, sentence: str) -> AuditBroken:
        """Whatever it was doing, it does no more: two would write one chain."""
        code = self._end(0.0)
        if code is None:
            return AuditBroken(f"{sentence}, and it cannot be ended: the disk does not answer")
        return AuditBroken(f"{sentence} ({_why(code)})" if sentence.endswith("ended") else sentence)

    def _end(self, seconds: float) -> int | None:
        """Its exit code; it has `seconds` to end by itself. None: it does not even end when killed."""
        self._line.close()
        for wait in (seconds, KILL_SECONDS):
            try:
                return self._process.wait(wait)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return None


def _why(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit status {code}"
