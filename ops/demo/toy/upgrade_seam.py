"""The seam between the toy API server and what serves exec, attach and port-forward on an upgraded connection.

The server authenticates, authorises and finds the pod, then hands the connection over as it stands: the request head
has been read, nothing has been answered. From then on the stream belongs to the upgrade; it is never reused for HTTP.
What a container is and does is not known here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio

#: The sub-resources of a pod whose requests change protocol.
UPGRADED_SUBRESOURCES = frozenset({"exec", "attach", "portforward"})


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """One request for pods/{name}/(exec|attach|portforward), already allowed, not yet answered."""

    method: str  # "GET" (WebSocket) or "POST" (SPDY)
    target: bytes  # as sent, query included
    headers: tuple[tuple[bytes, bytes], ...]  # in order, names as the client spelt them
    query: dict[str, list[str]]  # percent-decoded; a key without a value has [""]
    namespace: str
    name: str  # of the pod
    subresource: str  # one of UPGRADED_SUBRESOURCES
    pod: dict[str, Any]  # the Pod object as stored; read only
    already_read: bytes  # bytes the client sent after the head; they come before anything the stream gives

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), None)

    def header_list(self, name: str) -> list[str]:
        """Every comma-separated item of a header, over all its lines, in order."""
        wanted = name.lower().encode()
        lines = [value.decode("latin-1") for key, value in self.headers if key.lower() == wanted]
        return [item.strip() for line in lines for item in line.split(",") if item.strip()]


#: `serve_upgrade(request, transport, containers)`, offered by ops.demo.toy.streams.
#:
#: `transport` is the raw two-way stream (a trio.SSLStream). `containers` is whatever the streams package keeps between
#: requests; the server makes one per cluster (`streams.Containers()`) and only carries it.
#: True: the request was answered (101, or an error head with its body) and the exchange is over; the server closes the
#: connection. False: nothing was written, the request is not one of an upgrade; the server answers 400 itself.
#: The server cancels the call when it shuts down. A client that leaves shows as the stream ending or breaking.
ServeUpgrade = Callable[[UpgradeRequest, trio.abc.Stream, Any], Awaitable[bool]]
