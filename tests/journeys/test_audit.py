"""The audit trail of the running programs: asked through the API, verified and exported on the host."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from ops.demo import ports
from ops.demo.admin import ApiError, Appliance
from tests.journeys.conftest import Kubectl, kubectl_for, kubectls
from tests.journeys.door import Answer
from tests.journeys.processes import eventually
from tests.journeys.stack import REPOSITORY, Stack, running_stack
from tests.support.tampering import tamper_file


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack")) as started:
        yield started


@pytest.fixture
def kubectl(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return kubectl_for(next(reversed(kubectls()), None), stack.kubeconfig, tmp_path_factory)


def call(stack: Stack, path: str, token: str = "") -> Any:
    authority = (stack.home.appliance / "ca.pem").read_text()
    url = f"https://{ports.LOOPBACK}:{stack.bound.users}"
    return trio.run(Appliance(url, authority, token or stack.token).call, "GET", path)


def post(stack: Stack, path: str, body: dict[str, Any]) -> Any:
    authority = (stack.home.appliance / "ca.pem").read_text()
    appliance = Appliance(f"https://{ports.LOOPBACK}:{stack.bound.users}", authority, stack.token)
    return trio.run(appliance.call, "POST", path, body)


def settings(stack: Stack) -> Path:
    return stack.home.root / "fairlead.toml"


def audit(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`fairlead audit`, beside the running appliance."""
    command = [sys.executable, "-m", "ops.cli.main", "audit", *arguments, "--config", str(config)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)


def test_who_did_what_is_found_by_any_of_it(stack: Stack, kubectl: Kubectl, unique: str) -> None:
    kubectl("create", "configmap", unique, "-n", "demo", "--from-literal=secret=hunter2")
    kubectl("exec", "-n", "demo", "harbour-master", "--", "echo", unique)
    kubectl("delete", "configmap", unique, "-n", "demo")

    def of(**filters: str) -> list[dict[str, Any]]:
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        found: list[dict[str, Any]] = call(stack, f"audit?{query}")["items"]
        return found

    ended = {"type": "CPR001I", "resource": "configmaps", "namespace": "demo"}
    (made,) = eventually(lambda: of(**ended, verb="create", status="201"))
    (removed,) = eventually(lambda: of(**ended, verb="delete", name=unique))  # a URL that creates has no name
    assert removed["status"] == 200
    assert made["actor"] == "demo@example.com"
    assert (made["cluster"], made["namespace"]) == ("toy", "demo")
    assert of(correlation_id=removed["correlation_id"], type="proxy.opened")[0]["name"] == unique
    (shell,) = eventually(lambda: of(subresource="exec", type="CPR001I", actor="demo@example.com"))
    assert shell["command"] == ["echo", unique]
    assert made["id"] in [it["id"] for it in of(credential_id=made["credential_id"], verb="create", category="proxy")]
    assert made["id"] in [it["id"] for it in of(object=made["binding_ids"][0], since=made["time"], until=made["time"])]
    assert of(name=unique, severity="warning") == []
    assert "hunter2" not in json.dumps(call(stack, "audit?limit=500"))


def test_a_request_leads_to_the_agents_session_that_carried_it(stack: Stack, unique: str) -> None:
    """From a change to all that its session carried, and to where that came from; also through a session's end."""
    door = stack.door
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": unique}}).encode()
    made = door.ask("POST", "/api/v1/namespaces/demo/configmaps", body, {"Content-Type": "application/json"})
    read = door.ask("GET", "/api/v1/namespaces/demo/pods")  # on the lane without tasks
    refused = door.ask("GET", "/api/v1/pods", headers={"Impersonate-User": "root"})

    def closed(answer: Answer, kind: str = "CPR001I") -> dict[str, Any]:
        query = f"audit?type={kind}&correlation_id={answer.headers['x-correlation-id']}"
        found: list[dict[str, Any]] = eventually(lambda: call(stack, query)["items"])
        return found[0]

    session = closed(made)["tunnel_session"]
    assert closed(read)["tunnel_session"] == session
    assert "tunnel_session" not in closed(refused, "CPR002W")
    assert "tunnel_session" not in closed(made, "CPR003I")  # there was none yet
    (opened,) = call(stack, f"audit?type=agent.session_opened&tunnel_session={session}")["items"]
    toy = next(it for it in call(stack, "clusters")["items"] if it["name"] == "toy")
    assert (opened["cluster_id"], opened["client_address"]) == (toy["id"], ports.LOOPBACK)
    assert opened["details"]["serial"]

    stack.agent.kill()
    stack.start_agent()
    stack.until_it_works()
    (ended,) = eventually(lambda: call(stack, f"audit?type=CAG006I&tunnel_session={session}")["items"])
    assert ended["details"]["reason"]
    exported = [json.loads(line) for line in audit(settings(stack), "export").stdout.splitlines()]
    assert {it["type"] for it in exported if it.get("tunnel_session") == session} >= {"CAG005I", "CPR001I", "CAG006I"}
    assert closed(door.ask("GET", "/api/v1/namespaces/demo/pods"))["tunnel_session"] != session


def test_looking_at_the_trail_is_on_record_once_for_each_query(stack: Stack, unique: str) -> None:
    def looks() -> list[str]:
        records = [json.loads(line) for line in audit(settings(stack), "export").stdout.splitlines()]
        assert {it["actor"] for it in records if it["type"] == "CSY012I"} == {"journeys"}
        return [str(it["details"]) for it in records if it["type"] == "CSY012I"]

    before = len(looks())
    page = first = call(stack, f"audit?limit=2&until=2999-01-01T00:00:00Z&verb=create&actor={unique}&cluster=toy")
    assert (page["items"], page["next"]) == ([], None)
    page = first = call(stack, "audit?limit=2")
    for _ in range(3):
        page = call(stack, f"audit?limit=2&cursor={page['next']}")
    call(stack, f"audit/{first['items'][0]['id']}")
    call(stack, f"audit?limit=3&cursor={first['next']}")  # a page that nobody was shown the way to
    with pytest.raises(ApiError) as refused:
        call(stack, f"audit?verb=get&cursor={first['next']}")  # given to another query
    assert (refused.value.status, refused.value.code) == (400, "INVALID_CURSOR")

    query = {"filters": f"actor={unique}&cluster=toy&limit=2&until=2999-01-01T00%3A00%3A00Z&verb=create"}
    assert looks()[before:] == [
        str(query),
        str({"filters": "limit=2"}),
        str({"record": first["items"][0]["id"]}),
        str({"filters": f"cursor={first['next']}&limit=3"}),
    ]


def test_pages_follow_each_other_to_the_end(stack: Stack) -> None:
    whole = [it["id"] for it in call(stack, "audit?limit=500")["items"]]
    assert len(whole) > 10
    found: list[str] = []
    page = call(stack, "audit?limit=4")
    while True:
        found += [it["id"] for it in page["items"]]
        if page["next"] is None:
            break
        page = call(stack, f"audit?limit=4&cursor={page['next']}")
    assert found[-len(whole) :] == whole


def test_a_filter_that_is_not_understood_is_refused_by_name(stack: Stack) -> None:
    for query, field in {
        "type=CPR999": "?type",
        "since=yesterday": "?since",
        "user=alice": "?user",
        "category=proxies": "?category",
        "actor=a&actor=b": "?actor",
    }.items():
        with pytest.raises(ApiError) as refused:
            call(stack, f"audit?{query}")
        assert (refused.value.status, refused.value.code) == (422, "VALIDATION_ERROR")
        assert field.lstrip("?") in str(refused.value) or field in str(refused.value)


def test_a_record_that_is_not_there(stack: Stack) -> None:
    for identity in ("1-999999", "9-1", "0-1", "x", "1-1-1"):
        with pytest.raises(ApiError) as refused:
            call(stack, f"audit/{identity}")
        assert (refused.value.status, refused.value.code) == (404, "AUDIT_EVENT_NOT_FOUND")


def test_the_trail_is_for_those_who_may_read_it(stack: Stack) -> None:
    for path in ("audit", "audit/1-1"):
        with pytest.raises(ApiError) as refused:
            call(stack, path, "flm_" + "x" * 43)
        assert refused.value.status == 401


def test_who_may_read_it_for_one_cluster_sees_that_cluster(stack: Stack) -> None:
    toy = next(it for it in call(stack, "clusters")["items"] if it["name"] == "toy")
    other = post(stack, "clusters", {"name": "elsewhere"})
    readers = {}
    for cluster in (toy, other):
        machine = post(stack, "machines", {"name": f"reads-{cluster['name']}"})
        rules = [{"verbs": ["none"], "apiGroups": [""], "resources": ["none"]}]
        role = post(stack, "roles", {"name": machine["name"], "permissions": ["audit:read"], "rules": rules})
        scope = {"kind": "cluster", "cluster_id": cluster["id"]}
        subject = {"kind": "machine", "id": machine["id"]}
        post(stack, "bindings", {"subject": subject, "role_id": role["id"], "scope": scope})
        readers[cluster["name"]] = machine["token"]

    whole = call(stack, "audit?limit=500")["items"]
    for cluster in (toy, other):
        seen = call(stack, "audit?limit=500", readers[cluster["name"]])["items"]
        assert seen
        assert {it["cluster_id"] for it in seen} == {cluster["id"]}
    (registered,) = call(stack, f"audit?type=CCL001I&cluster_id={other['id']}", readers["elsewhere"])["items"]
    assert call(stack, f"audit/{registered['id']}", readers["elsewhere"]) == registered
    assert call(stack, f"audit?type=CCL001I&cluster_id={other['id']}", readers["toy"])["items"] == []
    for hidden in (registered["id"], whole[-1]["id"]):  # another cluster's, and the appliance's own
        with pytest.raises(ApiError) as refused:
            call(stack, f"audit/{hidden}", readers["toy"])
        assert (refused.value.status, refused.value.code) == (404, "AUDIT_EVENT_NOT_FOUND")


def test_the_command_verifies_a_running_appliance_and_exports_its_records(stack: Stack, tmp_path: Path) -> None:
    done = audit(settings(stack), "verify")
    assert done.returncode == 0, done.stdout
    assert "audit.db: whole: " in done.stdout

    kept = tmp_path / "kept.json"
    kept.write_text(audit(settings(stack), "checkpoint").stdout)
    assert audit(settings(stack), "verify", "--checkpoint", str(kept)).returncode == 0

    exported = [json.loads(line) for line in audit(settings(stack), "export").stdout.splitlines()]
    assert [it["id"] for it in reversed(exported)][:5] == [it["id"] for it in call(stack, "audit?limit=5")["items"]]
    assert [it["time"] for it in exported] == sorted(it["time"] for it in exported)
    moment = exported[3]["time"]
    some = audit(settings(stack), "export", "--since", moment, "--until", moment).stdout.splitlines()
    assert exported[3] in [json.loads(line) for line in some]


def test_the_command_names_what_was_done(stack: Stack, tmp_path: Path) -> None:
    """On a copy of the data, as an investigator would."""
    eventually(lambda: "[[2,0," not in audit(settings(stack), "checkpoint").stdout, what="a checkpoint with records")
    copy = tmp_path / "data"
    copy.mkdir(mode=0o700)
    for name in ("fairlead.db", "audit.db"):
        with (
            closing(sqlite3.connect(stack.home.appliance / name)) as source,
            closing(sqlite3.connect(copy / name)) as target,
        ):
            source.backup(target)
    (copy / "master.key").write_bytes((stack.home.appliance / "master.key").read_bytes())
    for file in copy.iterdir():
        file.chmod(0o600)
    config = tmp_path / "copy.toml"
    config.write_text(f'public_url = "https://fairlead.example.com"\ndata_dir = "{copy}"\n')
    config.chmod(0o600)
    kept = tmp_path / "kept.json"
    kept.write_text(audit(config, "checkpoint").stdout)
    assert audit(config, "verify", "--checkpoint", str(kept)).returncode == 0

    done = next(it for it in reversed(call(stack, "audit?limit=500")["items"]) if it["type"] == "CPR001I")
    chain, number = done["id"].split("-")
    here = f"WHERE chain = {chain} AND number = {number}"
    ledger = copy / "audit.db"
    tamper_file(ledger, f"UPDATE records SET body = replace(body, 'demo@example.com', 'eve@example.com') {here}")
    edited = audit(config, "verify")
    assert edited.returncode == 1
    assert f"BROKEN chain {chain}, record {number}: edited\n" in edited.stdout
    assert "NOT WHOLE" in edited.stdout

    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute(f"DELETE FROM sheaves WHERE chain = {chain}")
        but_its_beginning = f"body LIKE '%[{chain},%' AND body NOT LIKE '%[{chain},0,%'"
        connection.execute(f"DELETE FROM checkpoints WHERE {but_its_beginning}")
    cut = audit(config, "verify", "--checkpoint", str(kept))
    assert cut.returncode == 1
    assert "its end was cut" in cut.stdout


@pytest.mark.parametrize(
    ("arguments", "content"),
    [
        (["verify", "--checkpoint", "FILE"], "{}"),
        (["verify", "--checkpoint", "FILE"], "not json"),
        (["verify", "--checkpoint", "/nowhere/kept.json"], None),
        (["export", "--since", "yesterday"], None),
        (["verify", "--nonsense"], None),
    ],
)
def test_what_cannot_be_looked_at_is_neither_whole_nor_broken(
    stack: Stack, tmp_path: Path, arguments: list[str], content: str | None
) -> None:
    file = tmp_path / "kept.json"
    if content is not None:
        file.write_text(content)
    done = audit(settings(stack), *[str(file) if it == "FILE" else it for it in arguments])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_without_data_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    config = tmp_path / "fairlead.toml"
    config.write_text(f'public_url = "https://fairlead.example.com"\ndata_dir = "{tmp_path / "none"}"\n')
    config.chmod(0o600)
    for what in ("verify", "checkpoint", "export"):
        done = audit(config, what)
        assert done.returncode == 2
        assert "There is no audit ledger" in done.stderr
    assert not (tmp_path / "none").exists()
