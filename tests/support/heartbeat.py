"""How long a loop keeps a task waiting that wants a turn every 10 ms, in CPU time of the loop's own thread.

CPU and not the clock on the wall: what else the machine does is nobody's fault here. The collector is held still
meanwhile, because a test's process has a heap that no appliance has.
"""

from __future__ import annotations

import gc
import time

import trio

BEAT_SECONDS = 0.01
LATE_SECONDS = 0.05
"""What is promised: nobody who floods delays a heartbeat by more."""


async def worst_beat(beats: int = 100) -> float:
    """The most work that the loop did between two beats, in seconds. A loop without other work does almost none."""
    gc.collect()
    gc.disable()
    try:
        worst = 0.0
        for _ in range(beats):
            began = time.thread_time()
            await trio.sleep(BEAT_SECONDS)
            worst = max(worst, time.thread_time() - began)
    finally:
        gc.enable()
    return worst
