"""An agent whose key may be in the wrong hands is cut off, and the right one comes back."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.demo.files import write_private
from tests.journeys.processes import eventually
from tests.journeys.stack import REPOSITORY, Stack, running_stack

pytestmark = pytest.mark.journey

REVOKED_SECONDS = 1.0
SLACK_SECONDS = 2.0  # of a machine that does other things, too
BACK_SECONDS = 30.0


def test_an_agent_is_revoked_within_a_second_and_comes_back_with_the_new_bundle(tmp_path: Path) -> None:
    with running_stack(tmp_path) as stack:
        door = stack.door
        with door.asking("GET", "/api/v1/pods?watch=true") as watch:
            assert watch.status == 200
            bundle = revoke(stack, tmp_path)
            answered = time.monotonic()
            with pytest.raises((http.client.IncompleteRead, ssl.SSLError, ConnectionError)):
                while watch.read1(65536):
                    pass
            assert time.monotonic() - answered < REVOKED_SECONDS + SLACK_SECONDS
        assert door.ask("GET", "/version").code == "AGENT_NOT_CONNECTED"
        eventually(lambda: "its generation was revoked" in "".join(stack.agent.said), what="the agent being told why")
        assert bundle.stat().st_mode & 0o777 == 0o600

        write_private(stack.home.bundle, bundle.read_bytes())
        stack.until_it_works(BACK_SECONDS)
        audit = [event["event"] for event in stack_audit(stack)]
        assert "agent.revoked" in audit


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


def stack_audit(stack: Stack) -> list[dict[str, str]]:
    connection = stack.door.https()
    try:
        connection.request("GET", "/fairlead/v1/audit?limit=50", headers={"Authorization": f"Bearer {stack.token}"})
        items: list[dict[str, str]] = json.loads(connection.getresponse().read())["items"]
        return items
    finally:
        connection.close()
