"""How a machine gets in: with a token of ours, or with one of an issuer that a trust rule believes; then with kubectl.

The issuer is a real https server with real keys, reached by a name; its certificate is of an authority that the
settings name. A CI system's token and a Kubernetes service account's differ in their claims only.
"""

from __future__ import annotations

import functools
import http.client
import http.server
import json
import secrets
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ops.demo import kubeconfig
from ops.demo.admin import ApiError
from ops.demo.files import write_private
from tests.journeys.conftest import kubectls
from tests.journeys.crew import Crew
from tests.journeys.issuer import Issuer, issuing
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@dataclass
class World:
    stack: Stack
    crew: Crew
    issuer: Issuer

    @property
    def audience(self) -> str:
        return f"https://127.0.0.1:{self.stack.bound.users}"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, token: str | None = None) -> Any:
        return trio.run(functools.partial(self.stack.api(token).call, method, path, body))

    def refused(self, method: str, path: str, body: dict[str, Any] | None = None, token: str | None = None) -> str:
        with pytest.raises(ApiError) as raised:
            self.call(method, path, body, token)
        return raised.value.code

    def exchange(self, token: str, **more: str) -> tuple[int, dict[str, Any]]:
        """As a CI job would, with a form, and from an address of its own: failed tries are counted by address."""
        form = urlencode({"grant_type": GRANT, "subject_token_type": JWT, "subject_token": token, **more})
        context = ssl.create_default_context(cafile=self.stack.home.appliance / "ca.pem")
        source = (".".join(["127", *(str(1 + secrets.randbelow(250)) for _ in range(3))]), 0)
        door = http.client.HTTPSConnection(
            "127.0.0.1", self.stack.bound.users, timeout=30, context=context, source_address=source
        )
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            door.request("POST", "/fairlead/v1/token", form, headers)
            response = door.getresponse()
            return response.status, json.loads(response.read())
        finally:
            door.close()

    def machine(self, name: str, *, with_token: bool = False) -> dict[str, Any]:
        made: dict[str, Any] = self.call("POST", "machines", {"name": name, "with_token": with_token})
        return made

    def bind(self, machine: dict[str, Any], role: str, *namespaces: str) -> str:
        scope: dict[str, Any] = {"kind": "cluster", "cluster_id": self.crew.cluster_id}
        if namespaces:
            scope = {**scope, "kind": "namespaces", "namespaces": list(namespaces)}
        body = {"subject": {"kind": "machine", "id": machine["id"]}, "role_id": role, "scope": scope}
        return str(self.call("POST", "bindings", body)["id"])

    def trust(self, machine: dict[str, Any], *subjects: str, **more: Any) -> dict[str, Any]:
        conditions = [{"claim": "sub", "values": list(subjects)}, *more.pop("conditions", ())]
        body = {"machine": machine["name"], "issuer": self.issuer.url, "conditions": conditions, **more}
        made: dict[str, Any] = self.call("POST", "trust-rules", body)
        return made

    def kubeconfig(self, token: str, **more: Any) -> Path:
        issued = self.call("POST", "machines/self/credentials", {"cluster": "toy", **more}, token)
        file = self.stack.home.root / f"kubeconfig-{issued['id']}"
        write_private(
            file,
            kubeconfig.render(
                server=issued["server"], token=issued["token"], cluster="toy", person="machine", ca_pem=issued["ca"]
            ),
        )
        return file

    def kubectl(self, file: Path, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.stack.home.root), "KUBECONFIG": str(file)}
        command = [str(kubectls()[-1]), *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)

    def audit(self, code: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.call("GET", f"audit?type={code}")["items"]
        return items


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("machines")
    with issuing(place) as issuer:
        settings = f'[dialling]\nallow = ["127.0.0.1/32", "::1/128"]\nca = "{place / "issuer-ca.pem"}"\n'
        with running_stack(place, settings=settings) as stack:
            yield World(stack, Crew(stack), issuer)


PODS = {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods"]}


def test_a_ci_job_exchanges_its_token_and_uses_kubectl(world: World) -> None:
    deployer = world.machine("deployer")
    world.bind(deployer, world.crew.role("deploys", ["toy:admins"], PODS), "default")
    rule = world.trust(deployer, "repo:example/shop:*", conditions=[{"claim": "ref", "values": ["refs/heads/main"]}])
    said = {"sub": "repo:example/shop:ref:refs/heads/main", "ref": "refs/heads/main", "aud": world.audience}
    token = world.issuer.sign(**said)

    status, granted = world.exchange(token)
    assert (status, granted["token_type"], granted["expires_in"]) == (200, "Bearer", 900), granted
    assert granted["machine"]["name"] == "deployer"
    file = world.kubeconfig(granted["access_token"])
    assert world.kubectl(file, "get", "pods").returncode == 0
    denied = world.kubectl(file, "get", "secrets")
    assert "No role of yours in Fairlead allows this" in denied.stderr
    assert world.kubectl(file, "get", "pods", "-n", "kube-system").returncode != 0
    assert "machine:deployer" in world.kubectl(file, "auth", "whoami").stdout

    assert world.exchange(token)[1]["code"] == "TOKEN_REPLAYED"
    for other in (
        said | {"ref": "refs/heads/other"},
        said | {"sub": "repo:example/shop-evil:ref:refs/heads/main"},
        said | {"sub": "repo:example/shop:"},
        said | {"aud": "https://elsewhere.example.com"},
        said | {"aud": [world.audience, "https://elsewhere.example.com"]},
        said | {"iss": "https://localhost:1"},
        said | {"jti": None},
        said | {"exp": int(time.time()) - 600},
        said | {"exp": int(time.time()) + 90_000},
        said | {"iat": int(time.time()) + 600, "nbf": int(time.time()) + 600},
    ):
        status, refused = world.exchange(world.issuer.sign(**other))
        assert (status, refused["error"]) == (400, "invalid_grant"), (other, refused)
    (exchanged,) = world.audit("CUA044I")
    assert exchanged["details"]["subject"] == said["sub"]
    assert len(world.audit("CUA045W")) == 11

    # Its sessions and credentials end with the rule.
    assert world.call("DELETE", f"trust-rules/{rule['id']}") is None
    assert world.refused("GET", "clusters", token=granted["access_token"]) == "INVALID_TOKEN"
    assert "revoked" in world.kubectl(file, "get", "pods").stderr
    assert world.exchange(world.issuer.sign(**said))[0] == 400


def test_a_pod_exchanges_its_service_account_token_with_keys_that_were_given(world: World) -> None:
    """Its issuer cannot be reached from here, so the rule holds its keys; its token is good for as long as it lives."""
    inside = Issuer("https://kubernetes.default.svc.cluster.local", {"sa": rsa.generate_private_key(65537, 2048)})
    backup = world.machine("backup")
    world.bind(backup, world.crew.role("reads-pods", ["toy:admins"], PODS))
    body = {
        "machine": "backup",
        "issuer": inside.url,
        "conditions": [
            {"claim": "sub", "values": ["system:serviceaccount:ops:backup"]},
            {"claim": "/kubernetes.io/namespace", "values": ["ops"]},
        ],
        "jwks": inside.jwks(),
        "single_use": False,
    }
    world.call("POST", "trust-rules", body)
    pod = {"namespace": "ops", "pod": {"name": "backup-0"}, "serviceaccount": {"name": "backup", "uid": "1"}}
    said: dict[str, Any] = {
        "aud": [world.audience],
        "sub": "system:serviceaccount:ops:backup",
        "kubernetes.io": pod,
        "kid": "sa",
    }
    token = inside.sign(algorithm="RS256", **said)

    for _ in range(2):
        status, granted = world.exchange(token)
        assert status == 200, granted
    issued = world.call("POST", "machines/self/credentials", {"cluster": "toy"}, granted["access_token"])
    listed = world.call("GET", "machines/backup/tokens")["items"]
    assert {it["subject"] for it in listed} == {said["sub"]}
    assert issued["expires_at"] <= max(it["expires_at"] for it in listed)  # not later than its session
    file = world.kubeconfig(granted["access_token"], kind="plugin")
    assert world.kubectl(file, "get", "pods", "-A").returncode == 0
    elsewhere = said | {"kubernetes.io": pod | {"namespace": "other"}}
    assert world.exchange(inside.sign(algorithm="RS256", **elsewhere))[0] == 400
    stolen = Issuer(inside.url, {"sa": rsa.generate_private_key(65537, 2048)})
    assert world.exchange(stolen.sign(algorithm="RS256", **said))[0] == 400

    # Removing the machine ends what runs.
    with subprocess.Popen(
        [str(kubectls()[-1]), "get", "pods", "--watch"],
        env={"PATH": "/usr/bin:/bin", "HOME": str(world.stack.home.root), "KUBECONFIG": str(file)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as watch:
        with pytest.raises(subprocess.TimeoutExpired):  # it goes on as long as nothing happens
            watch.wait(2)
        world.call("DELETE", f"machines/{backup['id']}")
        watch.wait(30)


def test_keys_are_fetched_again_when_they_rotate_and_believed_while_their_issuer_is_down(world: World) -> None:
    builder = world.machine("builder")
    world.trust(builder, "builder", single_use=False)
    said = {"sub": "builder", "aud": world.audience}
    first = world.issuer.sign(**said)
    assert world.exchange(first)[0] == 200
    asked = len(world.issuer.asked)
    assert world.exchange(first)[0] == 200
    assert len(world.issuer.asked) == asked  # remembered
    world.issuer.said["/keys"] = (500, {}, b"")
    assert world.exchange(first)[0] == 200

    # It withdraws the key and signs with another, which is published once it is up again.
    withdrawn = world.issuer.keys
    world.issuer.keys = {"two": ec.generate_private_key(ec.SECP256R1())}
    second = world.issuer.sign(kid="two", **said)
    assert world.exchange(second)[1]["code"] == "EXCHANGE_REFUSED"
    del world.issuer.said["/keys"]
    eventually(lambda: world.exchange(second)[0] == 200, 30.0, "an exchange of what the new key signed")
    assert world.exchange(first)[1]["code"] == "EXCHANGE_REFUSED", "what the withdrawn key signed is believed no more"
    assert len(world.issuer.asked) - asked <= 2 * 3, "a key that is not known makes us ask once in fifteen seconds"
    world.issuer.keys |= withdrawn


def test_tokens_of_a_machine_are_shown_once_used_and_removed(world: World) -> None:
    robot = world.machine("robot", with_token=True)
    world.bind(robot, world.crew.role("robots", ["toy:admins"]))
    assert world.call("POST", "machines/self/credentials", {"cluster": "toy"}, robot["token"])["token"]
    more = world.call("POST", "machines/robot/tokens", {"label": "next", "ttl_seconds": 3600})
    assert more["token"].startswith("flm_")
    listed = {it["id"]: it for it in world.call("GET", "machines/robot/tokens")["items"]}
    assert "token" not in listed[more["id"]]
    assert more["token"] not in json.dumps(listed)
    assert listed[more["id"]]["used_at"] is None
    assert listed[robot["token_id"]]["used_at"] is not None
    file = world.kubeconfig(more["token"])
    assert world.kubectl(file, "get", "pods").returncode == 0
    world.call("DELETE", f"machines/robot/tokens/{more['id']}")
    assert world.refused("POST", "machines/self/credentials", {"cluster": "toy"}, more["token"]) == "INVALID_TOKEN"
    assert world.kubectl(file, "get", "pods").returncode != 0
    assert world.kubectl(world.kubeconfig(robot["token"]), "get", "pods").returncode == 0


def test_nobody_gives_out_a_way_to_be_more_than_they_are(world: World) -> None:
    strong = world.machine("strong")
    world.bind(strong, world.crew.role("strong", ["system-like:all"]))
    made = world.call("POST", "roles", {"name": "half", "permissions": ["machines:write", "trust:write"]})
    half = world.machine("half", with_token=True)
    body = {"subject": {"kind": "machine", "id": half["id"]}, "role_id": made["id"], "scope": {"kind": "everywhere"}}
    world.call("POST", "bindings", body)
    rule = {"machine": "strong", "issuer": world.issuer.url, "conditions": [{"claim": "sub", "values": ["x"]}]}
    assert world.refused("POST", "trust-rules", rule, half["token"]) == "ESCALATION_FORBIDDEN"
    assert world.refused("POST", "machines/strong/tokens", {}, half["token"]) == "ESCALATION_FORBIDDEN"
    world.machine("weak")
    assert world.call("POST", "trust-rules", rule | {"machine": "weak"}, half["token"])["id"]


def test_an_issuer_leads_nowhere_inside(world: World) -> None:
    """By redirect, by its document, and by a name: what is behind it is not asked."""
    lured = world.machine("lured")
    inside = len(world.issuer.asked)
    for number, issuer in enumerate(
        (
            f"https://127.0.0.1:{world.stack.bound.users}",
            f"https://localhost:{world.stack.bound.agents}",
            "https://localhost:1",
        )
    ):
        subject = f"lured-{number}"
        conditions = [{"claim": "sub", "values": [subject]}]
        world.call("POST", "trust-rules", {"machine": lured["name"], "issuer": issuer, "conditions": conditions})
        status, refused = world.exchange(world.issuer.sign(iss=issuer, sub=subject, aud=world.audience))
        assert (status, refused["code"]) == (503, "ISSUER_UNAVAILABLE")
    assert len(world.issuer.asked) == inside
    said = "".join(world.stack.appliance.said)
    assert said.count("is this appliance itself") >= 2
