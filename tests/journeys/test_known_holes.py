"""Holes that access proxies are known to have had, tried on the running programs: one test for each.

Who may change rights is tried elsewhere; here it is about credentials, identity, agents and what is left lying about.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml
from cryptography import x509

from agent.enrolment import Bundle, EnrolmentRefusedError, enrol, read_bundle, renew
from agent.identity import DataDirectory, Identity
from agent.outbound import OutboundError, Place, connect
from appliance.api.table import ROUTES
from ops.demo import ports
from ops.demo.admin import ApiError
from tests.journeys.conftest import kubectl_for, kubectls
from tests.journeys.door import Door
from tests.journeys.processes import BUSY_SECONDS, eventually
from tests.journeys.stack import START_SECONDS, Part, Stack, running_stack
from tests.journeys.visitors import Harbour
from tests.rules.sources import tracked_texts
from tests.support.certificates import TestCA
from wire import calls
from wire.contexts import client_context

PODS = "/api/v1/namespaces/demo/pods"
AGENT_GONE_SECONDS = 2.0


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield Harbour(stack)


@pytest.fixture
def stack(harbour: Harbour) -> Stack:
    harbour.stack.mend()
    return harbour.stack


@pytest.fixture
def door(stack: Stack) -> Door:
    return stack.door


def encoded(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def payload(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


# An unsigned or internal token is believed, or another port answers for the users'


def test_a_token_nobody_signed_is_no_token(door: Door, unique: str) -> None:
    claims = payload(door.token)
    head, _, signature = door.token.split(".")
    for forged in (
        f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(claims)}.",
        f"{head}.{encoded({**claims, 'exp': claims['exp'] + 1})}.{signature}",
    ):
        answer = replace(door, token=forged).ask("GET", f"{PODS}?mark={unique}")
        assert (answer.status, answer.code) == (401, "INVALID_TOKEN")
    for name in (b"X-Internal-Token", b"X-Auth-Request-User", b"X-Forwarded-User", b"Proxy-Authorization"):
        line = name + b": " + door.token.encode()
        assert door.exchange(door.head("GET", f"{PODS}?mark={unique}", line, token=False)).status == 401
    assert door.arrived(unique) == []


def test_the_agents_port_serves_no_user(harbour: Harbour, door: Door, unique: str) -> None:
    """Neither without a certificate nor with an agent's."""
    at_agents = replace(door, port=harbour.stack.bound.agents)
    with pytest.raises((OSError, http.client.HTTPException)):  # it speaks nothing a browser or kubectl would
        at_agents.ask("GET", f"{PODS}?mark={unique}")
    identity = DataDirectory(harbour.stack.home.agent).identity()
    assert identity is not None
    for certificate in (None, (identity.certificate_path, identity.key_path)):
        context = client_context(identity.ca_pem, certificate=certificate, alpn=["h2"])
        status = trio.run(call_status, harbour, context, f"/api/proxy/toy{PODS}?mark={unique}".encode())
        assert status in {401, 404}
    assert door.arrived(unique) == []


async def call_status(harbour: Harbour, context: Any, path: bytes) -> int:
    place = Place(ports.LOOPBACK, harbour.stack.bound.agents, ports.LOOPBACK)
    stream = await connect(place, context)
    try:
        with trio.fail_after(10):
            status, _ = await calls.call(stream, place.authority, path, {"a": "b"})
        return status
    finally:
        stream.abort()


# A client names its own identity


def test_kubectl_as_somebody_else_is_refused(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    kubectl = kubectl_for(next(reversed(kubectls()), None), stack.kubeconfig, tmp_path_factory)
    for wanted in ("--as=system:admin", "--as-group=system:masters"):
        arguments = ["get", "pods", "-n", "demo", wanted, *(() if "--as=" in wanted else ("--as=me",))]
        assert "is reserved: identity comes from your credential" in kubectl.refused(*arguments)


# A kubeconfig credential opens the admin API; any token opens another kind's door


@pytest.mark.parametrize("route", ROUTES, ids=lambda it: f"{it.method} {it.path}")
def test_a_kubeconfig_credential_opens_no_route_of_the_admin_api(route: Any, harbour: Harbour, door: Door) -> None:
    path = "/fairlead/v1/" + re.sub(r"<\w+>", "x", route.path)
    status, said = harbour.raw(route.method, path, door.token, {} if route.body is not None else None)
    assert status == 403
    assert "only good below /api/proxy/" in said


def test_no_token_opens_another_kinds_door(harbour: Harbour, door: Door, tmp_path: Path) -> None:
    bundle = bundle_of(harbour, tmp_path)
    for token, said in ((harbour.stack.token, "a machine token"), (bundle.token, "a bootstrap token")):
        answer = replace(door, token=token).ask("GET", PODS)
        assert (answer.status, answer.code) == (401, "INVALID_TOKEN")
        assert said in answer.json()["message"]
    assert harbour.raw("GET", "/fairlead/v1/clusters", bundle.token)[0] == 401
    for token in (harbour.stack.token, door.token):
        directory = agent_directory(tmp_path / token[:8])
        with pytest.raises(EnrolmentRefusedError):
            trio.run(enrol, replace(bundle, token=token), directory)
    trio.run(enrol, bundle, agent_directory(tmp_path / "right"))


def bundle_of(harbour: Harbour, directory: Path) -> Bundle:
    """A bundle that is not spent, of a new cluster."""
    made = harbour.call("POST", "clusters", {"name": f"hole-{directory.name.replace('_', '-')[-40:].lower()}"})
    file = directory / "bundle.json"
    file.write_text(json.dumps(made["bundle"]))
    file.chmod(0o600)
    return read_bundle(file)


def agent_directory(path: Path) -> DataDirectory:
    directory = DataDirectory(path)
    directory.prepare()
    return directory


# An agent renews for another's cluster


def test_a_renewal_is_for_the_callers_own_cluster_whatever_it_says(harbour: Harbour, tmp_path: Path) -> None:
    bundle = bundle_of(harbour, tmp_path)
    directory = agent_directory(tmp_path / "agent")
    mine = trio.run(enrol, bundle, directory)
    other = harbour.cluster_id()

    async def renew_for_another() -> Identity:
        context = client_context(mine.ca_pem, certificate=(mine.certificate_path, mine.key_path), alpn=["h2"])
        place = Place.parse(mine.url)
        stream = await connect(place, context)
        try:
            body: calls.Body = {"request": directory.signing_request(), "cluster": other, "cluster_id": other}
            with trio.fail_after(10):
                status, answer = await calls.call(stream, place.authority, calls.RENEW_PATH, body)
        finally:
            stream.abort()
        if status == 200:
            assert names_in(calls.text(answer, "certificate", 8192)) == {bundle.cluster_id}
        return await renew(mine, directory)

    renewed = trio.run(renew_for_another)
    assert names_in(renewed.certificate_path.read_text()) == {bundle.cluster_id}


def names_in(pem: str) -> set[str]:
    """The clusters that a certificate names."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {uri.split(":")[3] for uri in names.get_values_for_type(x509.UniformResourceIdentifier)}


# The first contact is not verified, or the key is made by somebody else


def test_an_agent_shows_its_token_to_nobody_its_bundle_does_not_vouch_for(harbour: Harbour, tmp_path: Path) -> None:
    bundle = bundle_of(harbour, tmp_path)
    directory = agent_directory(tmp_path / "agent")
    with pytest.raises(OutboundError, match="not trusted"):
        trio.run(enrol, replace(bundle, ca_pem=TestCA.make().pem), directory)
    identity = trio.run(enrol, bundle, directory)  # the token is as good as new
    key = identity.key_path.read_text()
    assert identity.key_path.stat().st_mode & 0o077 == 0
    everything = [it.read_bytes() for it in harbour.stack.home.appliance.iterdir() if it.is_file()]
    assert not any(key.split("\n")[1].encode() in content for content in everything)


# Deleting what a credential was for makes it good again


def test_no_deletion_and_no_name_revives_a_credential(harbour: Harbour, tmp_path: Path) -> None:
    name, agent = harbour.annex(tmp_path)
    with ended(agent):
        revoked, kept = harbour.visitor(name), harbour.visitor(name)
        assert {it.ask().status for it in (revoked, kept)} == {200}
        harbour.call("DELETE", f"credentials/{revoked.credential_id}")
        assert revoked.ask().code == "CREDENTIAL_REVOKED"
        harbour.call("DELETE", f"clusters/{name}")
        harbour.call("POST", "clusters", {"name": name})
        for it in (revoked, kept):
            answer = it.ask()
            assert (answer.status, answer.code) == (404, "CLUSTER_NOT_FOUND")
        found = harbour.call("GET", f"credentials?cluster={revoked.cluster_id}")["items"]
        assert {it["state"] for it in found} == {"revoked"}
    harbour.call("DELETE", f"people/{kept.person_id}")
    body = {"issuer": "https://login.example.com", "subject": "new", "name": kept.person}
    harbour.call("POST", "people", body)
    assert kept.ask().status != 200


@contextmanager
def ended(agent: Part) -> Iterator[None]:
    try:
        yield
    finally:
        if agent.process.returncode is None:
            agent.kill()


# The user's token travels on


def test_no_credential_goes_further_than_the_appliance(door: Door) -> None:
    seen = door.ask("GET", "/toy/headers", headers={"Cookie": f"token={door.token}", "X-Kept": "yes"}).json()
    assert door.token not in json.dumps(seen)
    assert ["x-kept", "yes"] in [[name.lower(), value] for name, value in seen["headers"]]


# A kubeconfig that does not check whom it talks to


def test_a_kubeconfig_verifies_the_appliance(stack: Stack, tmp_path: Path, tmp_path_factory: Any) -> None:
    document = yaml.safe_load(stack.kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    assert set(cluster) == {"server", "certificate-authority-data"}
    assert cluster["server"].startswith("https://")
    cluster["certificate-authority-data"] = base64.b64encode(TestCA.make().pem.encode()).decode()
    other = tmp_path / "kubeconfig"
    other.write_text(yaml.safe_dump(document))
    other.chmod(0o600)
    kubectl = kubectl_for(next(reversed(kubectls()), None), other, tmp_path_factory)
    assert "certificate" in kubectl.refused("get", "pods")


# What went through is written down


def test_no_body_and_no_token_is_kept_anywhere(harbour: Harbour, door: Door, unique: str) -> None:
    secret = f"the-secret-of-{unique}"
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": unique}, "stringData": {"password": secret}}
    headers = {"Content-Type": "application/json"}
    target = "/api/v1/namespaces/default/secrets"
    made = door.ask("POST", f"{target}?fieldManager={secret}", json.dumps(body).encode(), headers)
    assert made.status == 201
    assert door.ask("GET", f"{target}/{unique}").status == 200
    harbour.raw("POST", "/fairlead/v1/credentials/revoke-by-token", "", {"token": door.token + "x"})
    recorded = eventually(
        lambda: [it for it in harbour.call("GET", "audit?limit=500")["items"] if it.get("name") == unique]
    )
    assert recorded
    wanted = [secret, base64.b64encode(secret.encode()).decode(), door.token, harbour.stack.token]
    files = [it for it in harbour.stack.home.appliance.rglob("*") if it.is_file()]
    kept = [it.read_bytes() for it in files] + ["".join(part.said).encode() for part in harbour.stack.parts().values()]
    for text in wanted:
        assert not any(text.encode() in content for content in kept)
    assert door.token.split(".")[2] not in str(harbour.call("GET", "audit?limit=500"))


# What lies in the repository


def test_the_repository_holds_no_secret_and_no_way_around_one() -> None:
    private = re.compile("-----BEGIN (?:[A-Z]+ )?PRIVATE" + " KEY-----\n[A-Za-z0-9+/=]{20,}")
    tokens = re.compile(r"\b(?:flm|flb)_[A-Za-z0-9_-]{43}\b|\beyJ[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}")
    fetched = re.compile(r"(?:curl|wget)\b[^\n]*\|\s*(?:sudo\s+)?(?:ba|z)?sh\b")  # a program nobody verified
    for source in tracked_texts():
        for pattern in (private, tokens, fetched):
            assert not pattern.search(source.text), (source.path, pattern.pattern)
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True).stdout.split("\n")
    assert not [it for it in listed if Path(it).suffix in {".key", ".pem", ".p12", ".pfx", ".env", ".db"}]
    assert not [it for it in listed if Path(it).name in {".env", "kubeconfig", "master.key"}]


# An agent that was cut off works on


def test_a_deleted_clusters_agent_is_cut_off_for_good(harbour: Harbour, tmp_path: Path) -> None:
    name, agent = harbour.annex(tmp_path)
    with ended(agent):
        visitor = harbour.visitor(name)
        with visitor.door.asking("GET", f"{PODS}?watch=1") as watch:
            assert watch.status == 200
            harbour.call("DELETE", f"clusters/{name}")
            deleted = time.monotonic()
            assert visitor.ask().code == "CLUSTER_NOT_FOUND"
            with suppress(http.client.IncompleteRead, ssl.SSLError, ConnectionError):
                while watch.read1(65536):
                    pass
            assert time.monotonic() - deleted < AGENT_GONE_SECONDS + BUSY_SECONDS
        # With its certificate it gets neither a session nor a new certificate.
        directory = DataDirectory(tmp_path / name / "agent")
        identity = directory.identity()
        assert identity is not None
        with pytest.raises(EnrolmentRefusedError):
            trio.run(renew, identity, directory)
        refused = eventually(
            lambda: [it for it in harbour.call("GET", "audit?limit=100")["items"] if it["type"] == "CAG001W"],
            START_SECONDS,
        )
        assert refused


def test_an_unknown_code_path_answers_no_stranger(harbour: Harbour) -> None:
    """Without any credential there is nothing but the help pages, and those say nothing of this installation."""
    for path in ("/", "/fairlead/v1/", "/fairlead/v1/clusters", "/api/v1/pods", "/metrics", "/healthz", "/version"):
        status, said = harbour.raw("GET", path, "")
        assert status in {401, 404}, (path, said)
    with pytest.raises(ApiError):
        harbour.call("GET", "nothing")
