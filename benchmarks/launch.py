# ruff: noqa: ARG002 - what an unkept ledger is given it does not look at
"""Runs the `fairlead` command with one thing changed or counted: `python -m benchmarks.launch WHAT ARGUMENT...`.

Only the benchmarks know this module: it is not part of an installation, no setting leads here, and what it changes it
changes in its own process alone. Like the demo's children, the command ends when its standard input does.

    unrecorded   the appliance, composed as ever, with a ledger that keeps nothing: what audit costs
    heartbeat    the appliance with a task that wants a turn every 10 ms; its file says how long it was kept waiting
    census       any command; a SIGUSR1 has it write to its file what it holds: tasks, objects, memory
    counted      any command, with every call of a Python function counted; a SIGUSR1 writes the count to its file

What always holds: "unrecorded" says so on standard error at its start.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import trio

from appliance import assemble
from appliance.audit.ledger import Ledger, Listener
from appliance.core.events import AuditEvent
from benchmarks.fairlead import WATCHED_FILE
from ops.cli.main import main
from ops.demo.files import write_private
from ops.demo.leash import hold

BEAT_SECONDS = 0.01
TELL_SECONDS = 0.25


class UnkeptLedger:
    """A ledger in name: every slot is free, every record is dropped."""

    available = True
    counted = lost = waiting = reserved = 0

    def __init__(self, *_: object) -> None:
        """Where it would be, and the key it would sign with."""

    async def start(self) -> None:
        sys.stderr.write("benchmark: this appliance keeps no audit records\n")

    async def run(self) -> None:
        await trio.sleep_forever()

    async def aclose(self) -> None:
        return

    def subscribe(self, listener: Listener) -> None:
        return

    def try_reserve(self) -> bool:
        return True

    async def reserve(self) -> None:
        await trio.lowlevel.checkpoint()

    def release(self) -> None:
        return

    def close(self, event: AuditEvent) -> None:
        return

    async def record(self, event: AuditEvent) -> None:
        await trio.lowlevel.checkpoint()

    def deny(self, event: AuditEvent) -> None:
        return

    def count(self, person_id: str, person: str, cluster_id: str, cluster: str) -> None:
        return

    def fault(self) -> str:
        return ""


class BeatingLedger:
    """The real ledger, and beside its own task one that wants a turn every 10 ms in the appliance's loop."""

    def __init__(self, *arguments: Any) -> None:
        self._ledger = Ledger(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ledger.run)
            nursery.start_soon(_beat, Path(os.environ[WATCHED_FILE]))


async def _beat(path: Path) -> None:
    """Write the longest waits of each quarter second, one JSON line each: on the clock, and in this loop's CPU time."""
    with path.open("a", buffering=1) as out:
        while True:
            late = busy = 0.0
            until = trio.current_time() + TELL_SECONDS
            while trio.current_time() < until:
                due, began = time.perf_counter() + BEAT_SECONDS, time.thread_time()
                await trio.sleep(BEAT_SECONDS)
                late = max(late, time.perf_counter() - due)
                busy = max(busy, time.thread_time() - began)
            out.write(json.dumps({"at": time.monotonic(), "late": late, "busy": busy}) + "\n")


class Calls:
    """Counts calls of Python functions in the main thread, where the loop runs. Compiled functions do not count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = 0

    def start(self) -> None:
        signal.signal(signal.SIGUSR1, self._tell)
        sys.setprofile(self._seen)

    def _seen(self, _frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            self._made += 1

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        write_private(self._path, str(self._made).encode())


def _census(_number: int, _frame: FrameType | None) -> None:
    """Between two steps of the loop, in its thread: Trio can be asked."""
    gc.collect()
    counted = {
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "malloc": _malloc_kib(),
    }
    write_private(Path(os.environ[WATCHED_FILE]), json.dumps(counted).encode())


_MALLINFO2 = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _Mallinfo2(ctypes.Structure):
    """`struct mallinfo2`, mallinfo(3)."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO2)


def _malloc_kib() -> float:
    """What is in use of the C library's heap: OpenSSL's memory, and Python's objects of more than 512 bytes."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _Mallinfo2
    found = ask()
    return float(found.uordblks + found.hblkhd) / 1024


def launch(what: str) -> None:
    """Change or count what was asked for, then be the command."""
    if what == "unrecorded":
        vars(assemble)["Ledger"] = UnkeptLedger
    elif what == "heartbeat":
        vars(assemble)["Ledger"] = BeatingLedger
    elif what == "census":
        signal.signal(signal.SIGUSR1, _census)
    elif what == "counted":
        Calls(Path(os.environ[WATCHED_FILE])).start()
    else:
        raise SystemExit(f"benchmarks.launch knows no {what!r}")
    hold()
    main()


if __name__ == "__main__":
    wanted = sys.argv.pop(1)
    launch(wanted)
