"""What a program's /metrics says, and whether a number moved."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

AROUND = ("process_", "python_")  # the library's own
Numbers = Mapping[str, float]


def parsed(page: str) -> Numbers:
    """Each sample under `name` or `name{label="value"}`; the library's own left out."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if not sample.name.startswith(AROUND):
                labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
                found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def family_of(sample: str) -> str:
    """The metric's name without what a histogram adds."""
    name = sample.partition("{")[0]
    for part in ("_bucket", "_count", "_sum"):
        name = name.removesuffix(part)
    return name


class Meter:
    """One program's page. It remembers what was asked for, so that a test can tell what nobody asked for."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self.proven: set[str] = set()

    def read(self) -> Numbers:
        """Each sample."""
        return parsed(self.page())

    def page(self) -> str:
        """The text."""
        connection = http.client.HTTPConnection(*self._place, timeout=10)
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("Content-Type", "")[:10]) == (200, "text/plain")
            return answer.read().decode()
        finally:
            connection.close()

    def moved(self, before: Numbers, sample: str, by: float | None = None) -> bool:
        """Whether a number is another than it was: by so much, or at all."""
        now = self.read()
        change = now.get(sample, 0.0) - before.get(sample, 0.0)
        self.proven.add(family_of(sample))
        return change != 0 if by is None else change == by

    def unproven(self) -> set[str]:
        """The metrics that nobody has seen moving."""
        return {family_of(sample) for sample in self.read()} - self.proven
