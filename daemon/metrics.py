"""Numbers for Prometheus: read when somebody scrapes, written as text in a thread, a few times a second at most.

What always holds: whoever counts adds to a plain integer of its own and knows nothing of this; reading one number, with
all its labels, is done at one moment, in the event loop, and others have their turn before the next; writing them down,
which for a thousand clusters takes milliseconds, is done in the thread. Names follow
https://prometheus.io/docs/practices/naming; a label is one of a few words, or the name of a cluster, never a person's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Final

import trio
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

APART_SECONDS: Final = 0.25  # from one reading to the next, some 10 ms of the loop each: scraping cannot fill it

Collect = Callable[[], Iterable[Metric]]

__all__ = ["CONTENT_TYPE", "Metric", "Numbers", "counter", "counters", "gauge", "gauges", "histogram"]


def counter(name: str, meaning: str, value: float) -> Metric:
    """A number that only rises. `name` without `_total`, which is added."""
    return CounterMetricFamily(name, meaning, value=value)


def counters(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """Several that only rise, by the values of their one label."""
    family = CounterMetricFamily(name, meaning, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def gauge(name: str, meaning: str, value: float) -> Metric:
    """A number that rises and falls."""
    return GaugeMetricFamily(name, meaning, value=value)


def gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    """Several that rise and fall, by the values of their one label."""
    family = GaugeMetricFamily(name, meaning, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def histogram(name: str, meaning: str, buckets: Iterable[tuple[str, float]], total: float) -> Metric:
    """How often a value was at most each bound; the last bound is +Inf."""
    return HistogramMetricFamily(name, meaning, buckets=list(buckets), sum_value=total)


class Numbers:
    """The page of one program: its own numbers, and the interpreter's and the process's."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect
        self._turn = trio.Lock()
        self._began = self._kept_at = -math.inf
        self._kept = b""
        self._around = CollectorRegistry()
        for kind in (ProcessCollector, PlatformCollector, GCCollector):
            kind(registry=self._around)

    async def page(self) -> bytes:
        """Every number as it was after this was called; who asks meanwhile shares a page."""
        called = trio.current_time()
        async with self._turn:
            if self._kept_at <= called:
                await trio.sleep_until(self._began + APART_SECONDS)
                self._began = trio.current_time()
                read: list[Metric] = []
                for family in chain(self._collect(), self._around.collect()):
                    read.append(family)
                    await trio.lowlevel.checkpoint()  # one of a thousand clusters takes some milliseconds
                self._kept = await trio.to_thread.run_sync(_written, read)
                self._kept_at = self._began
            return self._kept


class _Read:
    """What was read already, as a collector."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _written(families: list[Metric]) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Read(families))
    return generate_latest(registry)
