"""Whether this agent lives and whether it is ready, over plain HTTP on loopback.

`/livez` answers when the event loop runs; `/readyz` when a tunnel stands and the agent's own credential can be read.
What always holds: nothing is asked for and nothing revealed but these words; a slow, long or crowded connection is cut
off; an error here never reaches the tunnel.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Sequence
from typing import Final

import trio

MAX_HEAD_BYTES: Final = 8 * 1024  # a probe's request is a few hundred bytes
MAX_CONNECTIONS: Final = 16  # probes; more is a mistake on this host
REQUEST_SECONDS: Final = 5.0  # a slower probe has timed out on its own side
RETRY_SECONDS: Final = 0.1  # when the process is out of descriptors

Missing = Callable[[], Sequence[str]]
"""The names of what is missing for being ready."""


async def serve(missing: Missing, listeners: Sequence[trio.SocketListener]) -> None:
    """Answer probes until cancelled."""
    slots = trio.Semaphore(MAX_CONNECTIONS)
    async with contextlib.AsyncExitStack() as opened, trio.open_nursery() as nursery:
        for listener in listeners:
            await opened.enter_async_context(listener)
            nursery.start_soon(_accept, missing, listener, slots, nursery)


async def _accept(
    missing: Missing, listener: trio.SocketListener, slots: trio.Semaphore, nursery: trio.Nursery
) -> None:
    while True:
        await slots.acquire()
        try:
            stream = await listener.accept()
        except OSError as error:
            slots.release()
            if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}:
                raise
            await trio.sleep(RETRY_SECONDS)
            continue
        except BaseException:
            slots.release()
            raise
        nursery.start_soon(_answer, missing, stream, slots)


async def _answer(missing: Missing, stream: trio.SocketStream, slots: trio.Semaphore) -> None:
    """One connection: one request, one answer, closed."""
    try:
        with trio.move_on_after(REQUEST_SECONDS):
            async with stream:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = await stream.receive_some(MAX_HEAD_BYTES)
                    head += piece
                    if not piece or len(head) > MAX_HEAD_BYTES:
                        return
                await stream.send_all(respond(missing, head))
                await stream.send_eof()
                await stream.receive_some(1)  # let the prober close first, so that the answer is not cut by a RST
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the prober went away: its business
    finally:
        slots.release()


def respond(missing: Missing, head: bytes) -> bytes:
    """Return the answer to a request head."""
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method not in {b"GET", b"HEAD"}:
        status, text = b"405 Method Not Allowed", b"only GET and HEAD\n"
    elif path == b"/livez":
        status, text = b"200 OK", b"live\n"
    elif path == b"/readyz":
        lacking = missing()
        status = b"503 Service Unavailable" if lacking else b"200 OK"
        text = ("not ready: " + ", ".join(lacking) + "\n").encode() if lacking else b"ready\n"
    else:
        status, text = b"404 Not Found", b"only /livez and /readyz are here\n"
    lines = b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
        status,
        len(text),
    )
    return lines + (b"" if method == b"HEAD" else text)
