"""One appliance as the command reaches it: requests over verified TLS, and what stands in the way as a sentence.

What always holds: the certificate is checked, against the appliance's own CA where the profile has one; every wait has
a deadline; a request is sent once, but for one that may be repeated (GET) on a connection that the other end had
closed. A proxy is used as HTTPS_PROXY and NO_PROXY say. The time that the appliance's answers carry is kept, because
it, and not this machine's clock, says when something expires.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from ops.cli.faults import Exit, Fault, plain
from ops.cli.masking import shown_body, shown_headers, shown_url
from ops.cli.patience import patience

CONNECT_SECONDS = 10.0  # a far place over a bad line, its name and its handshake
ANSWER_SECONDS = 30.0  # the slowest call is a sign-in that asks a provider, which is given 20 s
IDLE_SECONDS = 4.0  # a connection that was idle for longer may be closing at this moment
MAX_ANSWER_BYTES = 64 * 1024 * 1024  # a page of audit records is about one
WRONG_CLOCK_CODES = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED
WRONG_NAME_CODES = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: any status."""

    status: int
    headers: Message
    body: bytes

    def document(self) -> Any:
        """The body as JSON; None if it is none."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return None

    @property
    def correlation_id(self) -> str:
        return str(self.headers.get("X-Correlation-Id") or "")


class Transport:
    """Requests to one appliance, one after the other."""

    def __init__(self, server: str, ca_pem: str | None = None, *, debug: bool = False) -> None:
        parts = urlsplit(server)
        assert parts.scheme == "https", server  # profiles and options have seen to it
        self.server = server
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._debug = debug
        self._connection: http.client.HTTPSConnection | None = None
        self._used = 0.0
        self.sent = False  # whether the other end may know of what was asked last
        self.heard: Mapping[str, str] = {}  # the headers of the last answer, by lower-case name
        self._context = _believing(ca_pem)

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        shown: Any = None,
    ) -> Answer:
        """One request. `shown`: the body as --debug may see it, before it is masked."""
        sent = {"Accept": "application/json", "User-Agent": "fairlead", **(headers or {})}
        self._tell(f"> {method} {self.server}{shown_url(target)}; {shown_headers(sent)}")
        if shown is not None:
            self._tell(f"> {shown_body(shown, ask=True)}")
        began = time.monotonic()
        try:
            with patience(f"Waiting for {self._host}"):
                answer = self._carried(method, target, body, sent)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            self._tell(f"! {type(error).__name__}: {error}")
            fault = unreachable(self.server, error)
            if self.sent and method != "GET":
                fault.next_step = "look whether it was done before you try again"
            raise fault from None
        took = (time.monotonic() - began) * 1000
        self._tell(f"< {answer.status} in {took:.0f} ms; {shown_headers(dict(answer.headers.items()))}")
        if answer.body:
            self._tell(f"< {shown_body(answer.document())}")
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _carried(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        self.sent = False
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        kept = self._connection is not None
        try:
            return self._once(method, target, body, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.close()
            if not kept or method != "GET":
                raise
            return self._once(method, target, body, headers)

    def _once(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = self._connection = self._connection or self._opened()
        self.sent = True
        connection.request(method, target, body, dict(headers))
        response = connection.getresponse()
        content = response.read(MAX_ANSWER_BYTES)
        if response.length:  # cut off, or larger than anything we ask for
            raise http.client.IncompleteRead(content, response.length)
        self._used = time.monotonic()
        if response.will_close or not response.isclosed():
            self.close()
        self.heard = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, response.headers, content)

    @contextmanager
    def connected(self) -> Iterator[ssl.SSLSocket]:
        """A connection of its own, for who wants to look at it; a `Fault` if there is none."""
        try:
            opened = self._opened()
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.server, error) from None
        try:
            assert isinstance(opened.sock, ssl.SSLSocket)
            yield opened.sock
        finally:
            opened.close()

    def _opened(self) -> http.client.HTTPSConnection:
        proxy = proxy_for(self._host)
        there = urlsplit(proxy) if proxy is not None else urlsplit(self.server)
        usual = 443 if proxy is None else 80
        connection = http.client.HTTPSConnection(
            there.hostname or "", there.port or usual, timeout=CONNECT_SECONDS, context=self._context
        )
        if proxy is not None:
            connection.set_tunnel(self._host, self._port, _proof(there))
        connection.connect()
        assert connection.sock is not None
        connection.sock.settimeout(ANSWER_SECONDS)
        return connection

    def _tell(self, line: str) -> None:
        if self._debug:
            sys.stderr.write(plain(line) + "\n")


def proxy_for(host: str) -> str | None:
    """The proxy that the environment names for a host, as a URL."""
    found = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get("https")
    return found if found is None or "://" in found else f"http://{found}"


def _proof(proxy: SplitResult) -> dict[str, str]:
    """What a proxy's URL says for the proxy alone (RFC 7617)."""
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def unreachable(server: str, error: Exception) -> Fault:
    """Why there was no answer, and what to look at."""
    host = urlsplit(server).netloc.rpartition("@")[2]  # a proxy's URL may hold a password
    sentence, step = f"{host} gave no answer: {error}", "fairlead doctor"
    match error:
        case ssl.SSLCertVerificationError(verify_code=code) if code in WRONG_CLOCK_CODES:
            sentence = f"The certificate of {host} is not valid at this machine's time, {time.strftime('%F %T %Z')}"
            step = "check this machine's clock; if it is right, the certificate has to be renewed"
        case ssl.SSLCertVerificationError(verify_code=code) if code in WRONG_NAME_CODES:
            sentence = f"The certificate of {host} is for another name"
            step = "use the appliance's public URL"
        case ssl.SSLCertVerificationError():
            sentence = f"This machine does not trust what signed the certificate of {host}"
            step = "give the appliance's CA: fairlead login --ca FILE"
        case ssl.SSLError():
            sentence = f"{host} does not speak TLS as it should ({error.reason or error})"
        case socket.gaierror():
            sentence, step = f"The name {urlsplit(server).hostname} cannot be found", "check the URL and your network"
        case ConnectionRefusedError():
            sentence = f"Nothing answers at {host}"
        case TimeoutError():
            sentence = f"{host} does not answer in time"
        case OSError(errno=int(number)) if number > 0:
            sentence = f"{host} cannot be reached: {os.strerror(number)}"
    return Fault(plain(sentence) + ".", Exit.UNREACHABLE, next_step=step)


def read_ca(file: Path) -> str:
    """The certificates in a file that somebody named. Raises Fault when it holds none."""
    text = file.read_text(errors="replace")
    _believing(text)
    return text


def _believing(ca_pem: str | None) -> ssl.SSLContext:
    """These authorities; without any, those of the machine."""
    try:
        if ca_pem == "":
            raise TypeError
        return ssl.create_default_context(cadata=ca_pem)
    except (ssl.SSLError, TypeError):  # TypeError: it is not even ASCII
        raise Fault("The CA is not a certificate in PEM form.", next_step="give the right file with --ca") from None
