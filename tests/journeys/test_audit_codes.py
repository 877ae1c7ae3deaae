"""Every code of the audit trail, made to happen through the running programs and seen in the trail.

A code without an entry here fails, and so does one that nothing in the program can leave behind.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio

from agent.enrolment import EnrolmentRefusedError, enrol, read_bundle, renew
from agent.identity import DataDirectory
from appliance.audit.book import Book
from appliance.core.buckets import FAILURES_BURST
from appliance.core.events import AuditEvent, EventType
from appliance.keys import open_keys
from appliance.layout import Layout
from appliance.store.clock import utc_micros
from appliance.store.store import Store
from ops.demo import ports
from ops.demo.admin import ApiError, Appliance
from ops.demo.settings import Home
from tests.journeys.gatehouse import Gatehouse, running_gatehouse
from tests.journeys.processes import eventually
from tests.journeys.stack import REPOSITORY, Stack
from tests.rules.sources import sources
from tests.support.receiver import receiver
from tests.support.surfer import Seen

DAY_MICROS = 86_400_000_000
SEEN_SECONDS = 30.0


@dataclass
class Scene:
    """The running programs, and the admin API as an administrator uses it."""

    house: Gatehouse
    directory: Path
    unique: Callable[[], str]

    @property
    def stack(self) -> Stack:
        return self.house.stack

    @property
    def api(self) -> Appliance:
        authority = (self.stack.home.appliance / "ca.pem").read_text()
        return Appliance(f"https://{ports.LOOPBACK}:{self.stack.bound.users}", authority, self.stack.token)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return trio.run(self.api.call, method, path, None if body is None else dict(body))

    def recorded(self, kind: EventType) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"audit?type={kind}&limit=500")["items"]
        return found

    def person(self) -> dict[str, Any]:
        name = f"{self.unique()}@example.com"
        body = {"issuer": "https://login.example.com", "subject": name, "name": name}
        made: dict[str, Any] = self.call("POST", "people", body)
        return made

    def role(self) -> dict[str, Any]:
        made: dict[str, Any] = self.call("POST", "roles", {"name": self.unique(), "groups": ["viewers"]})
        return made

    def binding(self) -> dict[str, Any]:
        subject = {"kind": "person", "id": self.person()["id"]}
        body = {"subject": subject, "role_id": self.role()["id"], "scope": {"kind": "everywhere"}}
        made: dict[str, Any] = self.call("POST", "bindings", body)
        return made

    def cluster(self) -> dict[str, Any]:
        made: dict[str, Any] = self.call("POST", "clusters", {"name": self.unique()})
        return made

    def credential(self, person: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self.call("POST", "credentials", {"cluster": "toy", "person": person["id"]})
        return made

    def policy(self, approvals: int = 1) -> dict[str, Any]:
        body = {
            "role_id": self.role()["id"],
            "scope": {"kind": "everywhere"},
            "askers": [{"kind": "person", "id": self.person()["id"]}],
            "approvals": approvals,
        }
        made: dict[str, Any] = self.call("POST", "request-policies", body)
        return made

    def request(self, approvals: int = 1) -> dict[str, Any]:
        """Asked on somebody's behalf, for as short as may be."""
        policy = self.policy(approvals)
        body = {"policy_id": policy["id"], "ttl_seconds": 10}
        made: dict[str, Any] = self.call("POST", f"people/{policy['askers'][0]['id']}/access-requests", body)
        return made

    def answer(self, request: Mapping[str, Any], how: str, **body: Any) -> None:
        """By another machine: nobody approves what they asked for."""
        machine = self.call("POST", "machines", {"name": self.unique()})
        role = self.call("POST", "roles", {"name": self.unique(), "permissions": ["access:approve"], "rules": NO_RULES})
        subject = {"kind": "machine", "id": machine["id"]}
        self.call("POST", "bindings", {"subject": subject, "role_id": role["id"], "scope": {"kind": "everywhere"}})
        other = Appliance(self.api.url, self.api.ca_pem, machine["token"])
        trio.run(other.call, "POST", f"access-requests/{request['id']}/{how}", body)

    def restart(self) -> None:
        assert self.stack.appliance.stop() == 0
        self.stack.start_appliance()
        self.stack.until_it_works()


@pytest.fixture(scope="module")
def ledgered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    """One whose ledger has records that are older than they must be kept."""
    directory = tmp_path_factory.mktemp("stack")
    home = Home(directory / "home")
    home.make()
    trio.run(write_old_records, Layout(home.appliance))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIRLEAD_AUDIT_RETENTION_DAYS", "1")
        with running_gatehouse(directory) as started:
            yield started


async def write_old_records(layout: Layout) -> None:
    """What an appliance of three days ago left."""
    store = await Store.open(layout.store, master_key=layout.master_key)
    key = (await open_keys(store, utc_micros)).audit
    await store.aclose()
    then = utc_micros() - 3 * DAY_MICROS
    book = await trio.to_thread.run_sync(Book, layout.audit, key, then)
    book.append([AuditEvent(then, EventType.APPLIANCE_STARTED)])
    book.close()


@pytest.fixture
def scene(ledgered: Gatehouse, tmp_path: Path) -> Scene:
    ledgered.stack.mend()
    numbers = iter(range(1_000_000))
    return Scene(
        ledgered, tmp_path, lambda: f"{tmp_path.name.replace('_', '-').lower()[-40:].strip('-')}-{next(numbers)}"
    )


# What makes each code happen


def approve_and_revoke(scene: Scene) -> None:
    request = scene.request()
    scene.answer(request, "approve")
    scene.answer(request, "revoke")


def bind_someone_not_yet_seen(scene: Scene) -> None:
    email = f"{scene.unique()}@example.com"
    issuer = "https://login.example.com"
    subject = {"kind": "email", "id": email, "issuer": issuer}
    scope = {"kind": "everywhere"}
    scene.call("POST", "bindings", {"subject": subject, "role_id": scene.role()["id"], "scope": scope})
    person = {"issuer": issuer, "subject": email, "name": email, "email": email, "email_verified": True}
    scene.call("POST", "people", person)


def issue_for_disabled(scene: Scene) -> None:
    person = scene.person()
    scene.call("POST", f"people/{person['id']}/disable", {})
    with pytest.raises(ApiError, match="disabled"):
        scene.credential(person)


def disable_and_enable(scene: Scene) -> None:
    person = scene.person()
    scene.call("POST", f"people/{person['id']}/disable", {})
    scene.call("POST", f"people/{person['id']}/enable", {})


def revoke_what_is_not_there(scene: Scene) -> None:
    with pytest.raises(ApiError):
        scene.call("DELETE", "credentials/no-such-credential")


def rotate_the_key(scene: Scene) -> None:
    """While the appliance is stopped."""
    assert scene.stack.appliance.stop() == 0
    scene.stack.command("keys", "rotate", check=True)
    scene.stack.start_appliance()
    scene.stack.until_it_works()


def make_machine(scene: Scene) -> None:
    scene.stack.machine_token(scene.unique())


def guess_a_token(scene: Scene) -> None:
    stranger = Appliance(scene.api.url, scene.api.ca_pem, "flm_" + "x" * 43)
    with pytest.raises(ApiError):
        trio.run(stranger.call, "GET", "people")


def lose_the_agent(scene: Scene) -> None:
    scene.stack.agent.kill()


def enrol_with_a_wrong_token(scene: Scene) -> None:
    bundle = scene.directory / "bundle.json"
    bundle.write_text(json.dumps(scene.cluster()["bundle"] | {"token": "flb_" + "x" * 43}))
    bundle.chmod(0o600)
    directory = DataDirectory(scene.directory / "agent")
    directory.prepare()
    with pytest.raises(EnrolmentRefusedError):
        trio.run(enrol, read_bundle(bundle), directory)


def renew_the_certificate(scene: Scene) -> None:
    """As the agent does when two thirds of its certificate's life are over."""
    directory = DataDirectory(scene.stack.home.agent)
    identity = directory.identity()
    assert identity is not None
    trio.run(renew, identity, directory)


def read(scene: Scene) -> None:
    assert scene.stack.door.ask("GET", "/api/v1/namespaces/demo/pods").status == 200


def write(scene: Scene) -> None:
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": scene.unique()}}).encode()
    headers = {"Content-Type": "application/json"}
    assert scene.stack.door.ask("POST", "/api/v1/namespaces/demo/configmaps", body, headers).status == 201


def name_oneself_somebody_else(scene: Scene) -> None:
    refused = scene.stack.door.ask("GET", "/api/v1/pods", headers={"Impersonate-User": "root"})
    assert refused.code == "RESERVED_HEADER"


def discover(scene: Scene) -> None:
    """Counted, and written down every minute, or at the end."""
    assert scene.stack.door.ask("GET", "/api").status == 200
    scene.restart()


def restore_a_backup(scene: Scene) -> None:
    """With what was given out still good: the scene goes on with its token."""
    assert scene.stack.appliance.stop() == 0
    passphrase = scene.directory / "passphrase"
    passphrase.write_text("correct horse battery staple")
    passphrase.chmod(0o600)
    given = ["--passphrase-file", str(passphrase), "--config", str(scene.stack.home.root / "fairlead.toml")]
    backup = str(scene.directory / "backup")
    for command in (["backup", "--out", backup], ["restore", "--force", "--keep-credentials", "--from", backup]):
        fairlead = [sys.executable, "-m", "ops.cli.main", *command, *given]
        subprocess.run(fairlead, cwd=REPOSITORY, capture_output=True, check=True, timeout=60)
    scene.stack.start_appliance()
    scene.stack.until_it_works()


def make_a_setup_code(scene: Scene) -> None:
    """While the appliance is stopped: else the ledger is its own, and the use of the code is what is recorded."""
    assert scene.stack.appliance.stop() == 0
    scene.house.setup_code()
    scene.stack.start_appliance()
    scene.stack.until_it_works()


def provider(scene: Scene) -> str:
    name = scene.unique()
    body = {"slug": name, "issuer": f"https://{name}.example.com", "client_id": "fairlead"}
    return f"providers/{scene.call('POST', 'providers', body)['id']}"


def sign_out(scene: Scene) -> None:
    tokens = scene.house.command(scene.house.person())
    assert scene.house.oauth("revoke", {"token": tokens["refresh_token"]})[0] == 200


def guess_a_refresh_token(scene: Scene) -> None:
    assert scene.house.token({"grant_type": "refresh_token", "refresh_token": "flr_guessed"})[0] == 400


def trust_rule(scene: Scene) -> tuple[str, str]:
    """The path of a rule, and a token that fits it."""
    name, provider = scene.unique(), scene.house.provider
    scene.call("POST", "machines", {"name": name})
    public = jwt.algorithms.RSAAlgorithm.to_jwk(provider.signing.public_key(), as_dict=True)
    body = {
        "machine": name,
        "issuer": f"https://{name}.example.com",
        "conditions": [{"claim": "sub", "values": [name]}],
        "jwks": {"keys": [{**public, "kid": provider.kid}]},
    }
    rule = scene.call("POST", "trust-rules", body)
    now = int(time.time())
    claims = {"iss": body["issuer"], "sub": name, "aud": scene.house.url, "iat": now, "exp": now + 300, "jti": name}
    return f"trust-rules/{rule['id']}", provider.signs(claims)


def exchange(scene: Scene, token: str) -> Seen:
    grant = "urn:ietf:params:oauth:grant-type:token-exchange"
    kind = "urn:ietf:params:oauth:token-type:jwt"
    form = {"grant_type": grant, "subject_token_type": kind, "subject_token": token}
    return scene.house.surfer().go(f"{scene.house.url}/fairlead/v1/token", form)


def exchange_a_token(scene: Scene) -> None:
    assert exchange(scene, trust_rule(scene)[1]).status == 200


def fail_until_limited(scene: Scene) -> None:
    surfer = scene.house.surfer()
    for _ in range(FAILURES_BURST - 1):
        surfer.go(f"{scene.house.callback}?state=guessed")
    people = f"{scene.house.url}/fairlead/v1/people"  # all doors count together, and the last one tells
    assert surfer.go(people, Authorization=f"Bearer flm_{'x' * 43}").status == 401


def machine_token(scene: Scene) -> str:
    name = scene.unique()
    scene.call("POST", "machines", {"name": name})
    return f"machines/{name}/tokens/{scene.call('POST', f'machines/{name}/tokens', {})['id']}"


NO_RULES = [{"verbs": ["none"], "apiGroups": [""], "resources": ["none"]}]


def webhook(scene: Scene, url: str = "https://127.0.0.1:9/x") -> str:
    return f"webhooks/{scene.call('POST', 'webhooks', {'url': url})['id']}"


def tell_someone_who_wants_no_more(scene: Scene) -> None:
    """410: nobody is there any more."""
    gone = receiver(scene.house.provider.ca, scene.directory)
    gone.status = 410
    with gone.listening():
        path = webhook(scene, gone.url)
        scene.request()
        gone.until(1)
        eventually(lambda: scene.call("GET", f"{path}/messages")["items"][0]["done_at"], what="its end")
        scene.call("DELETE", path)


MAKERS: dict[str, Callable[[Scene], object]] = {  # by the name of the code
    "CREDENTIAL_ISSUED": lambda scene: scene.credential(scene.person()),
    "CREDENTIAL_REVOKED": lambda scene: scene.call("DELETE", f"credentials/{scene.credential(scene.person())['id']}"),
    "CREDENTIAL_REVOKE_DENIED": revoke_what_is_not_there,
    "CREDENTIAL_ISSUE_FAILED": issue_for_disabled,
    "CLUSTER_REGISTERED": lambda scene: scene.cluster(),
    "CLUSTER_CONNECTED": lambda scene: scene.restart(),
    "CLUSTER_DISCONNECTED": lose_the_agent,
    "CLUSTER_DELETED": lambda scene: scene.call("DELETE", f"clusters/{scene.cluster()['id']}"),
    "CLUSTER_UPDATED": lambda scene: scene.call("POST", f"clusters/{scene.cluster()['id']}/bundles", {}),
    "ROLE_CREATED": lambda scene: scene.role(),
    "ACCESS_REQUESTED": lambda scene: scene.request(),
    "ACCESS_APPROVED": lambda scene: scene.answer(scene.request(), "approve"),
    "ACCESS_SECONDED": lambda scene: scene.answer(scene.request(approvals=2), "approve"),
    "ACCESS_DENIED": lambda scene: scene.answer(scene.request(), "deny", reason="not today"),
    "ACCESS_REVOKED": approve_and_revoke,
    "ACCESS_EXPIRED": lambda scene: scene.answer(scene.request(), "approve"),  # ten seconds, and a look
    "POLICY_CREATED": lambda scene: scene.policy(),
    "POLICY_UPDATED": lambda scene: scene.call(
        "PATCH", f"request-policies/{scene.policy()['id']}", {"max_seconds": 60}
    ),
    "POLICY_DELETED": lambda scene: scene.call("DELETE", f"request-policies/{scene.policy()['id']}"),
    "ROLE_UPDATED": lambda scene: scene.call("PATCH", f"roles/{scene.role()['id']}", {"description": "other words"}),
    "PERSON_UPDATED": lambda scene: scene.call(
        "PATCH", f"people/{scene.person()['id']}", {"email": "other@example.com"}
    ),
    "MACHINE_TOKEN_CREATED": machine_token,
    "MACHINE_TOKEN_DELETED": lambda scene: scene.call("DELETE", machine_token(scene)),
    "TRUST_RULE_CREATED": trust_rule,
    "TRUST_RULE_DELETED": lambda scene: scene.call("DELETE", trust_rule(scene)[0]),
    "TOKEN_EXCHANGED": exchange_a_token,
    "EXCHANGE_REFUSED": lambda scene: exchange(scene, "guessed"),
    "SIGN_IN_LIMITED": fail_until_limited,
    "SIGNED_IN": lambda scene: scene.house.command(scene.house.person()),
    "SIGN_IN_FAILED": lambda scene: scene.house.surfer().go(f"{scene.house.callback}?state=guessed"),
    "SESSION_STARTED": lambda scene: scene.house.command(scene.house.person()),
    "SESSION_ENDED": sign_out,
    "SESSION_REFUSED": guess_a_refresh_token,
    "SETUP_CODE_MADE": make_a_setup_code,
    "SETUP_CODE_USED": lambda scene: scene.house.set_up(scene.house.surfer(), scene.house.setup_code()),
    "PROVIDER_CREATED": provider,
    "PROVIDER_UPDATED": lambda scene: scene.call("PATCH", provider(scene), {"title": "Another"}),
    "PROVIDER_DELETED": lambda scene: scene.call("DELETE", provider(scene)),
    "BINDING_CLAIMED": bind_someone_not_yet_seen,
    "MACHINE_DELETED": lambda scene: scene.call(
        "DELETE", f"machines/{scene.call('POST', 'machines', {'name': scene.unique()})['id']}"
    ),
    "AGENT_REVOKED": lambda scene: scene.call("POST", f"clusters/{scene.cluster()['id']}/revoke-agent", {}),
    "ROLE_DELETED": lambda scene: scene.call("DELETE", f"roles/{scene.role()['id']}"),
    "ROLE_ASSIGNED": lambda scene: scene.binding(),
    "ROLE_UNASSIGNED": lambda scene: scene.call("DELETE", f"bindings/{scene.binding()['id']}"),
    "PERSON_CREATED": lambda scene: scene.person(),
    "PERSON_DISABLED": disable_and_enable,
    "PERSON_ENABLED": disable_and_enable,
    "PERSON_DELETED": lambda scene: scene.call("DELETE", f"people/{scene.person()['id']}"),
    "MACHINE_CREATED": make_machine,
    "API_DENIED": guess_a_token,
    "API_CALLED": lambda scene: scene.role(),
    "AGENT_AUTH_FAILED": enrol_with_a_wrong_token,
    "AGENT_ENROLLED": lambda scene: None,  # the stack's own agent
    "AGENT_RENEWED": renew_the_certificate,
    "AGENT_SESSION_OPENED": lambda scene: scene.restart(),
    "AGENT_SESSION_ENDED": lose_the_agent,
    "PROXY_CLOSED": read,
    "PROXY_DENIED": name_oneself_somebody_else,
    "PROXY_OPENED": write,
    "PROXY_DISCOVERY": discover,
    "APPLIANCE_STARTED": lambda scene: scene.restart(),
    "APPLIANCE_STOPPED": lambda scene: scene.restart(),
    "KEY_ROTATED": rotate_the_key,
    "APPLIANCE_RESTORED": restore_a_backup,
    "WEBHOOK_CREATED": lambda scene: webhook(scene),
    "WEBHOOK_DELETED": lambda scene: scene.call("DELETE", webhook(scene)),
    "WEBHOOK_TESTED": lambda scene: scene.call("POST", f"{webhook(scene)}/test"),
    "NOTICE_GIVEN_UP": tell_someone_who_wants_no_more,
    "AUDIT_CUT": lambda scene: None,  # the stack's own ledger
    "AUDIT_READ": lambda scene: None,  # whoever looks leaves it
}


def left_behind() -> set[str]:
    """The codes that the program's sources name outside the list itself."""
    return {
        name
        for source in sources()
        if source.within("appliance") and source.path != "appliance/core/events.py"
        for name in re.findall(r"EventType\.([A-Z_]+)", source.text)
    }


@pytest.mark.parametrize("kind", [kind for kind in EventType if kind.name in left_behind()], ids=lambda kind: kind.name)
def test_a_code_is_made_to_happen(kind: EventType, scene: Scene) -> None:
    assert kind.name in MAKERS, f"{kind.name}: say in MAKERS how it is made to happen"
    before = len(scene.recorded(kind))
    idle = kind in {EventType.AGENT_ENROLLED, EventType.AUDIT_CUT, EventType.AUDIT_READ}
    MAKERS[kind.name](scene)

    eventually(lambda: len(scene.recorded(kind)) > (0 if idle else before), SEEN_SECONDS, f"a record {kind.name}")
    record = scene.recorded(kind)[0]
    assert record["type"] == kind
    assert record["event"]
    assert scene.call("GET", f"audit/{record['id']}") == record


def test_every_code_can_be_left_by_something_in_the_program() -> None:
    assert {kind.name for kind in EventType} == left_behind()
    assert set(MAKERS) == left_behind()
