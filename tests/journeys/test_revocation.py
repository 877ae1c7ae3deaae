"""An agent whose key may be in the wrong hands is cut off, and the right one comes back."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from agent.enrolment import EnrolmentRefusedError, enrol, read_bundle, renew
from agent.identity import DataDirectory, Identity
from ops.demo.files import write_private
from tests.journeys.processes import BUSY_SECONDS, eventually
from tests.journeys.stack import REPOSITORY, Stack, running_stack

pytestmark = pytest.mark.journey

REVOKED_SECONDS = 1.0
BACK_SECONDS = 30.0


def test_an_agent_is_revoked_within_a_second_and_comes_back_with_the_new_bundle(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        door = stack.door
        old = identity_in(shutil.copytree(stack.home.agent, tmp_path / "stolen"))
        with door.asking("GET", "/api/v1/pods?watch=true") as watch:
            assert watch.status == 200
            bundle = revoke(stack, tmp_path)
            answered = time.monotonic()
            with pytest.raises((http.client.IncompleteRead, ssl.SSLError, ConnectionError)):
                while watch.read1(65536):
                    pass
            assert time.monotonic() - answered < REVOKED_SECONDS + BUSY_SECONDS
        assert door.ask("GET", "/version").code == "AGENT_NOT_CONNECTED"
        eventually(lambda: "its generation was revoked" in "".join(stack.agent.said), what="the agent being told why")
        assert bundle.stat().st_mode & 0o777 == 0o600

        write_private(stack.home.bundle, bundle.read_bytes())
        stack.until_it_works(BACK_SECONDS)
        whoever_shows_what_is_not_theirs_is_refused_and_recorded(stack, old, bundle, tmp_path)
        deleted_with_its_trail_kept(stack)


def whoever_shows_what_is_not_theirs_is_refused_and_recorded(
    stack: Stack, old: Identity, bundle: Path, directory: Path
) -> None:
    with pytest.raises(EnrolmentRefusedError, match="its generation was revoked"):
        trio.run(renew, old, DataDirectory(directory / "stolen"))
    another = DataDirectory(directory / "another")
    another.prepare()
    with pytest.raises(EnrolmentRefusedError):
        trio.run(enrol, read_bundle(bundle), another)
    mine = replace(identity_in(stack.home.agent), cluster_id="cluster_of_others")
    with pytest.raises(EnrolmentRefusedError, match="shown for another cluster than its own"):
        trio.run(renew, mine, DataDirectory(stack.home.agent))
    reasons = {json.dumps(event["details"]) for event in stack_audit(stack) if event["type"] == "CAG001W"}
    for said in ("generation was revoked", "spent by another key", "another cluster than its own"):
        assert any(said in reason for reason in reasons), reasons


def deleted_with_its_trail_kept(stack: Stack) -> None:
    before = [event["event"] for event in stack_audit(stack) if event.get("cluster") == "toy"]
    assert {"agent.revoked", "agent.enrolled", "cluster.connected"} <= set(before)
    trio.run(stack.api().call, "DELETE", "clusters/toy")
    eventually(lambda: "its cluster does not exist" in "".join(stack.agent.said), what="the agent being told why")
    assert stack.door.ask("GET", "/version").code == "CLUSTER_NOT_FOUND"
    after = [event["event"] for event in stack_audit(stack) if event.get("cluster") == "toy"]
    assert set(before) < set(after)


def identity_in(path: Path) -> Identity:
    identity = DataDirectory(path).identity()
    assert identity is not None
    return identity


def revoke(stack: Stack, directory: Path) -> Path:
    token, out = directory / "admin.token", directory / "bundle.json"
    write_private(token, stack.token.encode() + b"\n")
    options = {
        "--cluster": "toy",
        "--server": f"https://127.0.0.1:{stack.bound.users}",
        "--token-file": str(token),
        "--ca": str(stack.home.appliance / "ca.pem"),
        "--bundle-out": str(out),
    }
    words = [word for pair in options.items() for word in pair]
    command = [sys.executable, "-m", "ops.cli.main", "revoke-agent", *words]
    subprocess.run(command, cwd=REPOSITORY, check=True, timeout=30)
    assert json.loads(out.read_text())["token"].startswith("flb_")
    return out


def stack_audit(stack: Stack) -> list[dict[str, Any]]:
    connection = stack.door.https()
    try:
        connection.request("GET", "/fairlead/v1/audit?limit=200", headers={"Authorization": f"Bearer {stack.token}"})
        items: list[dict[str, Any]] = json.loads(connection.getresponse().read())["items"]
        return items
    finally:
        connection.close()
