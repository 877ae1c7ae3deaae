"""Whether a process lives and whether it is ready, over plain HTTP.

`/livez` answers when the event loop runs at all: nothing else can make it fail, so a supervisor never restarts a
process because its neighbours are ill. `/readyz` says whether new work should come here, and names what is missing;
`/readyz?verbose` says of each condition that it holds, or in words why not, as Kubernetes' own does.
`/metrics` gives the numbers, where there are any.
What always holds: no credential is asked for and nothing is revealed but these words; a connection that is slow, long
or many is cut off; an error here never reaches the rest of the process.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import trio

from daemon.metrics import CONTENT_TYPE

MAX_HEAD_BYTES: Final = 8 * 1024  # a probe's request is a few hundred bytes
MAX_CONNECTIONS: Final = 16  # probes and a scraper; with one more the oldest is closed, so that nobody keeps probes out
REQUEST_SECONDS: Final = 5.0  # a probe that is slower has timed out already on its own side
RETRY_SECONDS: Final = 0.1  # when the process is out of descriptors

Check = Callable[[], str]
"""What is wrong, in words for an operator and without secrets; empty: nothing."""

Page = Callable[[], Awaitable[bytes]]

_log = logging.getLogger("fairlead.daemon")


@dataclass(slots=True)
class Health:
    """The named conditions of being ready; each is asked anew at every probe and must not wait.

    `draining`: the program is about to end.
    """

    checks: Mapping[str, Check]
    draining: bool = field(default=False)

    def faults(self) -> dict[str, str]:
        """What is wrong with each condition, by its name; a check that fails to answer does not hold."""
        return {name: _fault(check) for name, check in {"draining": self._draining, **self.checks}.items()}

    def _draining(self) -> str:
        return "it is ending and takes no new work" if self.draining else ""


def _fault(check: Check) -> str:
    try:
        return check()
    except Exception:  # noqa: BLE001 -- a broken check means "not ready", and probes must still be answered
        return "it could not be found out: this is a defect"


async def serve(health: Health, listeners: Sequence[trio.SocketListener], metrics: Page | None = None) -> None:
    """Answer probes and scrapers until cancelled."""
    talking: dict[trio.CancelScope, None] = {}
    async with contextlib.AsyncExitStack() as open_listeners, trio.open_nursery() as nursery:
        for listener in listeners:
            await open_listeners.enter_async_context(listener)
            nursery.start_soon(_accept, health, listener, talking, nursery, metrics)


async def _accept(
    health: Health,
    listener: trio.SocketListener,
    talking: dict[trio.CancelScope, None],
    nursery: trio.Nursery,
    metrics: Page | None,
) -> None:
    while True:
        try:
            stream = await listener.accept()
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}:
                raise
            await trio.sleep(RETRY_SECONDS)
            continue
        if len(talking) >= MAX_CONNECTIONS:
            oldest = next(iter(talking))
            del talking[oldest]
            oldest.cancel()
        scope = trio.CancelScope(deadline=trio.current_time() + REQUEST_SECONDS)
        talking[scope] = None
        nursery.start_soon(_answer, health, stream, scope, talking, metrics)


async def _answer(
    health: Health,
    stream: trio.SocketStream,
    scope: trio.CancelScope,
    talking: dict[trio.CancelScope, None],
    metrics: Page | None,
) -> None:
    """One connection: one request, one answer, closed."""
    try:
        with scope:
            async with stream:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = await stream.receive_some(MAX_HEAD_BYTES)
                    head += piece
                    if not piece or len(head) > MAX_HEAD_BYTES:
                        return
                if metrics is not None and asked(head) in _SCRAPES:
                    await stream.send_all(await _scraped(metrics, head))
                else:
                    await stream.send_all(respond(health, head))
                await stream.send_eof()
                await stream.receive_some(1)  # let the client close first, so that the answer is not cut by a RST
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the prober went away: its business
    finally:
        talking.pop(scope, None)


_SCRAPES: Final = {(b"GET", b"/metrics"), (b"HEAD", b"/metrics")}


def asked(head: bytes) -> tuple[bytes, bytes]:
    """Method and path of a request head."""
    method, _, rest = head.partition(b" ")
    return method, rest.partition(b" ")[0].partition(b"?")[0]


def queried(head: bytes) -> list[bytes]:
    """Names of the query's parameters."""
    query = head.partition(b"\r\n")[0].split(b" ")[1:2]
    return [it.partition(b"=")[0] for it in b"".join(query).partition(b"?")[2].split(b"&")]


async def _scraped(metrics: Page, head: bytes) -> bytes:
    """The numbers; whatever is wrong with them is the scraper's loss only."""
    try:
        return _written(200, CONTENT_TYPE, await metrics(), asked(head)[0] != b"HEAD")
    except Exception:  # noqa: BLE001 -- probes must still be answered, and the process goes on
        _log.exception("the metrics could not be read: this is a defect of ours")
        return _written(500, "text/plain", b"a defect: see the log\n", asked(head)[0] != b"HEAD")


def respond(health: Health, head: bytes) -> bytes:
    """The answer to a probe's request head."""
    body: Mapping[str, object]
    method, path = asked(head)
    if path == b"/livez":
        status, body = 200, {"live": True}
    elif path == b"/readyz":
        status, body = _readiness(health.faults(), verbose=b"verbose" in queried(head))
    else:
        status, body = 404, {"error": "only /livez, /readyz and /metrics are here"}
    if method not in {b"GET", b"HEAD"}:
        status, body = 405, {"error": "only GET and HEAD"}
    return _written(status, "application/json", json.dumps(body).encode() + b"\n", method != b"HEAD")


def _readiness(faults: Mapping[str, str], *, verbose: bool) -> tuple[int, Mapping[str, object]]:
    missing = [name for name, fault in faults.items() if fault]
    body: dict[str, object] = {"ready": not missing}
    if missing:
        body["missing"] = missing
    if verbose:
        body["checks"] = {name: fault or "ok" for name, fault in faults.items()}
    return (503 if missing else 200), body


def _written(status: int, form: str, body: bytes, whole: bool) -> bytes:
    allow = "Allow: GET, HEAD\r\n" if status == 405 else ""
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {form}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\n{allow}Connection: close\r\n\r\n"
    )
    return lines.encode() + (body if whole else b"")
