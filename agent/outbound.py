"""One verified TLS connection to somewhere: TCP with happy eyeballs, TLS, each within a deadline.

What always holds: the peer's certificate and name are verified before a byte of ours is sent, or there is no stream;
a failure says in one sentence what failed and what to look at. Used towards the appliance and towards the API server.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Final, Protocol
from urllib.parse import urlsplit

import trio

from wire.tls import HandshakeFailed, TLSStream, dial_handshake

TCP_SECONDS: Final = 10.0
TLS_SECONDS: Final = 20.0  # an appliance takes in seventy a second (appliance/tunnel/patience.py): 1,400 can wait
HAPPY_EYEBALLS_SECONDS: Final = 0.25  # RFC 8305: how long an address is waited for before the next one is tried too


_OUT_OF_TIME: Final = {9, 10}  # OpenSSL: X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


class Failing(Enum):
    """Which step failed."""

    TCP = auto()
    TIMEOUT = auto()
    TLS = auto()
    CERTIFICATE = auto()


class OutboundError(Exception):
    """The connection could not be made; the text is a sentence that names what to look at."""

    def __init__(self, failing: Failing, sentence: str) -> None:
        super().__init__(sentence)
        self.failing = failing


@dataclass(frozen=True, slots=True)
class Place:
    """Where to connect, and which name the certificate there must have."""

    host: str
    port: int
    server_name: str

    @classmethod
    def parse(cls, url: str) -> Place:
        """Read an https URL. Raises ValueError on anything else."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"} or "@" in parts.netloc:
            raise ValueError("an https URL without path was expected")
        return cls(parts.hostname, parts.port or 443, parts.hostname)

    @property
    def url(self) -> str:
        """The URL this was read from, with its port."""
        return f"https://{self.authority.decode()}"

    @property
    def authority(self) -> bytes:
        """Host and port as HTTP has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode()


class Connect(Protocol):
    """`connect`, or the same through a proxy."""

    async def __call__(self, place: Place, context: ssl.SSLContext) -> TLSStream: ...


async def connect(
    place: Place, context: ssl.SSLContext, *, tcp_seconds: float = TCP_SECONDS, tls_seconds: float = TLS_SECONDS
) -> TLSStream:
    """Connect and shake hands.

    Raises:
        OutboundError: with the step that failed.

    """
    tcp = await open_tcp(place, tcp_seconds)
    return await shake_hands(tcp.socket, context, place, tls_seconds)


async def open_tcp(place: Place, seconds: float) -> trio.SocketStream:
    """Connect. Raises OutboundError."""
    where = place.authority.decode()
    try:
        with trio.fail_after(seconds):
            return await trio.open_tcp_stream(place.host, place.port, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS)
    except trio.TooSlowError:
        raise OutboundError(
            Failing.TIMEOUT, f"{where} did not accept a connection within {seconds:.0f} s: check firewalls and routes."
        ) from None
    except OSError as error:
        raise OutboundError(
            Failing.TCP, f"{where} cannot be reached ({_reason(error)}): check address, DNS and port."
        ) from error


async def shake_hands(
    sock: trio.socket.SocketType, context: ssl.SSLContext, place: Place, seconds: float = TLS_SECONDS
) -> TLSStream:
    """Shake hands over a connected socket, which is ours from now on. Raises OutboundError."""
    where = place.authority.decode()
    try:
        with trio.fail_after(seconds):
            return await dial_handshake(sock, context, place.server_name)
    except trio.TooSlowError:
        raise OutboundError(
            Failing.TIMEOUT,
            f"{where} did not finish its TLS handshake within {seconds:.0f} s: is it the right port?",
        ) from None
    except trio.BrokenResourceError as error:
        raise _tls_fault(where, place.server_name, error) from error


def _tls_fault(where: str, name: str, error: trio.BrokenResourceError) -> OutboundError:
    cause = error.fault if isinstance(error, HandshakeFailed) else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return OutboundError(
            Failing.CERTIFICATE,
            f"{where} showed a certificate that is not trusted for {name} ({cause.verify_message}): "
            + _remedy(cause.verify_code),
        )
    return OutboundError(Failing.TLS, f"TLS with {where} failed ({error}): is it the right port?")


def _remedy(verify_code: int) -> str:
    if verify_code in _OUT_OF_TIME:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return f"this host's clock says {now}; if that is wrong set it (NTP), if it is right look at the other's."
    return "check the CA, and that no proxy opens TLS on the way."


def _reason(error: OSError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause.__cause__
    return str(error)
