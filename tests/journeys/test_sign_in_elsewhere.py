"""Two appliances behind one name, on one PostgreSQL: whatever is begun at one of them is finished at the other.

As behind a load balancer that sends each request where it likes: both have the public URL of the first.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from ops.demo import ports
from ops.demo.files import write_private
from ops.demo.settings import Home
from tests.journeys.gatehouse import CLI, DEVICE_GRANT, OAUTH, Gatehouse, asked, code_grant, dialling, set_up
from tests.journeys.processes import eventually
from tests.journeys.stack import START_SECONDS, Part, running_stack
from tests.support.identity import identity_provider
from tests.support.postgres import PostgresServer
from tests.support.surfer import Seen, Surfer

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]


@dataclass
class Twins:
    """The first, with everything around it; and where the second listens."""

    house: Gatehouse
    second: str  # host and port

    def ask(self, surfer: Surfer, where: int, path: str, form: dict[str, str] | None = None) -> Seen:
        """Ask the first (0) or the second (1), with the cookies that a browser has for the host they share."""
        first = urlsplit(self.house.url).netloc
        surfer.jars[self.second] = surfer.jars.setdefault(first, {})
        origin = {"Origin": self.house.url} if form is not None else {}
        return surfer.go(f"https://{(first, self.second)[where]}{path}", form, **origin)

    def token(self, where: int, form: dict[str, str]) -> tuple[int, dict[str, str]]:
        seen = self.ask(self.house.surfer(), where, f"{OAUTH}/token", {"client_id": CLI, **form})
        return seen.status, json.loads(seen.body)

    def me(self, where: int, access: str) -> str:
        """Whom an access token is of, or why it is of nobody."""
        surfer = self.house.surfer()
        netloc = (urlsplit(self.house.url).netloc, self.second)[where]
        said = json.loads(surfer.go(f"https://{netloc}/fairlead/v1/me", Authorization=f"Bearer {access}").body)
        return str(said.get("code", said.get("name")))


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Iterator[Twins]:
    directory: Path = tmp_path_factory.mktemp("twins")
    url, key = directory / "url", directory / "key"
    with identity_provider(directory) as provider:
        write_private(url, postgres_server.url(postgres_server.fresh()).encode())
        write_private(key, base64.b64encode(os.urandom(32)))
        more = f'[store]\nurl_file = "{url}"\nmaster_key = "{key}"\n{dialling(directory, provider)}'
        with running_stack(directory, settings=more) as stack:
            made = set_up(stack.api(), provider.issuer)
            house = Gatehouse(stack, provider, made["id"])
            provider.serves(made["redirect_uri"], f"{house.url}/fairlead/signed-out")
            home = Home(directory / "second")
            home.make()
            doors = "".join(f'[{it}]\nlisten = "{ports.LOOPBACK}:0"\n' for it in ("users", "agents", "health"))
            settings = home.root / "fairlead.toml"
            text = f'public_url = "{house.url}"\ndata_dir = "{home.appliance}"\n{doors}{more}'
            write_private(settings, text.encode())
            second = Part("serve", "--config", str(settings))
            try:
                bound = eventually(lambda: ports.read(home.bound_ports), START_SECONDS, "the second appliance's start")
                assert bound is not None
                yield Twins(house, f"{ports.LOOPBACK}:{bound.users}")
            finally:
                second.kill()


@pytest.mark.parametrize("begins", [0, 1])
def test_every_flow_begun_at_one_is_finished_at_the_other(twins: Twins, begins: int) -> None:
    ends, house = 1 - begins, twins.house
    surfer, subject, verifier = house.surfer(), house.person("sailors"), secrets.token_urlsafe(48)
    name = f"{subject}@example.com"

    # A browser: away from one, back to the other.
    away = twins.ask(surfer, begins, "/fairlead/sign-in/corp")
    back = surfer.pass_provider(surfer.follow(away.location, until=house.callback), subject, house.callback).location
    callback = back.removeprefix(house.url)
    thief = house.surfer()
    thief.jars = {netloc: dict(jar) for netloc, jar in surfer.jars.items()}
    assert twins.ask(surfer, ends, callback).headers["Location"] == "/fairlead/home"
    assert twins.ask(thief, begins, callback).code == "SIGN_IN_EXPIRED", "a state is good once, for both"
    assert name in twins.ask(surfer, begins, "/fairlead/home").body

    # The command beside it: page, code and tokens each come from another.
    page = twins.ask(surfer, begins, f"/fairlead/authorize?{urlencode(asked(verifier))}")
    fields = page.form()[1]
    code = twins.ask(surfer, ends, "/fairlead/authorize", fields | {"answer": "yes"}).query["code"]
    status, first = twins.token(begins, code_grant(code, verifier))
    assert (status, twins.me(ends, first["access_token"])) == (200, name)

    # Its answer was lost, and it asks the other again; whoever shows the old one after that is somebody else.
    refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    lost, again = twins.token(ends, refresh)[1], twins.token(begins, refresh)[1]
    assert lost["refresh_token"] == again["refresh_token"]
    assert twins.me(ends, again["access_token"]) == name
    assert twins.token(ends, refresh)[1]["code"] == "GRANT_REPLAYED"
    assert {twins.me(where, again["access_token"]) for where in (0, 1)} == {"SESSION_ENDED"}

    # A device: begun here, confirmed there, fetched here.
    begun = json.loads(twins.ask(house.surfer(), begins, f"{OAUTH}/device", {"client_id": CLI}).body)
    fields = twins.ask(surfer, ends, f"/fairlead/device?code={begun['user_code']}").form()[1]
    assert "Confirmed" in twins.ask(surfer, ends, "/fairlead/device", fields | {"answer": "yes"}).body
    grant = {"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]}
    status, tokens = twins.token(begins, grant)
    assert (status, twins.token(ends, grant)[1]["code"]) == (200, "INVALID_GRANT")
    assert twins.me(ends, tokens["access_token"]) == name

    # Out at one is out at both, at once.
    fields = twins.ask(surfer, begins, "/fairlead/home").form()[1]
    twins.ask(surfer, begins, "/fairlead/sign-out", fields | {"where": "everywhere"})
    assert {twins.me(where, tokens["access_token"]) for where in (0, 1)} == {"SESSION_ENDED"}
    assert twins.ask(surfer, ends, "/fairlead/home").location.endswith("/fairlead/sign-in")


def test_a_token_of_a_new_machine_is_known_at_the_other_at_once(twins: Twins) -> None:
    for turn in range(3):
        made = twins.house.call("POST", "machines", {"name": f"new-{turn}"})
        assert twins.me(1, made["token"]) == "FORBIDDEN", "known, and no person"
    assert twins.me(1, f"{made['token'][:-1]}_") == "INVALID_TOKEN"


def test_a_setup_code_is_good_at_one_of_them(twins: Twins) -> None:
    code = twins.house.setup_code()
    came = []
    for where in (1, 0):
        surfer = twins.house.surfer()
        fields = twins.ask(surfer, where, "/fairlead/setup").form()[1]
        seen = twins.ask(surfer, where, "/fairlead/setup", fields | {"code": code})
        came.append(seen.code or seen.headers["Location"])
    assert came == ["/fairlead/home", "SETUP_CODE_REFUSED"]
