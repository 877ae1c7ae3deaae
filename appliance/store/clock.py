"""What time it is, as every record of ours says it."""

from __future__ import annotations

import time


def utc_micros() -> int:
    """Return microseconds since the epoch, UTC."""
    return time.time_ns() // 1000
