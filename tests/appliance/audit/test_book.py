"""The audit file itself: its head moves only with what is on the disk, and a foreign file is not written to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.audit.book import Book
from appliance.audit.verify import verify_chain
from appliance.core.events import AuditEvent, EventType
from tests.appliance.audit.rig import everything

KEY = Ed25519PrivateKey.generate()
EVENTS = [AuditEvent(number, EventType.PROXY_CLOSED) for number in range(10, 13)]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    it = Book(tmp_path / "audit.db", KEY, 1000)
    yield it
    it.close()


def times(path: Path) -> list[int]:
    return [it.time for it in everything(path)]


def test_a_commit_that_failed_but_reached_the_disk_is_not_written_twice(book: Book, tmp_path: Path) -> None:
    before = book.head
    book.append(EVENTS)
    book.head = before  # as after a COMMIT whose error came late
    assert book.recover(1001, EVENTS) == len(EVENTS)
    book.append([AuditEvent(20, EventType.PROXY_CLOSED)])
    assert times(tmp_path / "audit.db") == [20, 12, 11, 10]
    assert verify_chain(tmp_path / "audit.db", [KEY.public_key()]).faults == ()


def test_a_commit_that_failed_is_written_again(book: Book, tmp_path: Path) -> None:
    book.append(EVENTS[:1])
    assert book.recover(1001, EVENTS[1:]) == 0
    book.append(EVENTS[1:])
    assert times(tmp_path / "audit.db") == [12, 11, 10]
    assert verify_chain(tmp_path / "audit.db", [KEY.public_key()]).faults == ()


def test_a_file_that_ends_elsewhere_gets_a_new_chain_and_the_loss_shows(book: Book, tmp_path: Path) -> None:
    book.append(EVENTS)
    book.checkpoint(1001)
    book._shelf.rows("DELETE FROM records WHERE number = 3")
    assert book.recover(1002, EVENTS) == 0
    assert (book.head.chain, book.head.number) == (2, 0)
    book.append(EVENTS)
    faults = verify_chain(tmp_path / "audit.db", [KEY.public_key()]).faults
    assert faults == ("chain 1: record 3 signed by checkpoint 2, but missing",)


def test_a_file_put_in_the_place_of_ours_is_not_written_to(book: Book, tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    path.rename(tmp_path / "moved.db")
    path.touch(mode=0o600)
    with pytest.raises(OSError, match="replaced"):
        book.append(EVENTS)
    with pytest.raises(OSError, match="replaced"):
        book.checkpoint(1001)
    assert book.head.number == 0
    assert path.stat().st_size == 0
