"""The way out through an HTTP proxy: CONNECT, then TLS with the appliance inside, and that in TLS if the proxy has it.

What always holds: the proxy sees where we go and nothing else, because the appliance's own certificate is verified
inside; a proxy spoken to over TLS is verified first, and its credentials are sent to it alone and never logged. With
TLS inside TLS one task carries bytes between the two, both ways, through a socket pair of bounded size; it ends with
either of them, and its parent is the agent. Only the way to the appliance goes through a proxy, never the API server's.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import trio

from agent.outbound import TCP_SECONDS, Failing, OutboundError, Place, connect, open_tcp, shake_hands
from wire.tls import TLSStream

CONNECT_SECONDS: Final = 15.0  # the proxy dials for us within this
MAX_HEAD_BYTES: Final = 16 * 1024
PIPE_BYTES: Final = 128 * 1024  # of one direction in the socket pair; the tunnel's own limits come before it

_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. `repr` shows no credentials. `ca`: a PEM file that vouches for it, instead of the system's CAs."""

    host: str
    port: int
    tls: bool
    credentials: str = field(default="", repr=False)
    ca: Path | None = None
    beside: tuple[str, ...] = ()
    """Where no proxy is used, as NO_PROXY has it: names (with what is below them), addresses, networks, or `*`."""

    def passes_by(self, place: Place) -> bool:
        """Tell whether a place is reached without the proxy."""
        return any(_names(rule, place) for rule in self.beside)

    @property
    def where(self) -> str:
        """The proxy in sentences."""
        return f"the proxy {self.host}:{self.port}"


class Proxied:
    """`outbound.connect` through a proxy. Carrying tasks run in `parent`."""

    def __init__(self, proxy: Proxy, parent: trio.Nursery) -> None:
        self._proxy = proxy
        self._parent = parent

    async def __call__(self, place: Place, context: ssl.SSLContext) -> TLSStream:
        """Connect and shake hands with the place. Raises OutboundError."""
        proxy = self._proxy
        if proxy.passes_by(place):
            return await connect(place, context)
        way = Place(proxy.host, proxy.port, proxy.host)
        tcp = await open_tcp(way, TCP_SECONDS)
        stream: trio.SocketStream | TLSStream = tcp
        if proxy.tls:
            stream = await shake_hands(tcp.socket, self._proxy_context(), way)
        try:
            with trio.fail_after(CONNECT_SECONDS):
                await self._ask(stream, place)
        except trio.TooSlowError:
            await trio.aclose_forcefully(stream)
            sentence = f"{proxy.where} did not connect within {CONNECT_SECONDS:.0f} s: may it reach {place.url}?"
            raise OutboundError(Failing.TIMEOUT, sentence) from None
        except (trio.BrokenResourceError, OSError) as error:
            await trio.aclose_forcefully(stream)
            raise OutboundError(Failing.TCP, f"{proxy.where} broke the connection ({error}).") from error
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        inside = tcp.socket if isinstance(stream, trio.SocketStream) else self._carried(stream)
        return await shake_hands(inside, context, place)

    def _proxy_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._proxy.ca)
        except (OSError, ssl.SSLError):
            raise OutboundError(Failing.CERTIFICATE, f"proxy.ca {self._proxy.ca} is not a CA file (PEM).") from None
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def _ask(self, stream: trio.SocketStream | TLSStream, place: Place) -> None:
        """Have the proxy connect to a place. What follows its answer is the place's."""
        proxy = self._proxy
        lines = [b"CONNECT %b HTTP/1.1" % place.authority, b"Host: %b" % place.authority]
        if proxy.credentials:
            lines.append(b"Proxy-Authorization: Basic " + base64.b64encode(proxy.credentials.encode()))
        await stream.send_all(b"\r\n".join([*lines, b"", b""]))
        head = b""
        while b"\r\n\r\n" not in head:
            piece = await stream.receive_some(MAX_HEAD_BYTES)
            head += piece
            if not piece or len(head) > MAX_HEAD_BYTES:
                raise OutboundError(Failing.TCP, f"{proxy.where} did not answer CONNECT: is it an HTTP proxy?")
        status = _STATUS.match(head)
        if status is None or not head.endswith(b"\r\n\r\n"):
            raise OutboundError(Failing.TCP, f"{proxy.where} answered something else than HTTP: is it an HTTP proxy?")
        if status[1] == b"407":
            raise OutboundError(Failing.TCP, f"{proxy.where} asks for credentials: set proxy.credentials_file.")
        if not status[1].startswith(b"2"):
            code = status[1].decode()
            raise OutboundError(Failing.TCP, f"{proxy.where} refused to connect to {place.url} (status {code}).")

    def _carried(self, outer: TLSStream) -> trio.socket.SocketType:
        """Return a socket whose bytes go through `outer`."""
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIPE_BYTES)
        self._parent.start_soon(_carry, outer, trio.SocketStream(trio.socket.from_stdlib_socket(ours)))
        return trio.socket.from_stdlib_socket(theirs)


async def _carry(outer: TLSStream, inner: trio.SocketStream) -> None:
    """Carry bytes both ways until either end is gone."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_one_way, inner, outer, nursery.cancel_scope)
            nursery.start_soon(_one_way, outer, inner, nursery.cancel_scope)
    finally:
        outer.abort()
        await trio.aclose_forcefully(inner)


async def _one_way(
    source: trio.SocketStream | TLSStream, sink: trio.SocketStream | TLSStream, both: trio.CancelScope
) -> None:
    try:
        while data := await source.receive_some(_READ_BYTES):
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the other end learns it by the end of its own connection
    both.cancel()


def _names(rule: str, place: Place) -> bool:
    """Tell whether one element of NO_PROXY names a place."""
    rule = rule.strip().lower()
    host, colon, port = rule.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.startswith("[")):
        if int(port) != place.port:
            return False
        rule = host
    rule = rule.strip("[]")
    if rule == "*":
        return True
    try:
        address = ipaddress.ip_address(place.host)
        return address in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        name = rule.removeprefix("*").removeprefix(".")
        return bool(name) and (place.host.lower() == name or place.host.lower().endswith("." + name))


def read_proxy(url: str, credentials: str = "", ca: Path | None = None, beside: tuple[str, ...] = ()) -> Proxy:
    """Read a proxy's URL; credentials in it count where none are given beside. Raises ValueError with a phrase."""
    found = re.fullmatch(r"(https?)://(?:([^@/\s]*)@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(?::([0-9]{1,5}))?/?", url)
    if found is None:
        raise ValueError('a URL such as "http://proxy.example.com:3128"')
    scheme, userinfo, host, port = found.groups()
    number = int(port) if port else 443 if scheme == "https" else 80
    if not 0 < number < 65536:
        raise ValueError('a URL such as "http://proxy.example.com:3128"')
    return Proxy(host.strip("[]"), number, scheme == "https", credentials or unquote(userinfo or ""), ca, beside)
