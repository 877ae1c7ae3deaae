"""What stands between the command and an appliance, one sentence for each. Against sockets that behave so."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from ops.cli import transport
from ops.cli.faults import Exit, Fault
from ops.cli.transport import Transport
from tests.support.certificates import TestCA


@contextmanager
def listening(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that does this with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def certified(ca: TestCA, directory: Path, begin: int, end: int) -> ssl.SSLContext:
    """A server's context; its certificate is good from so many hours from now until so many."""
    chain, key = ca.issue(directory, f"server{begin}")
    old, now = x509.load_pem_x509_certificate(chain.read_bytes()), datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), old.serial_number)
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    builder = builder.not_valid_before(now + datetime.timedelta(hours=begin))
    made = builder.not_valid_after(now + datetime.timedelta(hours=end)).sign(ca.key, hashes.SHA256())
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def speaking(context: ssl.SSLContext, said: bytes) -> Callable[[socket.socket], None]:
    """TLS, then these bytes to whatever is asked."""

    def answer(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as opened:
                if opened.recv(65536).startswith(b"POST"):
                    opened.recv(65536)  # the body, in a record of its own: what is left unread resets the connection
                opened.sendall(said)
        except OSError:  # a client that does not like the certificate
            return

    return answer


def fault(url: str, ca: TestCA) -> str:
    with pytest.raises(Fault) as caught:
        Transport(url, ca.pem).ask("GET", "/")
    assert caught.value.exit_code is Exit.UNREACHABLE
    assert caught.value.next_step
    return str(caught.value)


@pytest.mark.parametrize(("begin", "end"), [(-48, -1), (1, 48)])
def test_a_certificate_out_of_its_time(tmp_path: Path, begin: int, end: int) -> None:
    """It has expired, or it is not valid yet: or this machine's clock is wrong, which is said."""
    ca = TestCA.make()
    with listening(speaking(certified(ca, tmp_path, begin, end), b"")) as url:
        assert "is not valid at this machine's time" in fault(url, ca)


def test_an_answer_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = TestCA.make()
    with listening(speaking(certified(ca, tmp_path, -1, 1), b"")) as url:
        assert "gave no answer" in fault(url, ca)
    with listening(speaking(certified(ca, tmp_path, -1, 1), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")) as url:
        assert "gave no answer" in fault(url, ca)
    with listening(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        assert "does not speak TLS" in fault(url, ca)
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.2)
    over = threading.Event()
    with listening(lambda _: over.wait(20)) as url:
        assert "does not answer in time" in fault(url, ca)
        over.set()


def test_a_proxy_is_shown_its_password_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

    with listening(refuse) as url:
        proxy = url.replace("https://", "http://ann:s%40fe@")
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "")
        with pytest.raises(Fault, match="407"):
            Transport("https://fairlead.example.com").ask("GET", "/", headers={"Authorization": "Bearer x"})
    assert b"Proxy-Authorization: Basic YW5uOnNAZmU=" in heard[0]
    assert b"Bearer" not in heard[0]
    assert "ann" not in str(transport.unreachable(proxy, ConnectionRefusedError()))


@pytest.mark.parametrize("given", ["-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "0\ufffd\ufffd"])
def test_a_ca_that_is_none(given: str) -> None:
    with pytest.raises(Fault, match="not a certificate"):
        Transport("https://fairlead.example.com", given)
