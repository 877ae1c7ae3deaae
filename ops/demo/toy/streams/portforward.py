"""port-forward: pairs of SPDY streams, each pair one TCP connection into the pod.

What always holds: an error on one connection is told on its own error stream and disturbs no other; no socket is
opened, the ports are those of pod_ports.py. Over a WebSocket the same SPDY runs inside its messages.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import trio

from ops.demo.toy.streams.handshake import PROTOCOL_HEADER, RefusalError, spdy_switch
from ops.demo.toy.streams.pod_ports import PORTS
from ops.demo.toy.streams.spdy_connection import SpdyConnection, SpdyStream
from ops.demo.toy.streams.websocket import MessageStream, WebSocket
from ops.demo.toy.upgrade_seam import UpgradeRequest

PROTOCOL: Final = "portforward.k8s.io"
TUNNEL_PROTOCOL: Final = "SPDY/3.1+portforward.k8s.io"
#: A kubelet waits this long for the second stream of a pair.
PAIRING_SECONDS: Final = 30.0

_Pairs = dict[str, dict[str, SpdyStream]]


async def serve_spdy(request: UpgradeRequest, transport: trio.abc.Stream) -> None:
    offered = request.header_list(PROTOCOL_HEADER)
    if PROTOCOL not in offered:
        sentence = f"unable to upgrade: unable to negotiate protocol: client supports {offered}, server accepts"
        raise RefusalError(403, f"{sentence} [{PROTOCOL}]")
    connection = SpdyConnection(transport)
    connection.outbox.put(spdy_switch(PROTOCOL))
    await _serve(connection, request, request.already_read)


async def serve_websocket(request: UpgradeRequest, transport: trio.abc.Stream) -> None:
    websocket = WebSocket(transport, request)
    if TUNNEL_PROTOCOL not in websocket.offered():
        raise RefusalError(400, f"no sub-protocol in common: server accepts {TUNNEL_PROTOCOL}")
    websocket.accept(TUNNEL_PROTOCOL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(websocket.run)
        await _serve(SpdyConnection(MessageStream(websocket)), request, b"")
        nursery.cancel_scope.cancel()


async def _serve(connection: SpdyConnection, request: UpgradeRequest, already_read: bytes) -> None:
    pairs: _Pairs = {}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run, already_read)
        with contextlib.suppress(trio.EndOfChannel):
            while True:
                _pair(await connection.accept(), pairs, request.pod, nursery)
        nursery.cancel_scope.cancel()


def _pair(stream: SpdyStream, pairs: _Pairs, pod: dict[str, Any], nursery: trio.Nursery) -> None:
    """Put a stream with its partner; the second one starts the connection."""
    kind, number = stream.headers.get("streamtype", ""), stream.headers.get("requestid", "")
    pair = pairs.setdefault(number, {})
    if kind not in {"data", "error"} or not number or kind in pair:
        stream.reset()
        return
    pair[kind] = stream
    if len(pair) == 2:
        del pairs[number]
        nursery.start_soon(_forward, pair["data"], pair["error"], pod)
    else:
        nursery.start_soon(_expire, pairs, number, pair)


async def _expire(pairs: _Pairs, number: str, pair: dict[str, SpdyStream]) -> None:
    await trio.sleep(PAIRING_SECONDS)
    if pairs.get(number) is pair:
        for stream in pairs.pop(number).values():
            stream.reset()


async def _forward(data: SpdyStream, error: SpdyStream, pod: dict[str, Any]) -> None:
    port = data.headers.get("port", "")
    serve = PORTS.get(int(port)) if port.isdecimal() else None
    error.discard()
    try:
        if serve is None:
            metadata = pod["metadata"]
            sentence = (
                f"error forwarding port {port} to pod {metadata['name']}, uid {metadata.get('uid', '')}: failed to "
                f"connect to localhost:{port} inside the pod: dial tcp4 127.0.0.1:{port}: connect: connection refused"
            )
            await error.send_all(sentence.encode())
        else:
            await serve(data, str(pod["metadata"]["name"]))
        await error.send_eof()
        await data.send_eof()
        data.discard()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        error.reset()
        data.reset()
