"""Who a request comes from, when a listed proxy passed it on: `X-Forwarded-For` and `Forwarded` (RFC 7239). Pure.

Every proxy adds the address it was called from at the right end, and what stands to the left came from outside. So the
chain is read from the right for as long as listed proxies speak, and the first address that is not one of theirs is
the client's. Where both headers are there they must agree: a proxy that writes one passes the other on as its client
wrote it. A proxy that does not say (`unknown`, a hidden name) is taken for the client itself.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from appliance.core.networks import Networks
from wire.http1 import BadHead

MAX_HOPS: Final = 32
"""Listed proxies one behind the other. Three are many; a longer row is a loop."""

_PARAMETER: Final = re.compile(r'\s*([A-Za-z0-9!#$%&\'*+.^_`|~-]+)=("(?:[^"\\]|\\.)*"|[^\s";,]*)\s*(;|,|$)')
_PORT: Final = re.compile(r":[0-9]{1,5}")


def client_of(peer: str, proxies: Networks, x_forwarded_for: Sequence[bytes], forwarded: Sequence[bytes]) -> str:
    """Return the client's address as the listed proxy `peer` tells it.

    Raises:
        BadHead: the two headers do not agree, or one cannot be read.

    """
    found = []
    if x_forwarded_for:
        nodes = b",".join(x_forwarded_for).decode("latin-1").split(",")
        found.append(_walk(peer, proxies, [node.strip() for node in nodes]))
    if forwarded:
        found.append(_walk(peer, proxies, _nodes(b",".join(forwarded).decode("latin-1"))))
    if len(set(found)) > 1:
        raise BadHead("X-Forwarded-For and Forwarded name different clients.")
    return found[0] if found else peer


def _walk(peer: str, proxies: Networks, nodes: list[str]) -> str:
    current = peer
    for hop, node in enumerate(reversed(nodes)):
        if hop >= MAX_HOPS:
            raise BadHead("The request passed more proxies than one can have.")
        address = _address(node)
        if address is None:
            return current
        current = address
        if not proxies.hold(current):
            break
    return current


def _nodes(text: str) -> list[str]:
    """Return the `for` of each element of a Forwarded header, empty where there is none."""
    nodes = [""]
    at = 0
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            raise BadHead("The Forwarded header cannot be read.")
        name, value, mark = match.groups()
        if name.lower() == "for":
            if nodes[-1]:
                raise BadHead("The Forwarded header names two clients at once.")
            nodes[-1] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        if mark == ",":
            nodes.append("")
        at = match.end()
    return nodes


def _address(node: str) -> str | None:
    """Return the address in one hop's name, without port and brackets; None: it is not one."""
    text = node
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _PORT.fullmatch(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _PORT.fullmatch(":" + port):
            return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)
