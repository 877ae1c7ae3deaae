"""The appliance's users' port, spoken to without kubectl: strict HTTP and raw bytes over verified TLS.

Where kubectl forgives or hides something, this does not: a TLS stream that ends without close_notify is an error, and
what is sent is exactly what was written here. The toy cluster's registry of requests is read through it as well.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

CALL_SECONDS = 30.0  # socket timeout; no answer asked for here takes that long


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The catalogue's name of a refusal."""
        return self.headers.get("x-fairlead-error-code", "")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Door:
    """Where one kubeconfig leads, and what it shows there."""

    host: str
    port: int
    path: str  # /api/proxy/{cluster}
    token: str
    ca_pem: str

    @classmethod
    def of(cls, kubeconfig: Path) -> Door:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster = document["clusters"][0]["cluster"]
        server = urlsplit(cluster["server"])
        assert server.hostname is not None
        assert server.port is not None
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(server.hostname, server.port, server.path, document["users"][0]["user"]["token"], authority)

    def connect(self, receive_buffer: int | None = None) -> ssl.SSLSocket:
        """A TLS connection whose end without close_notify raises ssl.SSLEOFError."""
        plain = socket.socket()
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(CALL_SECONDS)
        plain.connect((self.host, self.port))
        context = ssl.create_default_context(cadata=self.ca_pem)
        return context.wrap_socket(plain, server_hostname=self.host, suppress_ragged_eofs=False)

    def https(self) -> http.client.HTTPSConnection:
        """The standard library's client, one connection."""
        context = ssl.create_default_context(cadata=self.ca_pem)
        return http.client.HTTPSConnection(self.host, self.port, timeout=CALL_SECONDS, context=context)

    def head(self, method: str, path: str, *lines: bytes, token: bool = True, version: str = "1.1") -> bytes:
        """The head of a request to the cluster; `lines` are added as they are."""
        own = [f"{method} {self.path}{path} HTTP/{version}".encode(), f"Host: {self.host}:{self.port}".encode()]
        if token:
            own.append(b"Authorization: Bearer " + self.token.encode())
        return b"\r\n".join([*own, *lines]) + b"\r\n\r\n"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request to the cluster, on a connection of its own. A body in pieces goes chunked."""
        with self.asking(method, path, body, headers) as response:
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    @contextmanager
    def asking(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """The same with the answer's body still to be read."""
        connection = self.https()
        try:
            sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
            chunked = body is not None and not isinstance(body, bytes) and "Content-Length" not in sent
            if chunked:
                sent["Transfer-Encoding"] = "chunked"
            connection.request(method, self.path + path, body, sent, encode_chunked=chunked)
            yield connection.getresponse()
        finally:
            connection.close()

    def exchange(self, raw: bytes) -> Answer:
        """Send these bytes on a connection of their own, and read one answer strictly."""
        with self.connect() as tls:
            tls.sendall(raw)
            return read_answer(tls)

    def arrived(self, mark: str) -> list[dict[str, Any]]:
        """What the toy cluster knows of requests whose target holds `mark`, open ones last."""
        shown = self.ask("GET", "/toy/requests").json()
        return [it for it in shown["recent"] + shown["open"] if mark in it["target"]]


def read_answer(tls: ssl.SSLSocket) -> Answer:
    """One answer, strictly read."""
    response = http.client.HTTPResponse(tls)
    response.begin()
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def read_to_the_end(tls: ssl.SSLSocket) -> bytes:
    """All bytes up to close_notify; anything else at the end is an error."""
    received = []
    while piece := tls.recv(65536):
        received.append(piece)
    return b"".join(received)


def reset(tls: ssl.SSLSocket) -> None:
    """Leave without a word: RST instead of FIN."""
    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tls.close()
