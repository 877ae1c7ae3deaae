"""64 clients that stop reading do not change their neighbour's p99 by more than half.

Two equal stacks side by side. In every round one of them, in turn, has the stalled readers, and the same client asks
both alternately, one small request after the other: whatever else this machine does falls on both alike. Each round
gives one ratio of two p99s, and their median is judged. A round more or less decides nothing, so a machine that is
busy gets more of them before the verdict; readers that did hold others up would show in every one.
"""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.journeys.door import Door
from tests.journeys.processes import MIB
from tests.journeys.stack import Stack, running_stack

pytestmark = [pytest.mark.journey, pytest.mark.alone, pytest.mark.timeout(300)]

STALLED = 64
ASKED = 300  # of each stack in a round: three requests lie above the 99th percentile
ROUNDS, MOST_ROUNDS = 7, 15
WORSE = 1.5


def test_readers_that_stop_do_not_change_a_neighbours_p99(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("REQUESTS_PER_SECOND", "REQUEST_BURST"):
        monkeypatch.setenv(f"FAIRLEAD_LIMITS_{limit}", "1000000")
    ratios: list[float] = []
    with running_stack(tmp_path / "one") as one, running_stack(tmp_path / "two") as two:
        pair(one.door, two.door)  # the first requests pay for what later ones find
        while len(ratios) < ROUNDS or (statistics.median(ratios) > WORSE and len(ratios) < MOST_ROUNDS):
            stalled, free = (one, two) if len(ratios) % 2 else (two, one)
            with stalling(stalled):
                with_readers, without = pair(stalled.door, free.door)
            ratios.append(with_readers / without)
    assert statistics.median(ratios) <= WORSE, ratios


@contextmanager
def stalling(stack: Stack) -> Iterator[None]:
    """Clients of the same agent that begin to read and stop."""
    with ExitStack() as ending:
        for number in range(STALLED):
            reader = ending.enter_context(stack.door.connect(receive_buffer=65536))
            framing = "&chunked=1" if number % 2 else ""
            reader.sendall(stack.door.head("GET", f"/toy/bytes?size={64 * MIB}{framing}"))
            assert reader.recv(1000).startswith(b"HTTP/1.1 200 ")
        yield


def pair(one: Door, two: Door) -> tuple[float, float]:
    """The p99 of small requests to each of two doors, asked in turn, in seconds."""
    with ExitStack() as ending:
        doors = [(door, ending.enter_context(connected(door)), list[float]()) for door in (one, two)]
        for _ in range(ASKED):
            for door, connection, taken in doors:
                taken.append(seconds(door, connection))
    first, second = (statistics.quantiles(taken, n=100)[-1] for _, _, taken in doors)
    return first, second


@contextmanager
def connected(door: Door) -> Iterator[http.client.HTTPSConnection]:
    connection = door.https()
    try:
        yield connection
    finally:
        connection.close()


def seconds(door: Door, connection: http.client.HTTPSConnection) -> float:
    began = time.perf_counter()
    connection.request(
        "GET", f"{door.path}/api/v1/namespaces/default", headers={"Authorization": f"Bearer {door.token}"}
    )
    response = connection.getresponse()
    response.read()
    assert response.status == 200
    return time.perf_counter() - began
