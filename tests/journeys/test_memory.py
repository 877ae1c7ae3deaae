"""What clients that stop reading cost in memory, the kernel's buffers included: a bound for each, however they began.

A session's pool of window (64 MiB) may be spent once, by those who read fast before they stop; beyond it a stalled
reader costs its first window and what sockets hold, and no cost grows with time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.journeys.memory import account
from tests.journeys.processes import MIB, eventually, wait_until
from tests.journeys.stack import Stack, running_stack
from wire.credit import SESSION_POOL

pytestmark = pytest.mark.journey

STALLED = 64
EACH_KIB = 2048
"""In both programs and the kernel: the first window in the appliance (256), what is queued in both (128),
the agent's socket from the API server (1024), the appliance's to the client (256), TLS, tasks, what allocators keep."""

FAST_MIB = 4  # what every second client reads as fast as it comes, before it stops
FAST_BUFFER = 512 * 1024
SETTLED_SECONDS = 2.0
SETTLED_MIB = 4


def test_readers_that_stop_hold_a_bounded_amount_of_memory(tmp_path: Path) -> None:
    with account() as counted:
        inside = {"appliance": counted.inside, "agent": counted.inside}
        with running_stack(tmp_path, inside=inside) as stack, ExitStack() as ending:
            pids = [stack.appliance.pid, stack.agent.pid]
            warm(stack)
            before = counted.held(pids)
            held = []
            for _ in range(2):
                stall(stack, ending)
                held.append(settled(lambda: counted.held(pids)) - before)
    seen = f"{' and '.join(f'{it / MIB:.0f}' for it in held)} MiB by {counted.name}"
    print(seen)
    for count, grown in enumerate(held, 1):
        assert grown <= SESSION_POOL + count * STALLED * (EACH_KIB + counted.foreign_kib) * 1024, seen
    assert held[0] > STALLED * 256 * 1024, f"the account does not see what must be there: {seen}"


def warm(stack: Stack) -> None:
    """What the first requests need is there afterwards."""
    for _ in range(20):
        eventually(lambda: stack.door.ask("GET", "/toy/bytes?size=1000000").status == 200)


def stall(stack: Stack, ending: ExitStack) -> None:
    """So many clients that begin to read and stop, at once or later, of bodies of known and of unknown length."""
    for number in range(STALLED):
        fast = number % 2 == 0
        reader = ending.enter_context(stack.door.connect(receive_buffer=FAST_BUFFER if fast else 65536))
        framing = "&chunked=1" if number % 4 < 2 else ""
        reader.sendall(stack.door.head("GET", f"/toy/bytes?size={64 * MIB}{framing}"))
        assert reader.recv(1000).startswith(b"HTTP/1.1 200 ")
        left = FAST_MIB * MIB if fast else 0
        while left > 0:
            left -= len(reader.recv(65536))


def settled(held: Callable[[], int]) -> int:
    """What is held once it grows no more; it must stop growing."""

    def look() -> int:
        before = held()
        wait_until(time.monotonic() + SETTLED_SECONDS)
        after = held()
        assert after - before < SETTLED_MIB * MIB, f"it grows: {before} to {after}"
        return after

    return eventually(look, what="an end of growing")
