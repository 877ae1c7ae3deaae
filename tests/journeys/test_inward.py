"""Whoever may name an issuer leads the appliance nowhere inside: not by address, redirect, name, or changed answer.

The appliance runs, asks a name server of ours, and may dial one address beyond the public ones: the issuer's. Inside
is a listener at another address and the same port; whoever connects to it is noticed. The issuer is reached before and
after each try, so that what is refused is refused for where it leads.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from ops.demo import ports
from tests.journeys.issuer import Issuer, issuing
from tests.journeys.stack import Stack, running_stack
from tests.support.names import NameServer, name_server
from tests.support.surfer import Seen, Surfer

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

NAME, INNER_NAME = "id.example.com", "inner.example.com"
OUTER, INNER = "127.0.0.1", "127.0.0.2"
DESCRIPTION = "/.well-known/openid-configuration"
CLIENT = "fairlead"

#: Spellings of the address inside, of the appliance's own doors, and of what gives out a cloud's credentials.
VECTORS = (
    "https://127.0.0.2:{port}/",
    "https://2130706434:{port}/",
    "https://0x7f000002:{port}/",
    "https://0177.0.0.2:{port}/",
    "https://127.2:{port}/",
    "https://[::ffff:127.0.0.2]:{port}/",
    "https://[::ffff:7f00:2]:{port}/",
    "https://[64:ff9b::7f00:2]:{port}/",
    "https://[2002:7f00:2::]:{port}/",
    "https://inner.example.com:{port}/",
    "https://id.example.com@127.0.0.2:{port}/",
    "https://127.0.0.1:{users}/",
    "https://id.example.com:{agents}/",
    "https://localhost:{health}/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[fd00:ec2::254]/",
    "https://0.0.0.0:{port}/",
)


@dataclass
class World:
    stack: Stack
    issuer: Issuer
    names: NameServer
    inside: socket.socket
    provider: str = ""

    @property
    def port(self) -> int:
        return int(self.issuer.url.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"https://{ports.LOOPBACK}:{self.stack.bound.users}"

    def call(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return trio.run(self.stack.api().call, method, path, body)

    def where(self, vector: str) -> str:
        bound = self.stack.bound
        return vector.format(port=self.port, users=bound.users, agents=bound.agents, health=bound.health)

    def describes(self, **changes: str) -> None:
        """The issuer says this of itself, and the appliance remembers nothing of what it said before."""
        url = self.issuer.url
        ends = {"authorization_endpoint": "login", "token_endpoint": "token", "jwks_uri": "keys"}
        document = {"issuer": url, **{name: f"{url}/{end}" for name, end in ends.items()}, **changes}
        self.issuer.said[DESCRIPTION] = (200, {}, json.dumps(document).encode())
        self.call("PATCH", f"providers/{self.provider}", {"title": f"Lure {secrets.token_hex(4)}"})

    def sign_in(self) -> Seen:
        """Up to what the appliance makes of the provider's answer."""
        surfer = Surfer((self.stack.home.appliance / "ca.pem").read_text())
        begun = surfer.go(f"{self.url}/fairlead/sign-in/lure")
        if begun.status != 303:
            return begun
        state, nonce = begun.query["state"], begun.query["nonce"]
        token = self.issuer.sign(sub="x", aud=CLIENT, nonce=nonce)
        answer = json.dumps({"access_token": "x", "token_type": "Bearer", "id_token": token})
        self.issuer.said["/token"] = (200, {}, answer.encode())
        return surfer.go(f"{self.url}/fairlead/callback/lure?state={state}&code=x")

    def works(self) -> bool:
        """Whether a sign-in goes all the way when everything is where it should be."""
        self.names.says[NAME] = [[OUTER]]
        self.describes()
        return self.sign_in().headers.get("Location") == "/fairlead/home"

    def nobody_came(self) -> bool:
        try:
            self.inside.accept()
        except BlockingIOError:
            return True
        return False


@contextmanager
def inside(port: int) -> Iterator[socket.socket]:
    """A listener that no setting allows; it answers no SYN cookie of doubt: who connects is in its queue."""
    with socket.create_server((INNER, port), backlog=64) as door:
        door.setblocking(False)
        yield door


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place: Path = tmp_path_factory.mktemp("inward")
    with issuing(place, NAME) as issuer, name_server(place) as names:
        names.says = {NAME: [[OUTER]], INNER_NAME: [[INNER]]}
        settings = f'[dialling]\nallow = ["{OUTER}/32"]\nca = "{place / "issuer-ca.pem"}"\n'
        with (
            inside(int(issuer.url.rpartition(":")[2])) as door,
            running_stack(place, settings=settings, inside={"appliance": names.inside()}) as stack,
        ):
            made = World(stack, issuer, names, door)
            body = {
                "slug": "lure",
                "title": "Lure",
                "issuer": issuer.url,
                "client_id": CLIENT,
                "claims": {"name": ["sub"], "name_prefix": "lure:"},
            }
            made.provider = made.call("POST", "providers", body)["id"]
            yield made


@pytest.mark.parametrize("vector", VECTORS)
def test_a_description_that_points_inside(world: World, vector: str) -> None:
    assert world.works()
    for end in ("token_endpoint", "jwks_uri"):
        world.describes(**{end: world.where(vector)})
        assert world.sign_in().code == "PROVIDER_UNAVAILABLE", (end, vector)
    assert world.nobody_came()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_inside(world: World, status: int) -> None:
    for path in (DESCRIPTION, "/token", "/keys"):
        assert world.works()
        world.describes()
        there = (status, {"Location": f"https://{INNER}:{world.port}{path}"}, b"")
        if path == "/token":
            world.issuer.said[path] = there
            surfer = Surfer((world.stack.home.appliance / "ca.pem").read_text())
            state = surfer.go(f"{world.url}/fairlead/sign-in/lure").query["state"]
            seen = surfer.go(f"{world.url}/fairlead/callback/lure?state={state}&code=x")
        else:
            kept = world.issuer.said.pop(path, None)
            world.issuer.said[path] = there
            seen = world.sign_in()
            del world.issuer.said[path]
            if kept is not None:
                world.issuer.said[path] = kept
        assert seen.code == "PROVIDER_UNAVAILABLE", path
    assert world.nobody_came()


def test_a_name_server_that_changes_its_answer(world: World) -> None:
    """Between two requests, and within one: a name is looked up once for each, and what was checked is dialled."""
    assert world.works()
    world.describes()
    world.names.asked.clear()
    requests = len(world.issuer.asked)
    world.names.says[NAME] = [[OUTER], [OUTER], [INNER]]  # description, token, and then the keys
    assert world.sign_in().code == "PROVIDER_UNAVAILABLE"
    assert (len(world.issuer.asked) - requests, world.names.asked[NAME]) == (2, 3)
    # The address that is good for whoever checks, and another for whoever connects.
    world.names.says[NAME] = [[OUTER], [INNER]]
    world.names.asked.clear()
    world.describes()
    assert world.sign_in().code == "PROVIDER_UNAVAILABLE"
    assert len(world.issuer.asked) - requests == 3, "the first look-up was the only one, and led to the issuer"
    for answer in ([OUTER, INNER], [INNER, OUTER], [INNER], ["169.254.169.254"], ["0.0.0.0"]):
        world.names.says[NAME] = [answer]
        world.describes()
        assert world.sign_in().code == "PROVIDER_UNAVAILABLE", answer
    assert world.nobody_came()
    said = "".join(world.stack.appliance.said)
    assert re.search(rf"{NAME} has the address {INNER}, and it is not public", said)
    assert world.works()


def test_an_issuer_of_a_trust_rule_leads_nowhere_either(world: World) -> None:
    """Its description redirects, and its keys are said to be inside."""
    world.names.says[NAME] = [[OUTER]]
    machine = world.call("POST", "machines", {"name": "lured"})["name"]
    conditions = [{"claim": "sub", "values": ["lured"]}]
    world.call("POST", "trust-rules", {"machine": machine, "issuer": world.issuer.url, "conditions": conditions})
    token = world.issuer.sign(sub="lured", aud=world.url)
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": token,
    }
    world.issuer.said[DESCRIPTION] = (302, {"Location": f"https://{INNER}:{world.port}{DESCRIPTION}"}, b"")
    surfer = Surfer((world.stack.home.appliance / "ca.pem").read_text())
    seen = surfer.go(f"{world.url}/fairlead/v1/token", form)
    assert (seen.status, json.loads(seen.body)["code"]) == (503, "ISSUER_UNAVAILABLE")
    assert world.nobody_came()
