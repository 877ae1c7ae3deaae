"""What the appliance says to the process that writes its ledger, and what that answers: values as bytes. Pure.

An order is one message, and so is its answer. What always holds: no event that can be rendered is too odd or too long
to be sent, and what arrives is rendered as it would have been here; an answer that is none raises ValueError. Events
are sent as a sheaf, which halves what sending them costs; see sheaf.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from appliance.audit.chain import Head, Progress
from appliance.audit.records import Entry, fitting
from appliance.audit.sheaf import entries, gather
from appliance.core.events import AuditEvent

MAX_BYTES: Final = 16 * 1024 * 1024  # of a message: a batch of which every body is as long as one may be stays below
MAX_LINES: Final = 100  # of the log with one answer
MAX_LINE_CHARS: Final = 4 * 1024

OPEN, APPEND, CHECKPOINT, RECOVER, CLOSE = "open", "append", "checkpoint", "recover", "close"
REFUSED, BROKEN = "refused", "broken"  # what an answer's fault is: see AuditRefused and AuditBroken

Line = tuple[int, str, str]
"""Of the log: level, logger, text."""


@dataclass(frozen=True, slots=True)
class Open:
    """The first order. `told`: what Place.told says; `left`: how far the process before this one was."""

    told: tuple[str, ...]
    key: bytes  # Ed25519, raw
    now: int
    left: Progress | None


@dataclass(frozen=True, slots=True)
class Append:
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    now: int


@dataclass(frozen=True, slots=True)
class Recover:
    now: int
    unsure: list[Entry]


@dataclass(frozen=True, slots=True)
class Close:
    pass


Order = Open | Append | Checkpoint | Recover | Close


@dataclass(frozen=True, slots=True)
class Answer:
    """`kept`: what Book.recover says. `fault`: REFUSED or BROKEN, and the sentence."""

    progress: Progress | None
    kept: int = 0
    fault: tuple[str, str] | None = None
    lines: tuple[Line, ...] = ()


def opening(told: Sequence[str], key: bytes, now: int, left: Progress | None) -> bytes:
    return _packed([OPEN, told, key, now, _plain(left)])


def append(events: Sequence[AuditEvent]) -> bytes:
    return _with_events([APPEND], events)


def checkpoint(now: int) -> bytes:
    return _packed([CHECKPOINT, now])


def recover(now: int, unsure: Sequence[AuditEvent]) -> bytes:
    return _with_events([RECOVER, now], unsure)


def close() -> bytes:
    return _packed([CLOSE])


def read_order(message: bytes) -> Order:
    """Raises ValueError for anything else than the functions above give."""
    try:
        match _unpacked(message):
            case (str(it), told, bytes(key), int(now), left) if it == OPEN:
                return Open(told, key, now, _progress(left))
            case (str(it), runs, rows) if it == APPEND:
                return Append(entries(runs, rows))
            case (str(it), int(now)) if it == CHECKPOINT:
                return Checkpoint(now)
            case (str(it), int(now), runs, rows) if it == RECOVER:
                return Recover(now, entries(runs, rows))
            case (str(it),) if it == CLOSE:
                return Close()
    except (TypeError, KeyError, IndexError) as error:
        raise ValueError(f"not an order: {error}") from None
    raise ValueError("not an order")


def answer(it: Answer) -> bytes:
    lines = [(level, name, text[:MAX_LINE_CHARS]) for level, name, text in it.lines[:MAX_LINES]]
    return _packed([_plain(it.progress), it.kept, it.fault, lines])


def read_answer(message: bytes) -> Answer:
    """Raises ValueError for what `answer` does not give."""
    match _unpacked(message):
        case (progress, int(kept), None | (str(), str()) as fault, lines):
            pass
        case _:
            raise ValueError("not an answer")
    try:
        return Answer(_progress(progress), kept, fault, tuple((int(at), str(of), str(text)) for at, of, text in lines))
    except TypeError as error:
        raise ValueError(f"not an answer: {error}") from None


def _with_events(order: list[object], events: Sequence[AuditEvent]) -> bytes:
    message = _packed([*order, *gather(events)])
    if len(message) > MAX_BYTES:  # texts of which a body shows little anyway
        message = _packed([*order, *gather([fitting(event) for event in events])])
    return message


# Bytes


def _packed(content: object) -> bytes:
    # A client's text may hold surrogates; what msgpack does not know, or numbers beyond 64 bits, render as text, too.
    packed: bytes = msgpack.packb(content, unicode_errors="surrogatepass", default=str)
    return packed


def _unpacked(message: bytes) -> Any:
    try:
        return msgpack.unpackb(message, use_list=False, unicode_errors="surrogatepass", max_ext_len=0)
    except (msgpack.UnpackException, UnicodeDecodeError) as error:
        raise ValueError(f"not a message: {error}") from None


def _plain(progress: Progress | None) -> list[object] | None:
    if progress is None:
        return None
    head = progress.head
    return [head.chain, head.number, head.hash, progress.signed, progress.mark]


def _progress(content: Any) -> Progress | None:
    match content:
        case None:
            return None
        case (int(chain), int(number), str(mark), str(signed), str(signed_mark)):
            return Progress(Head(chain, number, mark), signed, signed_mark)
    raise ValueError("says nothing of how far it is")
