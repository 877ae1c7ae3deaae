"""Calls a function when a TLS stream has something to read: one private epoll and one task for thousands of streams.

Trio's own wait arms the kernel's poll anew for each wait and starts a task's turn for each event. Here a stream is
registered once and its function is called where the event is seen, so a request that can be dealt with at once costs
neither. What always holds: a function is called only while its stream is open and armed; one that does not take what
is there is put aside until it is armed again; a function that raises ends its own stream and nothing else; after
SHARE calls, or when a pass of the loop has had its share (passes.py), others get the loop.

What several calls leave to be done once for all of them (`later`), above all writing to a tunnel what many requests
have queued for it, is done when their round ends: after ROUND calls, when nothing else is ready, and always before
anything is waited for but the next look.

Where there is no epoll nothing is ever called: `available` says so, and whoever asks uses tasks.
"""

from __future__ import annotations

import logging
import select
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import trio

from wire.passes import passes
from wire.tls import TLSStream

SHARE: Final = 32
"""Streams that one look at the kernel may find. Then others get the loop: a few milliseconds later at most."""

ROUND: Final = 16
"""Calls whose leavings are done together. With 64 the two ends of a tunnel take turns instead of working side by side;
with 8 a third of the work is writing."""

_log = logging.getLogger("fairlead.readiness")


class Readiness:
    """Which streams are armed, and what to call. `run` must be running."""

    def __init__(self) -> None:
        self.available = hasattr(select, "epoll")
        self._calls: dict[int, tuple[TLSStream, Callable[[], None]]] = {}
        self._epoll = select.epoll() if self.available else None
        self._calls_of_round = 0
        self._later: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._calls)

    def arm(self, stream: TLSStream, call: Callable[[], None]) -> None:
        """Have `call` called whenever `stream`, which is open, has something to read, until `disarm` or its closing.

        Something is bytes, its end or a fault. `call` must take what is there (`receive_nowait`), or disarm.
        """
        if self._epoll is None or self._epoll.closed:  # the latter when everything is about to end
            return
        number = stream.file_number
        known = self._calls.get(number)
        if known is None:
            self._epoll.register(number, select.EPOLLIN)
            stream.on_close = lambda: self._forget(number)
        self._calls[number] = (stream, call)

    def disarm(self, stream: TLSStream) -> None:
        """Call nothing for this stream until it is armed again."""
        number = stream.file_number
        known = self._calls.get(number)
        if known is not None and known[0] is stream and self._epoll is not None:  # else the number is another's by now
            del self._calls[number]
            stream.on_close = None
            with suppress(OSError, ValueError):  # closed already: the kernel has forgotten it
                self._epoll.unregister(number)

    def later(self, call: Callable[[], None]) -> None:
        """Have `call`, which must not raise, called once when this round ends. Only while `in_round`."""
        self._later.append(call)

    async def run(self) -> None:
        """Watch until cancelled."""
        epoll = self._epoll
        if epoll is None:
            return
        loop = passes()
        with epoll:
            while True:
                ready = epoll.poll(0, SHARE)
                if not ready and self._calls_of_round:
                    self._end_round()
                elif not ready:
                    await trio.lowlevel.wait_readable(epoll.fileno())
                else:
                    for number, _ in ready:
                        found = self._calls.get(number)
                        if found is not None:
                            self._call(*found)
                        if loop.spent:
                            self._end_round()
                            await loop.wait()
                    # Whoever was woken by these calls takes what is there before the kernel is asked again.
                    await trio.lowlevel.checkpoint()

    @property
    def in_round(self) -> bool:
        """Tell whether a call is being made whose round ends soon."""
        return self._calls_of_round > 0

    def _call(self, stream: TLSStream, call: Callable[[], None]) -> None:
        self._calls_of_round += 1
        try:
            call()
        except Exception:  # noqa: BLE001 # whatever it is, it ends one connection
            _log.exception("a connection ended by a defect of ours")
            self.disarm(stream)
            stream.abort()
        if self._calls_of_round >= ROUND:
            self._end_round()

    def _end_round(self) -> None:
        self._calls_of_round = 0
        calls, self._later = self._later, []
        for call in calls:
            call()

    def _forget(self, number: int) -> None:
        """Forget a stream that is about to close; its number may belong to another one right after."""
        if self._calls.pop(number, None) is not None and self._epoll is not None:
            with suppress(OSError, ValueError):  # the epoll may have been closed first, at the end
                self._epoll.unregister(number)
