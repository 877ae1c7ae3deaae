"""What happens on a connection that a kubectl exec, attach, cp or port-forward has upgraded, and in what it reaches.

What always holds: no process is started; no file outside a container's own temporary directory is touched; everything
between client and container is bounded, so a client that stops reading stops what it runs.
"""

from __future__ import annotations

import contextlib

import trio

from ops.demo.toy.streams import portforward
from ops.demo.toy.streams.commands import COMMANDS
from ops.demo.toy.streams.container import ContainerSet
from ops.demo.toy.streams.handshake import RefusalError, asks_for, refusal
from ops.demo.toy.streams.remotecommand import serve_session
from ops.demo.toy.upgrade_seam import UpgradeRequest

__all__ = ["Containers", "serve_upgrade"]


class Containers(ContainerSet):
    """The containers of one cluster, with every program there is. `close` it when the cluster ends."""

    def __init__(self) -> None:
        super().__init__(frozenset(COMMANDS))


async def serve_upgrade(request: UpgradeRequest, transport: trio.abc.Stream, containers: ContainerSet) -> bool:
    """Serve one exec, attach or port-forward to its end; False, with nothing written, if it asks for no upgrade."""
    protocol = asks_for(request)
    websocket = protocol == "websocket"
    if protocol is None or (websocket and request.method != "GET"):
        return False
    try:
        if request.subresource != "portforward":
            await serve_session(request, transport, containers, websocket=websocket)
        elif websocket:
            await portforward.serve_websocket(request, transport)
        else:
            await portforward.serve_spdy(request, transport)
    except RefusalError as refused:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await transport.send_all(refusal(refused))
    return True
