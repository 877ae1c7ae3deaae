"""The toy API server: listens with TLS, and serves each connection's requests one after the other.

`serve` writes ca.pem, token and url into a directory once it listens. One connection cannot harm another: whatever
goes wrong on one ends that one, and is printed if it is a fault of ours.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from functools import partial
from pathlib import Path

import h11
import trio

from ops.demo.toy import routes
from ops.demo.toy.certificates import make_server_context
from ops.demo.toy.cluster import Cluster
from ops.demo.toy.exchange import ClientGone, Connection, Exchange
from ops.demo.toy.statuses import ApiError

HANDSHAKE_SECONDS = 10
"""A client that does not finish its TLS handshake is let go, as API servers do."""

IDLE_SECONDS = 180
"""How long a kept connection may lie idle; longer than clients keep theirs (client-go: 90 s)."""

CLOSING_SECONDS = 1
"""For close_notify to leave; a client that is gone does not take it."""

PLANTING_SECONDS = 30
"""What is there from the start takes well under a second to run, even on a busy machine."""


async def serve(
    listen: str,
    directory: Path | str,
    *,
    cluster: Cluster | None = None,
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1"),
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a toy cluster at `listen` ("host:port", port 0 for any) until cancelled.

    It is started, with its URL as the value, once the pods it begins with run.
    """
    host, _, port = listen.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    cluster = cluster or Cluster()
    context, ca_pem = make_server_context(sorted({*names, host}))
    listeners = await trio.open_tcp_listeners(int(port), host=host)
    bound = listeners[0].socket.getsockname()[1]
    url = f"https://[{host}]:{bound}" if ":" in host else f"https://{host}:{bound}"

    async def one(raw: trio.SocketStream) -> None:
        await _serve_connection(trio.SSLStream(raw, context, server_side=True), cluster)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cluster.run)
        nursery.start_soon(partial(trio.serve_listeners, one, listeners))
        with trio.fail_after(PLANTING_SECONDS):
            await cluster.wait_until_ready()
        _write_files(Path(directory), {"ca.pem": ca_pem, "token": cluster.token, "url": url + "\n"})
        task_status.started(url)


def _write_files(directory: Path, files: dict[str, str]) -> None:
    """Write each file for its owner alone, `url` last: whoever sees it may read the others."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in files.items():
        part = directory / f".{name}.part"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        part.rename(directory / name)


async def _serve_connection(stream: trio.SSLStream[trio.SocketStream], cluster: Cluster) -> None:
    """The exception barrier of one connection."""
    try:
        with trio.fail_after(HANDSHAKE_SECONDS):
            await stream.do_handshake()
        connection = Connection(stream)
        while await _serve_request(connection, cluster):
            connection.http.start_next_cycle()
    except (ClientGone, trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client's doing, and its own affair
    except Exception:  # noqa: BLE001 - the barrier: one connection's fault ends one connection
        traceback.print_exc(file=sys.stderr)
    finally:
        with trio.move_on_after(CLOSING_SECONDS) as closing:
            closing.shield = True
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await stream.aclose()


async def _serve_request(connection: Connection, cluster: Cluster) -> bool:
    """Serve the next request; whether another may follow."""
    http = connection.http
    with trio.move_on_after(IDLE_SECONDS) as idle:
        try:
            request = await connection.next_event()
        except h11.RemoteProtocolError as bad:
            await _refuse_broken(connection, bad)
            return False
    if idle.cancelled_caught or not isinstance(request, h11.Request):
        return False
    target = request.target.decode("latin-1")
    record = cluster.requests.begin(request.method.decode(), target, request.headers.raw_items())
    exchange = Exchange(connection, request, record)
    try:
        try:
            if await routes.serve(exchange, cluster):
                return False
        except ApiError as refusal:
            if http.our_state not in {h11.SEND_RESPONSE, h11.IDLE}:
                raise
            await exchange.refuse(refusal)
        await connection.read_to_end()
    except ClientGone:
        record.client_left()
        raise
    except h11.RemoteProtocolError as bad:
        await _refuse_broken(connection, bad)
        return False
    finally:
        cluster.requests.end(record)
    return http.our_state is h11.DONE and http.their_state is h11.DONE


async def _refuse_broken(connection: Connection, bad: h11.RemoteProtocolError) -> None:
    """Answer bytes that are not HTTP, if an answer is still possible."""
    if connection.http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
        body = f"{bad}\n".encode()
        headers = [("content-type", "text/plain"), ("content-length", str(len(body))), ("connection", "close")]
        status = bad.error_status_hint
        await connection.send(
            h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()
        )
