"""An issuer of tokens under a test's control: a real https server with real keys that says what it is told to say."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.certificates import TestCA


@dataclass
class Issuer:
    """Publishes its keys, and signs what a test wants signed."""

    url: str
    keys: dict[str, Any] = field(default_factory=lambda: {"one": ec.generate_private_key(ec.SECP256R1())})
    asked: list[str] = field(default_factory=list)
    said: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)  # by path, in place of the truth

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(path)
        if path in self.said:
            return self.said[path]
        if path == "/.well-known/openid-configuration":
            document: Any = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        elif path == "/keys":
            document = self.jwks()
        else:
            return 404, {}, b""
        return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()

    def jwks(self) -> dict[str, Any]:
        makers: dict[type, Any] = {
            ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
            rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        }
        found = []
        for kid, key in self.keys.items():
            maker = next(maker for kind, maker in makers.items() if isinstance(key, kind))
            found.append({**maker.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"})
        return {"keys": found}

    def sign(self, *, kid: str = "one", key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.url, "iat": now, "nbf": now, "exp": now + 300, "jti": f"jti-{time.monotonic_ns()}"}
        document = {name: value for name, value in (said | claims).items() if value is not None}
        return jwt.encode(document, key or self.keys[kid], algorithm, headers={"kid": kid})


@contextmanager
def issuing(directory: Path, host: str = "localhost") -> Iterator[Issuer]:
    """An issuer under that name; the authority of its certificate is in issuer-ca.pem."""
    authority = TestCA.make()
    (directory / "issuer-ca.pem").write_text(authority.pem)
    chain, key = authority.issue(directory, "issuer", names=(host,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    made: Issuer

    class Door(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = made.answer(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        made = Issuer(f"https://{host}:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
