"""The demo's child processes: started, listened to, and ended by their ids.

What always holds: a child that ends before it was asked to ends the demo, with its last lines, unless it said what is
forgiven; every child is asked
to stop (SIGTERM), given time, and only then killed; a child never outlives the demo (`leash`). Children get their
settings from files: nothing secret is in their arguments or environment.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

LAST_LINES = 12  # enough to see why a child ended
MAX_LINE_BYTES = 64 * 1024  # a longer line is shown in pieces
STOP_SECONDS = 8.0  # a child drains for less than that


class ChildEndedError(Exception):
    """A child ended on its own; the text says which one and what it said last."""


@dataclass(slots=True)
class Child:
    """One running `fairlead` sub-command."""

    name: str
    process: trio.Process
    on_line: Callable[[str], None]
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    forgiven: str = ""  # an end after a line with these words is not the demo's; see `gone`
    stopping: bool = False
    gone: trio.Event = field(default_factory=trio.Event)

    async def watch(self) -> None:
        """Read what the child says until it ends; an unexpected end raises ChildEndedError."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, self.process.stdout)
            nursery.start_soon(self._read, self.process.stderr)
        code = await self.process.wait()
        self.gone.set()
        if not self.stopping and not (self.forgiven and any(self.forgiven in line for line in self.tail)):
            said = "\n".join(f"    {line}" for line in self.tail) or "    (it said nothing)"
            raise ChildEndedError(f"{self.name} ended with code {code}. Its last lines:\n{said}")

    async def _read(self, stream: trio.abc.ReceiveStream | None) -> None:
        assert stream is not None
        rest = b""
        async for piece in stream:
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                lines.append(rest)
                rest = b""
            for line in lines:
                self._line(line)
        if rest:
            self._line(rest)

    def _line(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip()
        if line:
            self.tail.append(line)
            self.on_line(line)

    async def stop(self) -> None:
        """Ask, wait, then insist. The output must still be read meanwhile, or a full pipe would hold the child up."""
        self.stopping = True
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
        with trio.move_on_after(STOP_SECONDS):
            await self.process.wait()
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


async def start(name: str, arguments: list[str], on_line: Callable[[str], None], *, forgiven: str = "") -> Child:
    """Start `fairlead <arguments>` in its own session: a Ctrl-C reaches us alone, and we end the children in order."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FAIRLEAD_")}
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "ops.demo.leash", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    return Child(name, process, on_line, forgiven=forgiven)
