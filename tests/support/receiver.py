"""A receiver of webhooks: a real HTTPS server that answers as a test tells it to, and keeps what it got."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.certificates import TestCA

WAIT_SECONDS = 30.0


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`status` is what it answers; `held`: it has the request, and says nothing until `held` is cleared."""

    context: ssl.SSLContext
    port: int = 0
    status: int = 204
    held: bool = False
    got: list[Got] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/hook"

    def until(self, count: int) -> list[Got]:
        """What came, once it is so much."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._changed:
            while len(self.got) < count:
                assert self._changed.wait(deadline - time.monotonic()), f"only {len(self.got)} of {count} came"
            return list(self.got)

    def release(self) -> None:
        with self._changed:
            self.held = False
            self._changed.notify_all()

    def take(self, got: Got) -> int:
        """Keep it; the status to answer with, when it is time to."""
        with self._changed:
            self.got.append(got)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self.held, WAIT_SECONDS)
            return self.status

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Up, at the same port as before."""
        receiver = self

        class Answers(http.server.BaseHTTPRequestHandler):
            timeout = WAIT_SECONDS

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = receiver.take(Got(self.path, headers, body))
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", receiver.url + "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A caller that was killed."""

        with Server(("127.0.0.1", self.port), Answers) as server:
            self.port = server.server_port
            server.socket = self.context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield
            finally:
                self.release()
                server.shutdown()
                thread.join()


def receiver(ca: TestCA, directory: Path, name: str = "receiver") -> Receiver:
    """One that is not up yet, with a certificate of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue(directory, name))
    made = Receiver(context)
    with made.listening():  # takes a port that is its own from now on
        pass
    return made
