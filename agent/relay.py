"""One exchange of the tunnel and the one request upstream that it is. Read `Relay.__call__` first.

guard -> connection -> write the head -> read the answer -> hand it on. What always holds: nothing goes up before the
guard has passed it; a connection goes back to the pool only after a whole request and a whole answer; whatever ends an
exchange early closes its connection upstream at once, so the API server sees the client leave; an answer that was cut
is RESET, never ended.

The usual request is over before it comes here (errand.py). One whose body is here already needs no nursery, no second
task and no timer: nobody reads the exchange while its answer is awaited, so `sweep` looks four times a second whether
it is still wanted.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Final

import trio

from agent.answer import AnswerBody, AnswerError, read_head
from agent.errand import Errands
from agent.guard import RefusedError
from agent.outgoing import Outbox, Outgoing
from agent.pool import Connection, Pool
from agent.upload import Upload, gather
from agent.upstream import Upstream
from wire.exchange import Exchange, ExchangeReset, PeerStopped, SessionLost
from wire.frames import ResetCode
from wire.headers import find, response_end_to_end
from wire.heads import ResponseHead
from wire.http1 import Response

SWEEP_SECONDS: Final = 0.25  # how late a cancelled request's connection may close; the API server should see it in 1 s
REFRESH_SWEEPS: Final = 4  # files are looked at once a second

_READ_BYTES: Final = 64 * 1024
_PROXIED: Final = b"/proxy"

_log = logging.getLogger("fairlead.agent.relay")


class _GoneError(Exception):
    """Nobody wants the answer any more; the connection is closed already."""


class Relay:
    """Carries exchanges to one API server."""

    def __init__(self, outbox: Outbox, upstream: Upstream) -> None:
        self._outbox = outbox
        self._upstream = upstream
        self.pool = Pool(upstream.dial)
        self.refused = 0  # by the guard
        self._at_work: dict[Exchange, Connection] = {}
        """Exchanges at work, and the connection that ends with each: no task may be reading when one is reset."""
        self.errands = Errands(self.pool, self._at_work)

    @property
    def idle(self) -> int:
        """How many connections wait to be used again."""
        return len(self.pool)

    def begin(self, exchange: Exchange, carry: Callable[[Exchange], None]) -> bool:
        """Begin an exchange without a task, if it is of the usual kind. False: nothing was done, it needs one.

        One that is begun here and turns out to need a task is given to `carry`, which has `__call__` go on with it.
        """
        if exchange.has_body or exchange.upgrade:
            return False
        try:
            outgoing = self._outgoing(exchange)
        except RefusedError:
            return False
        return self.errands.begin(exchange, outgoing, carry)

    async def __call__(self, exchange: Exchange) -> None:
        """Carry one exchange to its end, from where `begin` has brought it."""
        try:
            begun = self.errands.take(exchange)
            if begun is not None:
                await self._plain(exchange, begun.outgoing, begun.outgoing.head, begun.connection)
                return
            outgoing = self._outgoing(exchange)
            if exchange.upgrade:
                await self._upgraded(exchange, outgoing)
            elif not exchange.has_body:
                await self._plain(exchange, outgoing, outgoing.head)
            else:
                body, whole = gather(exchange, outgoing)
                if whole:
                    await self._plain(exchange, outgoing, outgoing.head + body)
                else:
                    await self._uploading(exchange, outgoing, body)
        except (RefusedError, AnswerError) as refusal:
            if refusal.code is ResetCode.REFUSED:
                self.refused += 1
            exchange.reset(refusal.code, refusal.sentence)
        except (_GoneError, ExchangeReset, SessionLost, PeerStopped):
            pass  # the appliance knows; every connection was closed on the way here
        except trio.BrokenResourceError as error:
            _log.warning("an exchange broke", extra={"exchange": exchange.id, "reason": str(error)})

    def _outgoing(self, exchange: Exchange) -> Outgoing:
        return self._outbox.outgoing(
            exchange.request,
            exchange.identity,
            has_body=exchange.has_body,
            upgrade=exchange.upgrade,
            authorization=self._upstream.authorization,
        )

    # The usual request: all of it is here

    async def _plain(
        self, exchange: Exchange, outgoing: Outgoing, request: bytes, asked: Connection | None = None
    ) -> None:
        """Ask, and hand the answer on. `asked`: a reused connection on which the request was written already."""
        connection = asked or self.pool.take()
        if connection is not None:
            try:
                response = await self._ask(exchange, connection, outgoing, b"" if asked else request)
            except AnswerError as error:
                if not (error.untouched and outgoing.repeatable):
                    raise
                # The server closed it just as we took it: the request never met anyone.
                connection = None
        if connection is None:
            connection = await self.pool.connect()
            response = await self._ask(exchange, connection, outgoing, request)
        try:
            reusable = await self._hand_on(exchange, connection, response)
        except BaseException:
            connection.abort()
            raise
        finally:
            self._at_work.pop(exchange, None)
        if reusable:
            self.pool.give(connection)
        else:
            connection.abort()

    async def _ask(self, exchange: Exchange, connection: Connection, outgoing: Outgoing, request: bytes) -> Response:
        """Write a whole request and read the head of its answer. On any error the connection is closed."""
        self._at_work[exchange] = connection
        try:
            if exchange.unwanted:
                raise _GoneError
            with contextlib.suppress(trio.BrokenResourceError):  # an early 4xx before the close is worth reading
                if request:
                    await connection.stream.write(request)
            return await read_head(connection, outgoing.method)
        except BaseException as error:
            connection.abort()
            self._at_work.pop(exchange, None)
            if isinstance(error, trio.ClosedResourceError):
                raise _GoneError from None
            raise

    async def _hand_on(self, exchange: Exchange, connection: Connection, response: Response) -> bool:
        """Send the answer down; tell whether its connection may be used again."""
        if response.status == 101:
            raise AnswerError(ResetCode.UPSTREAM_LOST, "The API server changed protocols without being asked to.")
        if response.status == 401 and _PROXIED not in exchange.request.target:
            # The only credential the API server has seen is the agent's own: the user can do nothing about it.
            raise AnswerError(ResetCode.UPSTREAM_CREDENTIAL, "The API server refused the agent's own credential (401).")
        head = ResponseHead(response.status, response_end_to_end(response.headers))
        body = AnswerBody(connection, response)
        piece = body.buffered()
        if not body.done:
            piece += body.more_nowait()
        if body.done and not body.trailers and exchange.answer_nowait(head, piece):
            return response.keep_alive and not connection.buffer
        await exchange.send_head(head)
        connection.stream.drop_write_buffer()  # the request is written, and this answer may be a watch
        try:
            while True:
                if piece:
                    await exchange.write(piece)
                    piece = b""  # nothing that has left is held until the next comes
                if body.done:
                    break
                piece = await body.more()
        except trio.ClosedResourceError:
            raise _GoneError from None
        exchange.end_nowait(body.trailers)
        return response.keep_alive and not connection.buffer

    # A body that is still on its way

    async def _uploading(self, exchange: Exchange, outgoing: Outgoing, first: bytes) -> None:
        connection = self.pool.take() or await self.pool.connect()
        upload = Upload(exchange, connection, outgoing)
        reusable = False
        fault: BaseException | None = None
        self._at_work[exchange] = connection
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(upload.run, first)
                try:
                    response = await read_head(connection, outgoing.method)
                    reusable = await self._hand_on(exchange, connection, response)
                except (trio.ClosedResourceError, _GoneError):
                    raise (upload.fault or _GoneError()) from None
                finally:
                    nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            fault = _only(group, (_GoneError, AnswerError, RefusedError, trio.BrokenResourceError))
        finally:
            del self._at_work[exchange]
            if reusable and upload.whole:
                self.pool.give(connection)
            else:
                connection.abort()
        if fault is not None:
            raise fault

    # Raw bytes both ways

    async def _upgraded(self, exchange: Exchange, outgoing: Outgoing) -> None:
        """Ask for an upgrade, on a connection of its own. Anything but 101 is an ordinary answer."""
        connection = await self.pool.connect()
        try:
            response = await self._ask(exchange, connection, outgoing, outgoing.head)
            if response.status != 101:
                await self._hand_on(exchange, connection, response)
                return
            headers = response_end_to_end(response.headers, upgrade=True)
            if find(headers, b"upgrade") is None:
                raise AnswerError(ResetCode.UPSTREAM_LOST, "The API server changed protocols without naming one.")
            await exchange.send_head(ResponseHead(101, headers))
            await self._join(exchange, connection)
        except trio.ClosedResourceError:
            raise _GoneError from None
        finally:
            self._at_work.pop(exchange, None)
            connection.abort()

    async def _join(self, exchange: Exchange, connection: Connection) -> None:
        """Move raw bytes until both directions have ended; an end of one is half a close of the other."""
        fault: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._down, exchange, connection)
                await self._up(exchange, connection)
        except BaseExceptionGroup as group:
            fault = _only(group, (AnswerError, trio.BrokenResourceError, trio.ClosedResourceError))
        if fault is not None:
            raise fault

    async def _up(self, exchange: Exchange, connection: Connection) -> None:
        while True:
            data = await exchange.read(_READ_BYTES)
            if not data:
                break
            try:
                await connection.stream.write(data)
            except trio.BrokenResourceError:
                exchange.stop()  # the server reads no more; what it still says goes down all the same
                return
        try:
            await connection.stream.send_eof()
        except trio.BrokenResourceError:
            return

    @staticmethod
    async def _down(exchange: Exchange, connection: Connection) -> None:
        data, connection.buffer = connection.buffer, b""
        while True:
            if data:
                try:
                    await exchange.write(data)
                except PeerStopped:
                    return
            try:
                data = await connection.stream.read(_READ_BYTES)
            except trio.BrokenResourceError:
                raise AnswerError(ResetCode.TRUNCATED, "The API server broke the upgraded connection off.") from None
            if not data:
                break
        exchange.end_nowait()

    # Beside the exchanges

    async def sweep(self) -> None:
        """Close what is no longer wanted, watch what is under way without a task, and keep credentials current."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.errands.readiness.run)
            turns = 0
            while True:
                await trio.sleep(SWEEP_SECONDS)
                for exchange, connection in list(self._at_work.items()):
                    if exchange.unwanted:
                        connection.abort()
                        self.errands.drop(exchange)
                turns += 1
                if turns % REFRESH_SWEEPS == 0:
                    self._upstream.refresh()
                    self.pool.sweep()

    def close(self) -> None:
        """Close what is idle; for the end of the process."""
        self.pool.close()


def _only(group: BaseExceptionGroup[BaseException], expected: tuple[type[Exception], ...]) -> BaseException:
    """Return what to report of several faults: the API server's, or ours, before a mere end.

    Anything beside what is `expected`, a cancellation above all, is raised at once.
    """
    found, others = group.split(expected)
    if others is not None:
        raise others from None
    assert found is not None, "a group holds something"
    return min(_leaves(found), key=lambda error: not isinstance(error, (AnswerError, RefusedError)))


def _leaves(group: BaseExceptionGroup[Exception]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves
