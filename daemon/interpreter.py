"""What both programs ask of the Python interpreter, once everything that lives as long as the process is made."""

from __future__ import annotations

import gc
import sys
from typing import Final

GC_THRESHOLDS: Final = (50_000, 20, 50)
"""Young collections per allocations, and older ones per younger: the hot path makes few cycles, and a full collection
of a warm heap costs tens of milliseconds that every request would feel."""

SWITCH_SECONDS: Final = 0.0005
"""How long a thread that computes may keep the loop's thread waiting for the interpreter. By default it is ten times as
long: then whoever asked meanwhile waits for a batch of audit records to be rendered, and a core idles."""


def settle() -> None:
    """Short turns for threads; and what was made so far lives as long as the process: nobody need collect it."""
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
