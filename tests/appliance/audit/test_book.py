"""The ledger being written: its head moves only with what is committed, and only what is ours is signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.audit.book import Book
from appliance.audit.postgres import PostgresShelf
from appliance.audit.sheaf import SPAN_MICROS
from appliance.audit.shelf import AuditBroken
from appliance.core.events import AuditEvent, EventType
from tests.appliance.audit.rig import (
    KEY,
    Ledger,
    PostgresLedger,
    SQLiteLedger,
    batch,
    everything,
    judge,
    recover,
    times,
)

EVENTS = [AuditEvent(number, EventType.PROXY_CLOSED) for number in range(10, 13)]


@pytest.fixture
def book(ledger: Ledger) -> Iterator[Book]:
    it = Book(ledger.place, KEY, 1000)
    yield it
    it.close()


def kept(ledger: Ledger) -> list[int]:
    return times(everything(ledger.place))


def test_a_commit_that_failed_but_reached_the_disk_is_not_written_twice(ledger: Ledger, book: Book) -> None:
    before = book.head
    book.append(EVENTS)
    book.head = before  # as after a COMMIT whose error came late
    assert recover(book, 1001, batch(book, EVENTS))
    book.append([AuditEvent(20, EventType.PROXY_CLOSED)])
    assert kept(ledger) == [20, 12, 11, 10]
    assert judge(ledger).faults == ()


def test_a_commit_that_failed_is_written_again(ledger: Ledger, book: Book) -> None:
    book.append(EVENTS[:1])
    assert not recover(book, 1001, batch(book, EVENTS[1:]))
    book.append(EVENTS[1:])
    assert kept(ledger) == [12, 11, 10]
    assert judge(ledger).faults == ()


def test_a_ledger_that_ends_elsewhere_gets_a_new_chain_and_the_loss_shows(ledger: Ledger, book: Book) -> None:
    book.append(EVENTS)
    book.checkpoint(1001)
    ledger.run("DELETE FROM records WHERE number = 3")
    assert not recover(book, 1002, batch(book, EVENTS))
    assert (book.head.chain, book.head.number) == (2, 0)
    book.append(EVENTS)
    assert judge(ledger).faults == ("chain 1: record 3 signed by checkpoint 2, but missing",)


def test_a_batch_is_whole_or_not_there(ledger: Ledger, book: Book) -> None:
    book.append(EVENTS[:1])
    ledger.run("INSERT INTO records (chain, number, body, hash) SELECT chain, 4, body, hash FROM records")
    later = AuditEvent(10 + 2 * SPAN_MICROS, EventType.PROXY_CLOSED)
    with pytest.raises(Exception, match=r"(?i)unique"):
        book.append([*EVENTS[1:], later])  # two sheaves, and the second finds its place taken
    assert book.head.number == 1
    assert ledger.run("SELECT number FROM records ORDER BY number") == [(1,), (4,)]


def test_checkpoints_removed_behind_our_back_are_missed(ledger: Ledger, book: Book) -> None:
    for number in range(3):
        book.append([AuditEvent(number, EventType.PROXY_CLOSED)])
        book.checkpoint(1001 + number)
    ledger.run("DELETE FROM checkpoints WHERE number > 2")
    book.checkpoint(1010)
    assert "checkpoints 3 to 4 removed" in judge(ledger).faults


def test_a_file_put_in_the_place_of_ours_is_not_written_to(tmp_path: Path) -> None:
    ledger = SQLiteLedger(tmp_path / "audit.db")
    book = Book(ledger.place, KEY, 1000)
    ledger.path.rename(tmp_path / "moved.db")
    ledger.path.touch(mode=0o600)
    with pytest.raises(OSError, match="replaced"):
        book.append(EVENTS)
    with pytest.raises(OSError, match="replaced"):
        book.checkpoint(1001)
    assert book.head.number == 0
    assert ledger.path.stat().st_size == 0
    book.close()


def test_several_appliances_write_chains_of_their_own(postgres: PostgresLedger) -> None:
    books = [Book(postgres.place, KEY, 1000 + number) for number in range(3)]
    for turn in range(5):
        for number, book in enumerate(books):
            book.append([AuditEvent(100 * number + turn, EventType.PROXY_CLOSED)])
            book.checkpoint(2000 + turn)
    assert [book.head.chain for book in books] == [1, 2, 3]
    assert judge(postgres).faults == ()
    assert judge(postgres).unsigned == 0
    for book in books:
        book.close()
    found = judge(postgres)
    assert (found.records, found.checkpoints, found.faults) == (15, 3 + 15 + 3, ())


def session(book: Book) -> int:
    """The server's process for it."""
    shelf = book._shelf
    assert isinstance(shelf, PostgresShelf)
    assert shelf._session is not None
    return shelf._session[0]


def lose_connection(book: Book) -> Callable[[], None]:
    """As the network would: the server is told nothing until the result is called."""
    shelf = book._shelf
    assert isinstance(shelf, PostgresShelf)
    lost, shelf._connection = shelf._connection, None
    assert lost is not None

    def end() -> None:
        lost.terminate()

    return end


def test_the_chain_of_a_dead_appliance_is_ended_by_another_that_runs(postgres: PostgresLedger) -> None:
    dead, alive = Book(postgres.place, KEY, 1000), Book(postgres.place, KEY, 1001)
    dead.append(EVENTS)
    dead._shelf.close()  # a process that ends takes its connection along
    alive.checkpoint(1001 + 30_000_000)
    assert judge(postgres).unsigned == 3  # not looked for so soon
    alive.checkpoint(1001 + 61_000_000)
    assert (judge(postgres).unsigned, judge(postgres).faults) == (0, ())
    alive.close()


def test_an_appliance_that_lives_keeps_its_chain(postgres: PostgresLedger) -> None:
    slow, other = Book(postgres.place, KEY, 1000), Book(postgres.place, KEY, 1001)
    slow.append(EVENTS)
    other.checkpoint(1001 + 61_000_000)
    third = Book(postgres.place, KEY, 1002)
    slow.append(EVENTS)
    slow.checkpoint(3000)
    assert slow.head.chain == 1
    for book in (slow, other, third):
        book.close()
    assert judge(postgres).faults == ()


def test_whoever_was_taken_for_dead_begins_a_new_chain(postgres: PostgresLedger) -> None:
    """Its connection was broken, another appliance ended its chain; nothing is added to that any more."""
    book = Book(postgres.place, KEY, 1000)
    book.append(EVENTS[:1])
    postgres.run("SELECT pg_terminate_backend($1, 5000)", session(book))
    other = Book(postgres.place, KEY, 1001)
    with pytest.raises(AuditBroken):
        book.append(EVENTS[1:])
    assert not recover(book, 1002, batch(book, EVENTS[1:]))
    assert book.head.chain == 3
    book.append(EVENTS[1:])
    book.close()
    other.close()
    assert (judge(postgres).records, judge(postgres).faults) == (3, ())


def test_a_connection_that_hangs_on_the_server_is_ended_by_its_own_appliance(postgres: PostgresLedger) -> None:
    book = Book(postgres.place, KEY, 1000)
    book.append(EVENTS[:1])
    end_it = lose_connection(book)
    with pytest.raises(AuditBroken, match="lost"):
        book.append(EVENTS[1:])
    assert not recover(book, 1002, batch(book, EVENTS[1:]))
    assert book.head.chain == 1
    end_it()
    book.append(EVENTS[1:])
    book.close()
    assert (judge(postgres).records, judge(postgres).faults) == (3, ())


def test_a_server_that_restarts(mortal: PostgresLedger) -> None:
    book = Book(mortal.place, KEY, 1000)
    book.append(EVENTS[:1])
    mortal.server.kill()
    with pytest.raises(AuditBroken):
        book.append(EVENTS[1:])
    with pytest.raises(AuditBroken):
        book.recover(1001, batch(book, EVENTS[1:]))
    mortal.server.start()
    assert not recover(book, 1002, batch(book, EVENTS[1:]))
    book.append(EVENTS[1:])
    book.close()
    assert kept(mortal) == [12, 11, 10]
    assert judge(mortal).faults == ()


def test_a_server_that_does_not_answer(mortal: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.audit.postgres.STATEMENT_SECONDS", 0.3)
    monkeypatch.setattr("appliance.audit.postgres.CONNECT_SECONDS", 0.3)
    book = Book(mortal.place, KEY, 1000)
    mortal.server.freeze()
    try:
        with pytest.raises(AuditBroken, match="did not answer"):
            book.append(EVENTS)
        with pytest.raises(AuditBroken):
            book.recover(1001, batch(book, EVENTS))
    finally:
        mortal.server.thaw()
    while True:
        try:
            known = book.recover(1002, batch(book, EVENTS))
            break
        except AuditBroken:
            continue
    if not known:
        book.append(EVENTS)
    book.close()
    assert kept(mortal) == [12, 11, 10]
    assert judge(mortal).faults == ()
