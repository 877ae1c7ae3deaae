"""The API server: how it is reached, and what the agent shows it.

What always holds: its certificate is verified against the cluster's CA alone; the service-account token is the one in
the file now, because Kubernetes replaces it; while a file cannot be read no request goes up on an old credential.
Files are looked at once a second by whoever calls `refresh`, never on a request's path.
"""

from __future__ import annotations

import logging
import socket
import ssl
from pathlib import Path
from typing import Final

import trio

from agent import config
from agent.file_mark import file_mark
from agent.guard import RefusedError
from agent.outbound import Failing, OutboundError, Place, connect
from wire.contexts import client_context
from wire.frames import ResetCode
from wire.tls import TLSStream

CONNECT_SECONDS: Final = 5.0  # inside a cluster: an API server that takes longer to accept is not there
RECEIVE_BYTES: Final = 512 * 1024
"""What the kernel may hold of an answer that nobody takes (it doubles this for its own use). Left alone it grows to
megabytes for an answer that began fast and whose reader then stopped. Enough for 500 MB/s within a cluster."""

MAX_FILE_BYTES: Final = 256 * 1024
MAX_TOKEN_BYTES: Final = 16 * 1024

_log = logging.getLogger("fairlead.agent.upstream")

_CODES: Final = {
    Failing.TCP: ResetCode.UPSTREAM_UNREACHABLE,
    Failing.TIMEOUT: ResetCode.UPSTREAM_TIMEOUT,
    Failing.TLS: ResetCode.UPSTREAM_TLS,
    Failing.CERTIFICATE: ResetCode.UPSTREAM_TLS,
}


class Upstream:
    """One API server."""

    def __init__(self, settings: config.Upstream) -> None:
        self._settings = settings
        self._place = Place(settings.host, settings.port, settings.server_name)
        self._marks: dict[Path, tuple[int, int, int] | None] = {}
        self._context: ssl.SSLContext | None = None
        self._authorization: bytes | None = None
        self.authority = settings.authority
        self.fault = "not read yet"
        self.troubled = trio.Event()  # a connection could not be made since somebody replaced this
        self.refresh()

    @property
    def authorization(self) -> bytes:
        """The agent's own Authorization line, or nothing where a client certificate speaks.

        Raises:
            RefusedError: the credential cannot be read now.

        """
        if self._authorization is None:
            raise RefusedError(ResetCode.UPSTREAM_CREDENTIAL, f"The agent's own credential is not usable: {self.fault}")
        return self._authorization

    def refresh(self) -> None:
        """Read what has changed: token, CA, client certificate."""
        settings = self._settings
        paths = [settings.ca_file, settings.token_file, settings.certificate_file, settings.key_file]
        marks = {path: file_mark(path) for path in paths if path is not None}
        if marks == self._marks and not self.fault:
            return
        before, self._marks = self.fault, marks
        try:
            self._load()
            self.fault = ""
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self._context = self._authorization = None
            self.fault = f"{_reason(error)}: check the upstream files."
        if self.fault != before:
            (_log.error if self.fault else _log.info)("credential for the API server", extra={"fault": self.fault})

    def _load(self) -> None:
        settings = self._settings
        certificate = None
        if settings.certificate_file is not None and settings.key_file is not None:
            certificate = (settings.certificate_file, settings.key_file)
        ca_pem = _text(settings.ca_file)
        self._context = client_context(ca_pem, certificate=certificate, alpn=["http/1.1"], tls13_only=False)
        if settings.token_file is None:
            self._authorization = b""
            return
        token = _text(settings.token_file).strip()
        if not token or len(token) > MAX_TOKEN_BYTES or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(f"{settings.token_file} holds no token")
        self._authorization = b"Authorization: Bearer %b\r\n" % token.encode()

    async def dial(self) -> TLSStream:
        """Return a fresh verified connection.

        Raises:
            RefusedError: nothing was started.

        """
        if self._context is None:
            raise RefusedError(ResetCode.UPSTREAM_CREDENTIAL, f"The agent's own credential is not usable: {self.fault}")
        try:
            made = await connect(self._place, self._context, tcp_seconds=CONNECT_SECONDS, tls_seconds=CONNECT_SECONDS)
        except OutboundError as error:
            _log.warning(
                "the API server cannot be reached: check upstream_url, and the network policy",
                extra={"reason": str(error)},
            )
            self.troubled.set()
            raise RefusedError(_CODES[error.failing], f"The API server at {error}") from error
        made.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        return made


def _text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES).decode()


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "a certificate file does not hold what it should"
    if isinstance(error, OSError):
        return f"{error.filename} cannot be read ({error.strerror})"
    return "a file is not text" if isinstance(error, UnicodeDecodeError) else str(error)
