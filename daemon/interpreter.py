"""What both programs ask of the Python interpreter, once everything that lives as long as the process is made."""

from __future__ import annotations

import gc
from typing import Final

GC_THRESHOLDS: Final = (10_000, 10, 500)
"""Objects more than before per young collection, and younger collections per older one: the hot path makes few cycles.
Each young one stops everything for as long as its objects take to look at: with 10,000 that is 2-4 ms, with 50,000 it
was 20 while agents arrive. A middle one looks at what so many young ones left: a flood of pages leaves a tenth of its
objects in cycles, and after a hundred young ones that took 90-100 ms, after ten it takes 17. An old one looks at
everything, and comes once in fifty million objects.
"""


def settle() -> None:
    """What was made so far lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
