"""The tasks that carry a session's accepted exchanges, and the barrier around each exchange.

A task that has finished one exchange waits for the next: waiting costs a tenth of starting and ending a task. What
always holds: an exchange's exception ends that exchange alone; a cancellation, also one beside an exception, goes on
to the session; however an exchange ends, it is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from wire.exchange import Exchange, Turn
from wire.frames import ResetCode

MAX_IDLE: Final = 64
"""Tasks kept for the next burst; one that waits takes about 3 KiB."""

OnExchange = Callable[[Exchange], Awaitable[None]]
Begin = Callable[[Exchange, Callable[[Exchange], None]], bool]
"""Begins an exchange without waiting; False: nothing was done. One that needs a task later is given to the callable."""

_log = logging.getLogger("fairlead.session")


class Workers:
    """The tasks of one session. They live in its nursery and end with it."""

    def __init__(self, nursery: trio.Nursery, on_exchange: OnExchange, begin: Begin | None = None) -> None:
        self._nursery = nursery
        self._on_exchange = on_exchange
        self._begin = begin
        self._idle: list[_Seat] = []

    def accept(self, exchange: Exchange) -> None:
        """Take an exchange in: begun without a task where `begin` can, else carried by one."""
        if self._begin is not None:
            try:
                if self._begin(exchange, self.carry):
                    return
            except Exception as error:  # noqa: BLE001 # the barrier: no defect reaches a neighbour
                _defect(exchange, error)
                exchange.close()
                return
        self.carry(exchange)

    def carry(self, exchange: Exchange) -> None:
        """Have an exchange carried to its end by a task."""
        if self._idle:
            self._idle.pop().give(exchange)
        else:
            self._nursery.start_soon(self._work, exchange)

    async def _work(self, exchange: Exchange) -> None:
        seat = _Seat()
        while True:
            await self._guarded(exchange)
            if len(self._idle) >= MAX_IDLE:
                return
            self._idle.append(seat)
            exchange = await seat.next_exchange()

    async def _guarded(self, exchange: Exchange) -> None:
        try:
            await self._on_exchange(exchange)
        except BaseExceptionGroup as group:
            faults, others = group.split(Exception)
            if faults is not None:
                _defect(exchange, faults)
            if others is not None:
                raise others from None
        except Exception as error:  # noqa: BLE001 # the barrier: no defect reaches a neighbour
            _defect(exchange, error)
        finally:
            exchange.close()


class _Seat:
    """Where one task waits for its next exchange."""

    __slots__ = ("_exchange", "_turn")

    def __init__(self) -> None:
        self._turn = Turn()
        self._exchange: Exchange | None = None

    def give(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._turn.call()

    async def next_exchange(self) -> Exchange:
        if self._exchange is None:
            await self._turn.wait()
        exchange, self._exchange = self._exchange, None
        assert exchange is not None, "whoever wakes a task has given it an exchange"
        return exchange


def _defect(exchange: Exchange, error: Exception) -> None:
    _log.error("an exchange failed by a defect of ours", extra={"exchange": exchange.id}, exc_info=error)
    exchange.reset(ResetCode.INTERNAL, "the agent met a defect of its own")
