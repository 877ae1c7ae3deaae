"""Numbers are read for who asks, and no more often than the loop can spare."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from daemon.metrics import APART_SECONDS, Metric, Numbers, counter

pytestmark = pytest.mark.real_clock  # pages are written in a thread


class Counting:
    """Knows how often it was read, and says so."""

    def __init__(self) -> None:
        self.reads = 0
        self.broken = False

    def collect(self) -> Iterator[Metric]:
        self.reads += 1
        if self.broken:
            raise RuntimeError
        yield counter("reads", "How often.", self.reads)


async def test_a_scraper_without_pause_has_numbers_read_a_few_times_a_second() -> None:
    counting = Counting()
    numbers = Numbers(counting.collect)
    scrapes = 0

    async def scrape() -> None:
        nonlocal scrapes
        while True:
            before = counting.reads
            page = await numbers.page()
            scrapes += 1
            assert float(page.decode().partition("\nreads_total ")[2].split()[0]) > before  # read after we asked

    with trio.move_on_after(4 * APART_SECONDS):
        async with trio.open_nursery() as nursery:
            for _ in range(16):
                nursery.start_soon(scrape)
    assert 2 <= counting.reads <= 5
    assert scrapes > counting.reads


async def test_a_defect_is_nobody_elses_page() -> None:
    counting = Counting()
    numbers = Numbers(counting.collect)
    assert b"reads_total 1.0" in await numbers.page()
    counting.broken = True
    with pytest.raises(RuntimeError):
        await numbers.page()
    counting.broken = False
    assert b"reads_total 3.0" in await numbers.page()
