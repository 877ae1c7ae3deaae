"""A certified OpenID provider that nobody here wrote (npm's oidc-provider), started and told how to behave."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.certificates import TestCA

HERE = Path(__file__).parent / "provider"
CLIENT_ID, CLIENT_SECRET = "fairlead", "a secret of 32 letters for a test"
STOP_SECONDS = 10.0


@dataclass
class IdentityProvider:
    """The running provider. `signing` is the private key it signs with, so that a test can sign what it never would."""

    process: subprocess.Popen[str]
    issuer: str
    ca: TestCA
    accounts: dict[str, Any] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    signing: Any = None
    kid: str = ""

    def tell(self, name: str, given: Any) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([name, given]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert answer == {"done": name}, answer

    def serves(self, redirect_uri: str, signed_out: str) -> None:
        """Have Fairlead as a client."""
        self.redirects = {"in": redirect_uri, "out": signed_out}
        self.rotate()

    def rotate(self) -> None:
        """Sign with a new key, and publish only that one."""
        number = int(self.kid.removeprefix("key-") or 0) + 1
        self.kid = f"key-{number}"
        self.signing = rsa.generate_private_key(65537, 2048)
        private = jwt.algorithms.RSAAlgorithm.to_jwk(self.signing, as_dict=True)
        del private["key_ops"]  # it would be published, too
        clients = [
            {
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "redirect_uris": [self.redirects["in"]],
                "post_logout_redirect_uris": [self.redirects["out"]],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
            }
        ]
        self.tell("configure", {"keys": [{**private, "kid": self.kid, "use": "sig"}], "clients": clients})

    def knows(self, subject: str, claims: Mapping[str, Any] | None) -> None:
        """Someone with these claims; None: they have left."""
        self.accounts[subject] = None if claims is None else dict(claims)
        self.tell("accounts", self.accounts)

    def behaves(self, **how: Any) -> None:
        """`down`, `slow` (seconds by path), `lies` ({status, body} by path); without any: as it should."""
        self.tell("behave", how)

    def signs(self, claims: Mapping[str, Any], *, key: Any = None, algorithm: str = "RS256", **header: Any) -> str:
        return jwt.encode(dict(claims), key or self.signing, algorithm, headers={"kid": self.kid, **header})


@contextmanager
def identity_provider(directory: Path) -> Iterator[IdentityProvider]:
    """One that is up and knows no client yet. It ends with the test, or when our end of its input does."""
    node = shutil.which("node")
    assert node is not None, "node is needed for the identity provider: apt-get install nodejs npm"
    assert (HERE / "node_modules").is_dir(), f"the identity provider is not installed: npm ci --prefix {HERE}"
    ca = TestCA.make("identity CA")
    certificate, key = ca.issue(directory, "identity")
    process = subprocess.Popen(
        [node, str(HERE / "provider.mjs"), str(certificate), str(key)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        yield IdentityProvider(process, f"https://127.0.0.1:{port}", ca)
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
