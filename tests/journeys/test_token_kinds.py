"""Every kind of secret that Fairlead knows, alive, at every way in that is for another kind: never let in, never hurt.

The ways in are read from the application itself, and the grants from what it says of itself, so that a new one is
walked without being listed here. A secret is shown in every place at once where one could stand: header, cookies, query
and form. What answers anybody (a page to choose a provider at) may answer this, too, but not as somebody.
"""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlencode

import pytest
import trio

from agent.enrolment import EnrolmentRefusedError, enrol, read_bundle
from agent.identity import DataDirectory
from appliance.api.app import make_app
from appliance.api.table import ROUTES
from appliance.login.site import EXCHANGE, mount
from ops.demo import ports
from ops.demo.files import write_private
from tests.journeys.gatehouse import CLI, DEVICE_GRANT, LOOPBACK, OAUTH, Gatehouse, code_grant
from tests.support.identity import CLIENT_ID
from tests.support.surfer import Seen

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

API, PROXY = "/fairlead/v1/", "/api/proxy/toy/api/v1/pods"
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
VERIFIER = "v" * 64
FILLED = {"provider": "corp"}  # what stands in a path for a parameter of this name; for all others, the cluster


class Nothing:
    """Stands for what an application is given, where only its routes are looked at and none is called."""

    def __getattr__(self, name: str) -> Self:
        return self

    def __call__(self, *_: object, **__: object) -> Self:
        return self

    def __iter__(self) -> Iterator[Any]:
        return iter(())


@dataclass(frozen=True)
class Way:
    """One way in. `grant`: of the token endpoint."""

    method: str
    path: str
    grant: str = ""


@dataclass(frozen=True)
class Kind:
    """One secret. `own`: whether it belongs there; `lives`: whether it is still good, which may spend it."""

    text: str
    own: Callable[[Way], bool]
    lives: Callable[[], bool]


def ways(house: Gatehouse) -> list[Way]:
    app = make_app(cast("Any", Nothing()), ROUTES)
    mount(app, cast("Any", Nothing()))
    found = []
    for rule in app.url_map.iter_rules():
        parts = rule.rule.split("/")
        path = "/".join(FILLED.get(it[1:-1], "toy") if it.startswith("<") else it for it in parts)
        found += [Way(method, path) for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})]
    said = json.loads(house.surfer().go(f"{house.url}/.well-known/oauth-authorization-server").body)
    token = Way("POST", f"{OAUTH}/token")
    assert token in found
    found += [replace(token, grant=grant) for grant in said["grant_types_supported"]]
    return [it for it in found if it != token] + [Way("GET", PROXY)]


def show(house: Gatehouse, way: Way, text: str, *, bearer: bool = True) -> Seen:
    """Everything that could be read as a secret is this one; without one, nothing is shown."""
    headers = {}
    if text and bearer:
        headers["Authorization"] = f"Bearer {text}"
    if text:
        headers["Cookie"] = f"__Host-fairlead-session={text}; __Host-fairlead-browser={text}"
    names = ("code", "state", "refresh_token", "device_code", "setup_code", "token", "proof", "subject_token")
    words = dict.fromkeys(names, text)
    body = None
    if way.method != "GET" and not (way.path.startswith(API) and not _takes_form(way)):
        body = {"client_id": CLI, "grant_type": way.grant, "code_verifier": VERIFIER, "redirect_uri": LOOPBACK, **words}
        if way.path == EXCHANGE:
            body = {"grant_type": EXCHANGE_GRANT, "subject_token_type": JWT, "subject_token": text}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif way.method != "GET":
        headers["Content-Type"] = "application/json"
    sent = urlencode(body) if body is not None else json.dumps({"token": text}) if way.method != "GET" else None
    path = f"{way.path}?{urlencode(words)}" if way.method == "GET" and not way.path.startswith(API) else way.path
    surfer = house.surfer()  # from an address of its own: none is refused for those before it
    context = ssl.create_default_context(cadata=surfer.authorities)
    port, source = house.stack.bound.users, (surfer.address, 0)
    door = http.client.HTTPSConnection(ports.LOOPBACK, port, timeout=30, context=context, source_address=source)
    try:
        door.request(way.method, path, sent, headers)
        answer = door.getresponse()
        return Seen(house.url + path, answer.status, answer.headers, answer.read().decode())
    finally:
        door.close()


def _takes_form(way: Way) -> bool:
    return way.path == EXCHANGE or way.path.startswith(OAUTH)


def to_api(way: Way) -> bool:
    return way.path.startswith(API) and not _takes_form(way)


def revokes(way: Way) -> bool:
    """What may be handed in by whoever holds it."""
    return way.path in {f"{OAUTH}/revoke", f"{API}credentials/revoke"}


@pytest.fixture(scope="module")
def open_to_all(house: Gatehouse) -> dict[Way, Seen]:
    """What is answered to nobody."""
    return {way: show(house, way, "") for way in ways(house)}


class Someone:
    """A person with rights, a machine with rights, and how each kind of their secrets is got."""

    def __init__(self, house: Gatehouse, directory: Path) -> None:
        self.house = house
        self.directory = directory
        house.bind_group("kinds")
        self.subject = house.person("kinds")
        self.surfer = house.surfer()
        house.sign_in(self.surfer, self.subject)
        self.machine = house.call("POST", "machines", {"name": f"kinds-{self.subject}"})
        role = house.call("POST", "roles", {"name": f"kinds-{self.subject}", "permissions": ["clusters:read"]})
        for kind, named in (("machine", self.machine["id"]), ("person", self.person()["id"])):
            scope, subject = {"kind": "everywhere"}, {"kind": kind, "id": named}
            house.call("POST", "bindings", {"subject": subject, "role_id": role["id"], "scope": scope})
        conditions = [{"claim": "sub", "values": [self.subject]}]
        rule = {"machine": self.machine["name"], "issuer": house.provider.issuer, "conditions": conditions}
        house.call("POST", "trust-rules", rule)

    def person(self) -> Any:
        return next(it for it in self.house.call("GET", "people")["items"] if it["subject"] == self.subject)

    def reads(self, token: str) -> bool:
        return self.house.raw("GET", f"{API}clusters", token)[0] == 200

    def bearer(self, text: str) -> Kind:
        return Kind(text, to_api, lambda: self.reads(text))

    def access(self) -> Kind:
        found = self.bearer(self.house.command(self.subject)["access_token"])
        return replace(found, own=lambda way: to_api(way) or revokes(way))

    def refresh(self) -> Kind:
        tokens = self.house.command(self.subject)
        lives = lambda: self.house.refresh(tokens)[0] == 200
        return Kind(tokens["refresh_token"], lambda way: way.grant == "refresh_token" or revokes(way), lives)

    def cookie(self) -> Kind:
        text = next(iter(self.surfer.jars[self.house.url.removeprefix("https://")].values()))
        home = f"{self.house.url}/fairlead/home"
        return Kind(
            text,
            lambda way: way.method == "GET" and way.path.startswith("/fairlead/") and not way.path.startswith(API),
            lambda: self.surfer.go(home).status == 200,
        )

    def browser(self) -> Kind:
        """What ties a sign-in that has begun to its browser."""
        surfer = self.house.surfer()
        back = self.house.to_callback(surfer, self.subject).location
        jar = surfer.jars[self.house.url.removeprefix("https://")]
        lives = lambda: surfer.go(back).location.endswith("/fairlead/home")
        return Kind(jar["__Host-fairlead-browser"], lambda _: False, lives)

    def kubeconfig(self) -> Kind:
        access = self.house.command(self.subject)["access_token"]
        issued = self.house.raw("POST", f"{API}me/credentials", access, {"cluster": "toy"})[1]
        lives = lambda: self.house.door(issued).ask("GET", "/api/v1/pods").status == 200
        return Kind(issued["token"], lambda way: way.path == PROXY or revokes(way), lives)

    def machine_token(self) -> Kind:
        return self.bearer(self.house.call("POST", f"machines/{self.machine['id']}/tokens", {})["token"])

    def machine_session(self) -> Kind:
        return self.bearer(self.exchange(self.foreign_token())[1]["access_token"])

    def foreign_token(self, **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": self.house.provider.issuer, "aud": self.house.url, "sub": self.subject, "iat": now}
        return self.house.provider.signs(said | {"exp": now + 300, "jti": secrets.token_hex(8)} | claims)

    def exchange(self, token: str) -> tuple[int, Any]:
        seen = show(self.house, Way("POST", EXCHANGE), token, bearer=False)
        return seen.status, json.loads(seen.body)

    def foreign(self) -> Kind:
        text = self.foreign_token()
        return Kind(text, lambda way: way.path == EXCHANGE, lambda: self.exchange(text)[0] == 200)

    def id_token(self) -> Kind:
        """As the provider gives it to us for this very person."""
        return Kind(self.foreign_token(aud=CLIENT_ID), lambda _: False, lambda: True)

    def setup_code(self) -> Kind:
        text = self.house.setup_code()

        def lives() -> bool:
            return self.house.set_up(self.house.surfer(), text).location.endswith("/fairlead/home")

        return Kind(text, lambda way: way.path == "/fairlead/setup" or "setup" in way.grant, lives)

    def device_code(self) -> Kind:
        begun = self.house.oauth("device", {"client_id": CLI})[1]

        def lives() -> bool:
            self.confirm(begun["user_code"])
            return self.house.token({"grant_type": DEVICE_GRANT, "device_code": begun["device_code"]})[0] == 200

        return Kind(begun["device_code"], lambda way: way.grant == DEVICE_GRANT, lives)

    def user_code(self) -> Kind:
        code = self.house.oauth("device", {"client_id": CLI})[1]["user_code"]
        return Kind(code, lambda way: way.path == "/fairlead/device", lambda: self.confirm(code))

    def confirm(self, user_code: str) -> bool:
        action, fields = self.surfer.go(f"{self.house.url}/fairlead/device?{urlencode({'code': user_code})}").form()
        return "Confirmed" in self.surfer.go(action, fields | {"answer": "yes"}).body

    def authorization_code(self) -> Kind:
        code = self.house.authorize(self.surfer, VERIFIER).query["code"]
        lives = lambda: self.house.token(code_grant(code, VERIFIER))[0] == 200
        return Kind(code, lambda way: way.grant == "authorization_code", lives)

    def bundle(self) -> Kind:
        """What an agent enrols with; it belongs to none of the users' ways in."""
        name = f"spare-{secrets.token_hex(4)}"
        cluster = self.house.call("POST", "clusters", {"name": name})
        made = self.house.call("POST", f"clusters/{cluster['id']}/bundles", {})["bundle"]
        return Kind(made["token"], lambda _: False, lambda: self.enrols(made))

    def enrols(self, bundle: dict[str, Any], token: str | None = None) -> bool:
        file = self.directory / secrets.token_hex(4)
        write_private(file, json.dumps(bundle).encode())
        read = read_bundle(file)
        shown = read if token is None else replace(read, token=token)
        directory = DataDirectory(self.directory / secrets.token_hex(4))
        directory.prepare()
        try:
            trio.run(enrol, shown, directory)
        except EnrolmentRefusedError:
            return False
        return True


KINDS: tuple[Callable[[Someone], Kind], ...] = (
    Someone.access,
    Someone.refresh,
    Someone.cookie,
    Someone.browser,
    Someone.kubeconfig,
    Someone.machine_token,
    Someone.machine_session,
    Someone.foreign,
    Someone.id_token,
    Someone.setup_code,
    Someone.device_code,
    Someone.user_code,
    Someone.authorization_code,
    Someone.bundle,
)


@pytest.fixture(scope="module")
def someone(house: Gatehouse, tmp_path_factory: pytest.TempPathFactory) -> Someone:
    return Someone(house, tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize("make", KINDS, ids=lambda it: it.__name__)
def test_a_secret_at_every_way_in_that_is_for_another_kind(
    house: Gatehouse, someone: Someone, open_to_all: dict[Way, Seen], make: Callable[[Someone], Kind]
) -> None:
    kind = make(someone)
    for way, nobody in open_to_all.items():
        if not kind.own(way):
            _let_nobody_in(someone, way, show(house, way, kind.text), nobody)
            if not to_api(way):  # what reads forms and cookies: a wrong header could end it before it has
                _let_nobody_in(someone, way, show(house, way, kind.text, bearer=False), nobody)
    assert kind.lives(), "what was refused everywhere else did not hurt its rightful holder"


def _let_nobody_in(someone: Someone, way: Way, seen: Seen, nobody: Seen) -> None:
    assert "fairlead-session=" not in str(seen.headers.get_all("Set-Cookie", [])), way
    assert f"{someone.subject}@" not in seen.body, way
    if seen.status // 100 == 2:
        assert nobody.status == seen.status, (way, seen.status, seen.body[:300])
    else:
        assert seen.status // 100 in {3, 4}, (way, seen.status, seen.body[:300])
    if seen.status // 100 == 3:
        assert nobody.location.partition("?")[0] == seen.location.partition("?")[0], (way, seen.location)


def test_codes_that_are_typed_by_someone_who_is_signed_in(house: Gatehouse, someone: Someone) -> None:
    """The ways in that take a session as well: theirs is good, and what they type is of another kind."""
    for make in KINDS:
        kind, typist = make(someone), house.surfer()
        house.sign_in(typist, house.person())
        fields = typist.go(f"{house.url}/fairlead/setup").form()[1] | {"code": kind.text, "answer": "yes"}
        for page, code in (("device", "USER_CODE_UNKNOWN"), ("setup", "SETUP_CODE_REFUSED")):
            if not kind.own(Way("POST", f"/fairlead/{page}")):
                assert typist.go(f"{house.url}/fairlead/{page}", fields).code == code, (make.__name__, page)


def test_an_agent_enrols_with_nothing_but_a_bundle(house: Gatehouse, someone: Someone) -> None:
    bundle = house.call("POST", "clusters/toy/bundles", {})["bundle"]
    for make in KINDS[:-1]:
        assert not someone.enrols(bundle, make(someone).text), make.__name__
    assert someone.enrols(bundle)


def test_the_walk_walks(open_to_all: dict[Way, Seen]) -> None:
    """What it is worth hangs on what it finds: each edge is there, and hardly anything answers to nobody."""
    assert len(open_to_all) > len(ROUTES) + 15
    manual = f"{API}docs"  # the reference of the API, the same for everybody
    answering = {it.path for it, seen in open_to_all.items() if seen.status < 300}
    assert {it for it in answering if not it.startswith(manual) and it != f"{API}openapi.json"} == {
        "/.well-known/fairlead-configuration",
        "/.well-known/oauth-authorization-server",
        "/fairlead/setup",
        "/fairlead/sign-in",
        "/fairlead/signed-out",
        "/fairlead/style.css",
        "/fairlead/v1/oauth/device",
        "/fairlead/v1/oauth/revoke",
    }
