"""What both programs ask of the Python interpreter, once everything that lives as long as the process is made."""

from __future__ import annotations

import gc
from typing import Final

GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Young collections per allocations, and older ones per younger: the hot path makes few cycles, and a full collection
of a warm heap costs tens of milliseconds that every request would feel."""


def settle() -> None:
    """What was made so far lives as long as the process: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
