"""A request that needs no wait: written, and most often answered, without a task's turn.

A request without a body goes at once on a connection that is there. When its answer is here whole and small it is
handed on where its bytes are seen. Whatever else happens (no connection, a long answer, a watch, a fault, an answer
that needs a second look) is given to a task, which goes on in `relay` with the same connection. What always holds:
nothing is taken from the connection that the task would miss; whatever ends the exchange early closes its connection;
a defect ends one exchange.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import trio

from agent.answer import READ_BYTES
from agent.outgoing import Outgoing
from agent.pool import Connection, Pool
from wire.exchange import Exchange
from wire.frames import MAX_DATA_BYTES, ResetCode
from wire.headers import response_end_to_end
from wire.heads import ResponseHead
from wire.http1 import MAX_HEAD_BYTES, BadHead, ChunkedReader, Response, parse_response
from wire.readiness import Readiness
from wire.tls import MAX_WRITE_BYTES

_HEAD_END: Final = b"\r\n\r\n"
_SECOND_LOOK: Final = frozenset({101, 401})
"""Answers that `relay` refuses, or refuses sometimes."""

_log = logging.getLogger("fairlead.agent.relay")


class Errands:
    """The requests under way without a task."""

    def __init__(self, pool: Pool, at_work: dict[Exchange, Connection]) -> None:
        self.readiness = Readiness()
        self._pool = pool
        self._at_work = at_work
        self._begun: dict[Exchange, Errand] = {}

    def begin(self, exchange: Exchange, outgoing: Outgoing, carry: Callable[[Exchange], None]) -> bool:
        """Write the request on a connection that is there. False: nothing was done.

        An exchange that needs a task after all is given to `carry`; `take` then tells how far it has come.
        """
        fits = len(outgoing.head) <= MAX_WRITE_BYTES
        connection = self._pool.take() if fits and self.readiness.available else None
        if connection is None:
            return False
        try:
            written = connection.stream.write_nowait(outgoing.head)
        except trio.BrokenResourceError:
            written = False
        if not written:
            connection.abort()  # nobody can read half a TLS record: the request was not made
            return False
        errand = self._begun[exchange] = Errand(self, exchange, connection, outgoing, carry)
        self._at_work[exchange] = connection
        self.readiness.arm(connection.stream, errand.on_readable)
        return True

    def take(self, exchange: Exchange) -> Errand | None:
        """Return the errand of an exchange that was given to `carry`; its connection is the caller's now."""
        return self._begun.pop(exchange, None)

    def has(self, exchange: Exchange) -> bool:
        """Tell whether the exchange is under way here."""
        return exchange in self._begun

    def drop(self, exchange: Exchange) -> None:
        """Forget an exchange, if it is under way here; its connection is closed or back in the pool."""
        if self._begun.pop(exchange, None) is not None:
            self._at_work.pop(exchange, None)
            exchange.close()

    def finish(self, errand: Errand, *, reusable: bool) -> None:
        """The answer is handed on."""
        if reusable:
            self._pool.give(errand.connection)
        else:
            errand.connection.abort()
        self.drop(errand.exchange)


class Errand:
    """One request on its connection."""

    __slots__ = ("_all", "_carry", "_given", "connection", "exchange", "outgoing")

    def __init__(
        self,
        errands: Errands,
        exchange: Exchange,
        connection: Connection,
        outgoing: Outgoing,
        carry: Callable[[Exchange], None],
    ) -> None:
        self._all = errands
        self._carry = carry
        self._given = False
        self.exchange = exchange
        self.connection = connection
        self.outgoing = outgoing

    def on_readable(self) -> None:
        """Take what came of the answer."""
        if self._given or not self._all.has(self.exchange):
            self._all.readiness.disarm(self.connection.stream)  # it rests in the pool, or a task reads it
            return
        if self.exchange.unwanted:  # its session may be over, and with it whoever could carry it
            self.connection.abort()
            self._all.drop(self.exchange)
            return
        try:
            self._look()
        except Exception:  # noqa: BLE001 # whatever it is, it ends one exchange
            _log.exception("an exchange failed by a defect of ours", extra={"exchange": self.exchange.id})
            self.connection.abort()
            self.exchange.reset(ResetCode.INTERNAL, "the agent met a defect of its own")
            self._all.drop(self.exchange)

    def _look(self) -> None:
        connection = self.connection
        try:
            data = connection.stream.receive_nowait(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if data is None:
            return
        connection.buffer += data
        end = connection.buffer.find(_HEAD_END) + len(_HEAD_END)
        if data and end < len(_HEAD_END) and len(connection.buffer) <= MAX_HEAD_BYTES:
            return  # the head is not whole yet
        if not data or end < len(_HEAD_END) or not self._answered(end):
            self._given = True
            self._all.readiness.disarm(connection.stream)
            self._carry(self.exchange)

    def _answered(self, end: int) -> bool:
        """Hand on an answer that is here whole; False: a task must go on, and nothing was taken."""
        connection = self.connection
        try:
            response = parse_response(connection.buffer[:end], self.outgoing.method)
            piece = _whole_body(response, connection.buffer[end:])
        except BadHead:
            return False
        if piece is None or response.interim or response.status in _SECOND_LOOK:
            return False
        head = ResponseHead(response.status, response_end_to_end(response.headers))
        try:
            if not self.exchange.answer_nowait(head, piece):
                return False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        connection.buffer = b""
        self._all.finish(self, reusable=response.keep_alive)
        return True


def _whole_body(response: Response, rest: bytes) -> bytes | None:
    """The body that follows a head, if it is here to its last byte, small, without trailers and nothing behind it."""
    if len(rest) > MAX_DATA_BYTES or response.close_delimited:
        return None
    if response.chunked:
        reader = ChunkedReader()
        body = reader.feed(rest)
        return body if reader.done and not reader.rest and not reader.trailers else None
    wanted = 0 if response.no_body else response.content_length or 0
    return rest if len(rest) == wanted else None
