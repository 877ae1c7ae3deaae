"""TLS as a Trio stream over a non-blocking `ssl.SSLSocket`.

OpenSSL reads and writes the socket itself: no memory BIOs, whose buffers keep their high-water mark for as long as a
connection lives. What always holds:

* One task writes. A second one gets `trio.BusyResourceError`.
* A write that could not finish is repeated with the same bytes, as OpenSSL demands. A write that was cancelled or
  failed leaves half a record on the wire: the stream is broken for good and says no goodbye.
* Bytes end in `close_notify` or they were cut off: a bare EOF raises, it never looks like the end.
* A task that never has to wait still lets others run: after YIELD_BYTES or YIELD_CALLS it checkpoints. And when many
  are busy at once, none begins another piece in a pass of the loop that has had its share (passes.py).

Nothing here has a deadline; whoever owns the connection does.
"""

from __future__ import annotations

import errno
import operator
import select
import socket as stdlib_socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import trio

from wire.passes import passes

MAX_WRITE_BYTES: Final = 64 * 1024
"""One SSL_write. Past this the cost per byte is flat, and the socket stays responsive."""

MAX_READ_BYTES: Final = 256 * 1024
"""What one read may gather before it is handed on."""

RECORD_BYTES: Final = 16 * 1024
"""Largest TLS record: a read that returns this much may have more behind it (RFC 8446 §5.1)."""

YIELD_BYTES: Final = 64 * 1024
YIELD_CALLS: Final = 16
"""A peer that always has bytes ready may not keep the loop: a 10 ms heartbeat stays far less than 50 ms late."""

NOTSENT_LOWAT_BYTES: Final = 128 * 1024
"""Unsent bytes the kernel takes for one socket. Without it a reader that stopped holds megabytes in the kernel."""

MayCompute = Callable[[], Awaitable[None]]
"""Returns when it is the caller's turn to compute."""

_BROKEN: Final = (OSError, ssl.SSLError)


class HandshakeFailed(trio.BrokenResourceError):
    """There is no connection. `fault` says why: a compiled build keeps no `__cause__`."""

    def __init__(self, sentence: str, fault: Exception) -> None:
        super().__init__(sentence)
        self.fault = fault


def tune_socket(sock: stdlib_socket.socket | trio.socket.SocketType) -> None:
    """Set what every TCP socket of ours wants: no Nagle, and a bounded queue of unsent bytes."""
    with suppress(OSError):  # socketpairs and unusual kernels lack these; nothing but speed depends on them
        sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
        lowat = getattr(stdlib_socket, "TCP_NOTSENT_LOWAT", 25)
        sock.setsockopt(stdlib_socket.IPPROTO_TCP, lowat, NOTSENT_LOWAT_BYTES)


class _Ended:
    """Stands where the TLS of a connection was."""

    def read(self, most: int) -> bytes:
        raise OSError(errno.EBADF, f"nothing to read {most} bytes from")

    def pending(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        raise OSError(errno.EBADF, f"nothing to write {len(data)} bytes to")


_ENDED: Final = _Ended()


class TLSStream(trio.abc.HalfCloseableStream):
    """One TLS connection after its handshake. Made by `serve_handshake` or `dial_handshake`."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        # What `recv` and `send` of the socket call in the end, two interpreted functions later. They would also send in
        # clear once TLS was shut down. It knows the descriptor by its number: it must not outlive the socket.
        self._tls: Any = sock._sslobj  # type: ignore[attr-defined]  # noqa: SLF001
        self._fd = sock.fileno()
        self.on_close: Callable[[], None] | None = None  # called once, before the socket is closed
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._writing = False
        self._reading = False
        self._write_broken = False
        self._write_ended = False
        self._closed = False
        self._at_end = False
        self._goodbye_due = False  # our close_notify waits until nothing is there to read
        self._stash = b""  # read while making room for our close_notify
        self._more_likely = True  # the last read filled its record, so the next may find bytes without waiting
        self._unyielded_bytes = 0
        self._unyielded_calls = 0
        self._passes = passes()

    @property
    def socket(self) -> ssl.SSLSocket:
        """The socket itself, for options and addresses; never read or write it."""
        return self._sock

    @property
    def file_number(self) -> int:
        """The socket's descriptor, as it was when the stream was made."""
        return self._fd

    @property
    def closed(self) -> bool:
        """Tell whether this end has closed it: from then on `file_number` may be another stream's."""
        return self._closed

    @property
    def alpn(self) -> str | None:
        """The protocol agreed in the handshake."""
        return self._sock.selected_alpn_protocol()

    @property
    def peer_certificate(self) -> bytes | None:
        """The peer's certificate in DER, verified by the context; None when it showed none."""
        return self._sock.getpeercert(binary_form=True)

    # Writing

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything, as `trio.abc.SendStream` has it."""
        await self._send(data, always_yield=True)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything; unlike `send_all`, yields to other tasks only when it waited or had its share."""
        await self._send(data, always_yield=False)

    async def _send(self, data: bytes | bytearray | memoryview, *, always_yield: bool) -> None:
        self._claim_write()
        try:
            if not data:
                # OpenSSL treats an empty write as a request to write nothing, some versions as an error.
                await trio.lowlevel.checkpoint()
                return
            if always_yield:
                await trio.lowlevel.checkpoint_if_cancelled()
                if not self.writable_now():
                    await self._wait_writable()
            if self._passes.spent:
                await self._passes.wait()
            waited = False
            if len(data) <= MAX_WRITE_BYTES:
                waited = await self._write_piece(data)
            else:
                with memoryview(data) as view:
                    for start in range(0, len(view), MAX_WRITE_BYTES):
                        waited |= await self._write_piece(view[start : start + MAX_WRITE_BYTES])
            if always_yield:
                if not waited:
                    await trio.lowlevel.cancel_shielded_checkpoint()
            else:
                await self._share_the_loop(len(data), waited=waited)
        finally:
            self._writing = False

    def _claim_write(self) -> None:
        if self._writing:
            raise trio.BusyResourceError("another task is writing to this TLS stream")
        if self._closed:
            raise trio.ClosedResourceError("this TLS stream is closed")
        if self._write_broken:
            raise trio.BrokenResourceError("an earlier write to this TLS stream failed")
        if self._write_ended:
            raise trio.ClosedResourceError("this direction of the TLS stream has ended")
        self._writing = True

    async def _write_piece(self, piece: bytes | bytearray | memoryview) -> bool:
        """Write one piece whole; True if it had to wait."""
        waited = False
        self._write_broken = True  # until the piece is whole: a cancellation inside must leave it so
        while True:
            try:
                self._tls.write(piece)
            except ssl.SSLWantWriteError:
                await self._wait_writable()
            except ssl.SSLWantReadError:
                await self._wait_readable()
            except _BROKEN as error:
                raise self._fault(error) from error
            else:
                self._write_broken = False
                return waited
            waited = True

    def write_nowait(self, data: bytes) -> bool:
        """Send at most MAX_WRITE_BYTES at once. False: it would have to wait; the next write must be the same bytes.

        Raises:
            trio.BrokenResourceError: the connection broke.

        """
        assert len(data) <= MAX_WRITE_BYTES
        self._claim_write()
        self._writing = False
        try:
            self._tls.write(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        except _BROKEN as error:
            self._write_broken = True
            raise self._fault(error) from error
        return True

    def drop_write_buffer(self) -> None:
        """Give back what OpenSSL keeps for the next write, on a stream that will mostly be read. Never raises.

        Each session ticket that comes has OpenSSL allocate a buffer of 16 KiB that only a write frees. An empty
        one does, and sends nothing (SSL_write(3)). Not for when a `write_nowait` has still to be repeated.
        """
        if not (self._writing or self._write_broken or self._write_ended or self._closed):
            with suppress(*_BROKEN):  # whoever uses the stream next meets the same fault
                self._tls.write(b"")

    def writable_now(self) -> bool:
        """Tell whether the kernel would take bytes at once, so that a writer can choose them as late as possible."""
        return not self._closed and bool(self._poll.poll(0))

    async def wait_writable(self) -> None:
        """Wait until the kernel would take bytes."""
        if self._closed:
            raise trio.ClosedResourceError("this TLS stream is closed")
        await self._wait_writable()

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        self._claim_write()
        try:
            await self._wait_writable()
        finally:
            self._writing = False

    async def send_eof(self) -> None:
        """End our direction with close_notify; the other direction goes on."""
        if self._write_ended and not self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._claim_write()
        try:
            await trio.lowlevel.checkpoint()
            self._write_ended = True
            # SSL_shutdown asks for the peer's close_notify too, and finding data instead it gives up the connection.
            # So what is there is read first; if it does not end, the reader says goodbye when it runs dry.
            if self._at_end:
                self._say_goodbye()
            else:
                self._goodbye_due = True
                self._stash += self.receive_nowait() or b""
        finally:
            self._writing = False

    def _say_goodbye(self) -> None:
        """Send close_notify without waiting for the peer's."""
        # `unwrap` also asks for the peer's close_notify; on a non-blocking socket that part raises, as intended.
        with suppress(*_BROKEN, ValueError):
            self._sock.unwrap()
            self._tls = _ENDED
            self._at_end = True  # both sides have said goodbye; the socket below is plain from here on

    # Reading

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive as `trio.abc.ReceiveStream` has it: b"" only after the peer's close_notify."""
        if max_bytes is None:
            max_bytes = MAX_WRITE_BYTES
        elif operator.index(max_bytes) < 1:
            raise ValueError("max_bytes must be at least 1")
        await trio.lowlevel.checkpoint()
        return await self.read(max_bytes)

    async def read(self, max_bytes: int = MAX_READ_BYTES) -> bytes:
        """Receive what is there; unlike `receive_some`, yields to other tasks only when it waited or had its share."""
        if self._reading:
            raise trio.BusyResourceError("another task is reading from this TLS stream")
        self._reading = True
        try:
            waited = False
            while True:
                if self._closed:
                    raise trio.ClosedResourceError("this TLS stream is closed")
                if self._at_end and not self._stash:
                    await trio.lowlevel.checkpoint()
                    return b""
                if self._more_likely or waited or self._stash:
                    if self._passes.spent:
                        await self._passes.wait()
                    data = self.receive_nowait(max_bytes)
                    if data is not None:
                        await self._share_the_loop(len(data), waited=waited)
                        return data
                await self._wait_readable()
                waited = True
        finally:
            self._reading = False

    def receive_nowait(self, max_bytes: int = MAX_READ_BYTES) -> bytes | None:
        """Return what is there, b"" at the end, or None when there is nothing now.

        Raises:
            trio.BrokenResourceError: the connection broke, or ended without close_notify.

        """
        if self._closed:
            raise trio.ClosedResourceError("this TLS stream is closed")
        if self._stash:
            taken, self._stash = self._stash[:max_bytes], self._stash[max_bytes:]
            return taken
        if self._at_end:
            return b""
        pieces: list[bytes] = []
        gathered = 0
        while gathered < max_bytes:
            try:
                piece = self._tls.read(min(max_bytes - gathered, RECORD_BYTES))
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._more_likely = False
                if self._goodbye_due:
                    self._goodbye_due = False
                    self._say_goodbye()
                break
            except ssl.SSLZeroReturnError:  # close_notify after ours; before ours it is b""
                piece = b""
            except _BROKEN as error:
                if pieces:
                    break  # hand on what came; the next call meets the same fault
                raise self._fault(error) from error
            if not piece:
                self._at_end = not pieces
                self._more_likely = True
                if self._goodbye_due:
                    self._goodbye_due = False
                    self._say_goodbye()
                break
            pieces.append(piece)
            gathered += len(piece)
            if len(piece) < RECORD_BYTES:
                # Not a full record: usually the last there is. OpenSSL may still hold the rest of a cut record.
                self._more_likely = self._goodbye_due or self._tls.pending() > 0
                if not self._goodbye_due:
                    break
                continue
            self._more_likely = True
        if pieces:
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return b"" if self._at_end else None

    def make_room(self, count: int) -> None:
        """Have the kernel take so many bytes before the first of them is read, as far as its settings allow (tcp_rmem).

        Only the least of the receive buffer is set: SO_RCVBUF would end its growth. Never raises.
        """
        with suppress(OSError):  # what is no TCP socket may lack it; nothing but speed depends on it
            for least in (count, 1):  # Linux makes room for what it is to wait for, and keeps the room
                self._sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_RCVLOWAT, least)

    @property
    def more_likely(self) -> bool:
        """Tell whether the last read may have left something that the kernel does not know of."""
        return self._more_likely

    async def _share_the_loop(self, size: int, *, waited: bool) -> None:
        if waited:
            self._unyielded_bytes = self._unyielded_calls = 0
            return
        self._unyielded_bytes += size
        self._unyielded_calls += 1
        if self._unyielded_bytes >= YIELD_BYTES or self._unyielded_calls >= YIELD_CALLS:
            self._unyielded_bytes = self._unyielded_calls = 0
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _wait_readable(self) -> None:
        await trio.lowlevel.wait_readable(self._sock)

    async def _wait_writable(self) -> None:
        await trio.lowlevel.wait_writable(self._sock)

    def _fault(self, error: Exception) -> trio.BrokenResourceError | trio.ClosedResourceError:
        if self._closed:
            return trio.ClosedResourceError("this TLS stream was closed meanwhile")
        reason = getattr(error, "reason", None) or error.__class__.__name__
        return trio.BrokenResourceError(f"the TLS connection broke ({reason})")

    # Ending

    async def aclose(self) -> None:
        """Say close_notify if that is possible without waiting, and close."""
        if not self._closed:
            if not self._write_broken and not self._writing and not self._write_ended:
                self._say_goodbye()
            self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close at once, without close_notify: what was cut off looks cut off."""
        if not self._closed:
            self._closed = True
            if self.on_close is not None:
                self.on_close()
            trio.lowlevel.notify_closing(self._sock)
            self._tls = _ENDED
            self._sock.close()


async def serve_handshake(
    sock: trio.socket.SocketType | stdlib_socket.socket, context: ssl.SSLContext, turn: MayCompute | None = None
) -> TLSStream:
    """Take over an accepted socket and shake hands as the server. The caller owns the deadline.

    `turn`: what to wait for before each piece of computing; there are two, if the peer's bytes come whole.

    Raises:
        trio.BrokenResourceError: the handshake failed; the socket is closed.

    """
    return await _handshake(_wrap(sock, context, server_side=True, server_hostname=None), turn)


async def dial_handshake(
    sock: trio.socket.SocketType | stdlib_socket.socket, context: ssl.SSLContext, server_hostname: str
) -> TLSStream:
    """Shake hands as the client, verifying `server_hostname`. The caller owns the deadline.

    Raises:
        HandshakeFailed: it did; the socket is closed.

    """
    return await _handshake(_wrap(sock, context, server_side=False, server_hostname=server_hostname), None)


def _wrap(
    sock: trio.socket.SocketType | stdlib_socket.socket,
    context: ssl.SSLContext,
    *,
    server_side: bool,
    server_hostname: str | None,
) -> ssl.SSLSocket:
    plain = stdlib_socket.socket(fileno=sock.detach())
    plain.setblocking(False)
    tune_socket(plain)
    try:
        return context.wrap_socket(
            plain,
            server_side=server_side,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            server_hostname=server_hostname,
        )
    except (OSError, ValueError) as error:
        plain.close()
        raise trio.BrokenResourceError("the connection ended before its TLS handshake") from error


async def _handshake(wrapped: ssl.SSLSocket, turn: MayCompute | None) -> TLSStream:
    loop = passes()
    try:
        while True:
            if turn is not None:
                await turn()
            elif loop.spent:
                await loop.wait()
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(wrapped)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(wrapped)
            else:
                await trio.lowlevel.checkpoint()
                return TLSStream(wrapped)
    except _BROKEN as error:
        wrapped.close()
        reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or error.__class__.__name__
        raise HandshakeFailed(f"the TLS handshake failed ({reason})", error) from error
    except BaseException:
        wrapped.close()
        raise
