"""The one way out: every address that a setting or an issuer names is dialled here.

What always holds: https, HTTP/1.1, the certificate verified for the name in the URL; a name is looked up once, every
address it has must be one that may be dialled (`core.destinations`), and the connection goes to one of exactly those
addresses, so that a name server that changes its answer changes nothing; our own listeners are never dialled; no
redirect is followed and no proxy of the environment used; an answer has a largest size and everything a deadline. A
connection carries one request. No error holds a word of what the other side said.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final, Self

import httpcore
import trio

from appliance.core.destinations import HTTPS_PORT, BadURL, Destination, IPAddress, destination, why_not
from appliance.core.networks import NOBODY, Networks

TOTAL_SECONDS: Final = 10.0  # from the look-up to the last byte; whoever waits is a person signing in
CONNECT_SECONDS: Final = 3.0  # for one address, TCP only: a lost SYN is sent again after one second
MAX_ANSWER_BYTES: Final = 1024 * 1024  # key sets have some 20 KiB, discovery documents 3
MAX_FRAMING_BYTES: Final = 256 * 1024  # heads, and the sizes of chunks; httpcore takes heads up to 100 KiB
MAX_ADDRESSES: Final = 16  # that a name may have; beyond, somebody plays with us
MAX_TRIED: Final = 3  # of them
AT_ONCE: Final = 16  # a key set and a webhook here and there; a slow destination cannot fill the process

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""All addresses of a name, as texts; raises OSError when it has none."""


class Fault(StrEnum):
    """Why there is no answer."""

    REFUSED = "refused"  # by us: it may not be dialled
    UNREACHABLE = "unreachable"  # no connection, or no trust in its certificate
    BROKEN = "broken"  # what came is no answer, or too much, or too late


class DialError(Exception):
    """No answer; the text is one sentence for an operator."""

    def __init__(self, fault: Fault, sentence: str) -> None:
        super().__init__(sentence)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever the status; header names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


async def look_up(host: str) -> Sequence[str]:
    """As the system has it: /etc/hosts, then the name servers."""
    found = await trio.to_thread.run_sync(
        partial(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM), abandon_on_cancel=True, limiter=_lookers()
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(slots=True)
class Dialler:
    """Dials for one process. `allowed`: networks beyond the public ones. `own_ports`: what this process listens on.

    `own_names`: hosts and ports under which others know us; whoever dials them comes back to us from outside.
    `more_ca`: a file of authorities that are believed beside the system's.
    """

    allowed: Networks = NOBODY
    more_ca: Path | None = None
    own_ports: frozenset[int] = frozenset()
    own_names: frozenset[tuple[str, int]] = frozenset()
    resolve: Resolve = look_up
    total_seconds: float = TOTAL_SECONDS
    _room: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(AT_ONCE))

    async def get(self, url: str, *, ca: Path | None = None) -> Reply:
        """What a URL holds. `ca`: the file with the only authorities believed for it; else the system's are."""
        return await self.ask("GET", url, ca=ca)

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        ca: Path | None = None,
    ) -> Reply:
        """Send one request, with these headers beside Host and the framing's, and give the whole answer.

        Raises:
            DialError: there is none. What the request may have done there is not known then.

        """
        try:
            where = destination(url)
        except BadURL as error:
            raise DialError(Fault.REFUSED, f"A URL that is to be dialled {error}.") from None
        try:
            with trio.fail_after(self.total_seconds):
                async with self._room:
                    return await self._exchange(method, where, tuple(headers), body, ca)
        except trio.TooSlowError:
            sentence = f"{where.host} did not answer within {self.total_seconds:.0f} s."
            raise DialError(Fault.BROKEN, sentence) from None

    async def _exchange(
        self, method: str, where: Destination, headers: tuple[tuple[str, str], ...], body: bytes, ca: Path | None
    ) -> Reply:
        sent = [("Host", _host_header(where)), ("Accept-Encoding", "identity"), ("User-Agent", "fairlead"), *headers]
        if body or method != "GET":
            sent.append(("Content-Length", str(len(body))))
        url = httpcore.URL(scheme=b"https", host=where.host, port=where.port, target=where.target)
        network = _Checked(await self._checked(where))
        try:
            async with (
                network,
                httpcore.AsyncConnectionPool(
                    ssl_context=await _trust(ca, self.more_ca),
                    network_backend=network,
                    max_keepalive_connections=0,
                    retries=0,
                ) as pool,
                pool.stream(method, url, headers=sent, content=body) as answer,
            ):
                return await _whole(answer, where)
        except _TooMuch:
            sentence = f"{where.host} answered with more than {MAX_ANSWER_BYTES // 1024} KiB."
            raise DialError(Fault.BROKEN, sentence) from None
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            sentence = f"{where.host} cannot be reached: {_reason(error)}."
            raise DialError(Fault.UNREACHABLE, sentence) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise DialError(Fault.BROKEN, f"{where.host} broke off: {type(error).__name__}.") from None

    async def _checked(self, where: Destination) -> tuple[IPAddress, ...]:
        """The addresses of the destination, each of which may be dialled."""
        if where.named in self.own_names:
            raise DialError(Fault.REFUSED, f"{where.host}:{where.port} is this appliance itself.")
        found = (where.literal,) if where.literal is not None else await self._addresses(where.host)
        for address in found:
            fault = why_not(address, where.port, self.allowed)
            if fault is None and where.port in self.own_ports and _is_here(address):
                fault = "is this appliance itself"
            if fault is not None:
                named = where.host if where.literal else f"{where.host} has the address {address}, and it"
                raise DialError(Fault.REFUSED, f"{named} {fault}.")
        return found[:MAX_TRIED]

    async def _addresses(self, host: str) -> tuple[IPAddress, ...]:
        try:
            texts = await self.resolve(host)
        except (OSError, UnicodeError):
            raise DialError(Fault.UNREACHABLE, f"The name {host} cannot be looked up.") from None
        try:
            found = tuple(ipaddress.ip_address(text) for text in texts)
        except ValueError:
            raise DialError(Fault.REFUSED, f"{host} has an address that is none.") from None
        if any(isinstance(it, ipaddress.IPv6Address) and it.scope_id is not None for it in found):
            raise DialError(Fault.REFUSED, f"{host} has an address of one interface only.")
        if not 1 <= len(found) <= MAX_ADDRESSES:
            raise DialError(Fault.REFUSED, f"{host} has {len(found)} addresses, not from 1 to {MAX_ADDRESSES}.")
        return found


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever name it is given: names are looked up nowhere else."""

    def __init__(self, addresses: Sequence[IPAddress]) -> None:
        self._addresses = addresses
        self._sockets = httpcore.TrioBackend()
        self._opened: list[httpcore.AsyncNetworkStream] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Httpcore forgets a socket whose TLS handshake was cancelled. Closing one again does nothing."""
        with trio.CancelScope(shield=True):  # a socket without TLS closes at once
            for stream in self._opened:
                await stream.aclose()

    async def connect_tcp(self, host: str, port: int, *_: object, **__: object) -> httpcore.AsyncNetworkStream:  # noqa: ARG002 -- the name is for TLS, which httpcore tells it itself
        last: Exception | None = None
        for address in self._addresses:
            try:
                stream = await self._sockets.connect_tcp(str(address), port, timeout=CONNECT_SECONDS)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
            else:
                self._opened.append(stream)
                return _Bounded(stream)
        raise last or httpcore.ConnectError("no address")


class _Bounded(httpcore.AsyncNetworkStream):
    """A connection that gives so many bytes and no more. Breaking off here is what httpcore unwinds cleanly from."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left = MAX_ANSWER_BYTES + MAX_FRAMING_BYTES

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        piece = await self._stream.read(max_bytes, timeout)
        self._left -= len(piece)
        if self._left < 0:
            raise _TooMuch
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _Bounded(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


class _TooMuch(httpcore.ReadError):
    """More came than an answer may have."""


async def _whole(answer: httpcore.Response, where: Destination) -> Reply:
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in answer.headers)
    if any(name == "content-encoding" and value.lower() != "identity" for name, value in headers):
        raise DialError(Fault.BROKEN, f"{where.host} answered in an encoding that it was not asked for.")
    body = await answer.aread()
    if len(body) > MAX_ANSWER_BYTES:
        raise _TooMuch
    return Reply(answer.status, headers, body)


def _reason(error: Exception) -> str:
    """In our words: what the other side put into its certificate stays out of the log."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate is not one that is believed for this name"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS as it should"
        cause = cause.__cause__ or cause.__context__
    return "no connection" if isinstance(error, httpcore.ConnectError) else "no connection in time"


async def _trust(only: Path | None, more: Path | None) -> ssl.SSLContext:
    """Read anew each time: certificates are renewed, and a dial is rare."""

    def read() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=only)
        if only is None and more is not None:
            context.load_verify_locations(more)
        return context

    try:
        context = await trio.to_thread.run_sync(read)
    except (OSError, ssl.SSLError):
        file = only or more
        raise DialError(Fault.UNREACHABLE, f"The file {file} with certificate authorities cannot be read.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def _host_header(where: Destination) -> str:
    host = f"[{where.host}]" if ":" in where.host else where.host
    return host if where.port == HTTPS_PORT else f"{host}:{where.port}"


def _is_here(address: IPAddress) -> bool:
    """Whether a packet to it would not leave this machine. Connecting a datagram socket sends nothing."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    it = mapped or address
    if it.is_loopback:
        return True
    family = socket.AF_INET if it.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(it), 9))
        except OSError:
            return False  # there is no way to it at all
        return ipaddress.ip_address(probe.getsockname()[0].partition("%")[0]) == it


_LOOKERS: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("dialling look-ups")


def _lookers() -> trio.CapacityLimiter:
    """Threads for look-ups, apart from all others: a name server that is silent holds up nothing else."""
    try:
        return _LOOKERS.get()
    except LookupError:
        limiter = trio.CapacityLimiter(AT_ONCE)
        _LOOKERS.set(limiter)
        return limiter
