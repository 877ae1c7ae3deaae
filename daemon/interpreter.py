"""What both programs ask of the Python interpreter, once everything that lives as long as the process is made."""

from __future__ import annotations

import gc
from typing import Final

GC_THRESHOLDS: Final = (10_000, 100, 50)
"""Objects more than before per young collection, and younger collections per older one: the hot path makes few cycles.
Each young one stops everything for as long as its objects take to look at: with 10,000 that is 2-4 ms, with 50,000 it
was 20 while agents arrive. An older one costs a hundred milliseconds and more: it comes once in a million objects.
"""


def settle() -> None:
    """What was made so far lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
