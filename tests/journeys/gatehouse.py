"""A running appliance with an identity provider set up in it: where people come in."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import trio

from ops.demo import ports
from ops.demo.admin import Appliance
from tests.journeys.door import Door
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack
from tests.support.identity import CLIENT_ID, CLIENT_SECRET, IdentityProvider, identity_provider
from tests.support.surfer import Seen, Surfer

OAUTH = "/fairlead/v1/oauth"
CLI = "fairlead-cli"
LOOPBACK = "http://127.0.0.1:49152/callback"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
REREAD_SECONDS = 2


@dataclass
class Gatehouse:
    """The programs, and how one walks through them."""

    stack: Stack
    provider: IdentityProvider
    provider_id: str

    @property
    def url(self) -> str:
        return f"https://{ports.LOOPBACK}:{self.stack.bound.users}"

    @property
    def callback(self) -> str:
        return f"{self.url}/fairlead/callback/corp"

    def surfer(self) -> Surfer:
        """From an address of their own: failed tries are counted by address."""
        ca = (self.stack.home.appliance / "ca.pem").read_text()
        address = ".".join(["127", *(str(1 + secrets.randbelow(250)) for _ in range(3))])
        return Surfer(ca + self.provider.ca.pem, address)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, token: str | None = None) -> Any:
        return trio.run(self.stack.api(token).call, method, path, None if body is None else dict(body))

    def raw(self, method: str, path: str, token: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        status, answer = trio.run(self.stack.api(token).raw, method, path, None if body is None else dict(body))
        try:
            return status, json.loads(answer)
        except ValueError:
            return status, answer.decode()

    def person(self, *groups: str, **claims: Any) -> str:
        """The subject of someone new whom the provider knows."""
        subject = f"s{secrets.token_hex(4)}"
        known = {"email": f"{subject}@example.com", "email_verified": True, "groups": list(groups), **claims}
        self.provider.knows(subject, known)
        return subject

    def to_callback(self, surfer: Surfer, subject: str, onwards: str = "") -> Seen:
        """Through the provider, up to the step back to the appliance."""
        query = f"?{urlencode({'next': onwards})}" if onwards else ""
        seen = surfer.follow(f"{self.url}/fairlead/sign-in/corp{query}", until=self.callback)
        return surfer.pass_provider(seen, subject, self.callback)

    def sign_in(self, surfer: Surfer, subject: str) -> Seen:
        """Into a session of the browser."""
        return surfer.follow(self.to_callback(surfer, subject).location)

    def door(self, issued: Mapping[str, Any]) -> Door:
        """What a kubeconfig credential opens."""
        path = urlsplit(issued["server"]).path
        ca = (self.stack.home.appliance / "ca.pem").read_text()
        return Door(ports.LOOPBACK, self.stack.bound.users, path, issued["token"], ca)

    def bind_group(self, group: str) -> None:
        """The provider's group may do everything on the toy cluster."""
        role = self.call("POST", "roles", {"name": f"r-{secrets.token_hex(4)}", "groups": ["toy:admins"]})
        cluster = next(it["id"] for it in self.call("GET", "clusters")["items"] if it["name"] == "toy")
        subject = {"kind": "group", "id": group, "issuer": self.provider.issuer}
        scope = {"kind": "cluster", "cluster_id": cluster}
        self.call("POST", "bindings", {"subject": subject, "role_id": role["id"], "scope": scope})

    def authorize(self, surfer: Surfer, verifier: str, **changes: str) -> Seen:
        """As a command beside a browser that is signed in; the redirect to it is not followed."""
        page = surfer.follow(f"{self.url}/fairlead/authorize?{urlencode(asked(verifier) | changes)}")
        if page.status != 200:
            return page
        action, fields = page.form()
        return surfer.go(action, fields | {"answer": "yes"})

    def command(self, subject: str) -> dict[str, Any]:
        """The tokens of a command that was signed in beside a browser."""
        surfer, verifier = self.surfer(), secrets.token_urlsafe(48)
        self.sign_in(surfer, subject)
        code = self.authorize(surfer, verifier).query["code"]
        status, answer = self.token(code_grant(code, verifier))
        assert status == 200, answer
        return answer

    def token(self, form: Mapping[str, str], surfer: Surfer | None = None) -> tuple[int, dict[str, Any]]:
        return self.oauth("token", {"client_id": CLI, **form}, surfer)

    def refresh(self, tokens: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        return self.token({"grant_type": "refresh_token", "refresh_token": str(tokens["refresh_token"])})

    def oauth(self, path: str, form: Mapping[str, str], surfer: Surfer | None = None) -> tuple[int, dict[str, Any]]:
        seen = (surfer or self.surfer()).go(f"{self.url}{OAUTH}/{path}", form)
        return seen.status, json.loads(seen.body)

    def setup_code(self) -> str:
        """Made on the appliance's host, running or not."""
        return self.stack.command("setup-code", check=True).stdout.strip()

    def set_up(self, surfer: Surfer, code: str) -> Seen:
        """Type a setup code."""
        action, fields = surfer.go(f"{self.url}/fairlead/setup").form()
        return surfer.go(action, fields | {"code": code})

    def recorded(self, kind: str, **fields: str) -> list[dict[str, Any]]:
        """The records of a kind in which these words stand, the latest first."""
        found = self.call("GET", f"audit?type={kind}")["items"]
        return [it for it in found if all(value in json.dumps(it.get(name, "")) for name, value in fields.items())]

    def until(self, look: Callable[[], Any], what: str) -> Any:
        return eventually(look, 20.0, what)


def asked(verifier: str) -> dict[str, str]:
    """An authorization request of the command."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return {
        "response_type": "code",
        "client_id": CLI,
        "redirect_uri": LOOPBACK,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        "state": "of-the-command",
        "label": "fairlead on a laptop",
    }


def code_grant(code: str, verifier: str, redirect_uri: str = LOOPBACK) -> dict[str, str]:
    return {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": redirect_uri,
    }


def set_up(api: Appliance, issuer: str) -> dict[str, Any]:
    """The provider, as an administrator sets it up."""
    body = {
        "slug": "corp",
        "title": "Example Corp",
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scopes": ["openid", "profile", "email", "groups", "offline_access"],
        "parameters": {"prompt": "consent"},
    }
    made: dict[str, Any] = trio.run(api.call, "POST", "providers", body)
    return made


def dialling(directory: Path, provider: IdentityProvider) -> str:
    """The settings with which an appliance reaches the provider."""
    authorities = directory / "identity-ca.pem"
    authorities.write_text(provider.ca.pem)
    return f'[dialling]\nallow = ["127.0.0.1/32"]\nca = {json.dumps(str(authorities))}\n'


@contextmanager
def running_gatehouse(directory: Path) -> Iterator[Gatehouse]:
    """Everything up, and the provider set up."""
    with identity_provider(directory) as provider:
        settings = f"{dialling(directory, provider)}[login]\nreread_seconds = {REREAD_SECONDS}\n"
        with running_stack(directory, settings=settings) as stack:
            made = set_up(stack.api(), provider.issuer)
            house = Gatehouse(stack, provider, made["id"])
            provider.serves(made["redirect_uri"], f"{house.url}/fairlead/signed-out")
            yield house
