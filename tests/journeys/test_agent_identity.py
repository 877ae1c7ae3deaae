"""The life of an agent's identity, with certificates that live for seconds, while requests run and none is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from agent.enrolment import enrol, read_bundle
from agent.identity import DataDirectory
from ops.demo.admin import ApiError
from ops.demo.files import write_private
from tests.journeys.door import Door
from tests.journeys.processes import eventually
from tests.journeys.stack import Stack, running_stack
from tests.journeys.traffic import Traffic, Watch

pytestmark = pytest.mark.journey

LIFE_SECONDS = 15  # longer than an agent takes to start where much else runs
EXPIRED_SECONDS = LIFE_SECONDS + 10.0


def test_an_identity_is_renewed_changes_its_authority_survives_restarts_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRLEAD_AGENTS_CERTIFICATE_SECONDS", str(LIFE_SECONDS))
    with running_stack(tmp_path) as stack:
        cluster = shown(stack)["id"]
        door = [stack.door]
        with Traffic(lambda: door[0]) as traffic:
            watch = Watch(stack.door)
            renewed(stack, serial=agent(stack)["session"])
            traffic.moves()
            watch.ended_well()

            call(stack, "POST", "authority/change", {})
            with pytest.raises(ApiError, match="would be cut off: toy") as early:
                call(stack, "POST", "authority/change/finish", {})
            assert early.value.code == "AUTHORITY_IN_USE"
            door[0] = fresh_door(stack, cluster)
            eventually(lambda: not call(stack, "GET", "authority")["behind"], what="the agent trusting both")
            traffic.moves()
            call(stack, "POST", "authority/change/finish", {})
            eventually(lambda: not call(stack, "GET", "authority")["changing"], what="the older authority being gone")
            traffic.moves()
            renewed(stack, serial=agent(stack)["session"])
            traffic.moves()
        assert not traffic.lost, traffic.lost[:5]
        assert traffic.kept()

        stack.agent.kill()
        stack.start_agent()  # its bundle, whose token is spent, still lies there
        eventually(lambda: door[0].ask("GET", "/version").status == 200, what="an agent that starts again")
        assert "refused" not in "".join(stack.agent.said)

        stack.agent.kill()
        wait_out(EXPIRED_SECONDS, stack)
        assert shown(stack)["state"] == "pending", "no agent holds a certificate that opens anything"
        stack.start_agent()
        eventually(lambda: "has expired: put a new bundle" in "".join(stack.agent.said), what="the agent saying so")
        made = call(stack, "POST", f"clusters/{cluster}/bundles", {})
        spend_and_lose_the_answer(stack, made["bundle"], tmp_path / "bundle.json")
        write_private(stack.home.bundle, json.dumps(made["bundle"]).encode())
        eventually(lambda: shown(stack)["state"] == "connected", what="the agent coming back")
        assert shown(stack)["id"] == cluster
        assert door[0].ask("GET", "/version").status == 200


def spend_and_lose_the_answer(stack: Stack, bundle: dict[str, Any], beside: Path) -> None:
    """The agent's key buys a certificate, and the connection breaks before it comes."""
    credential = stack.home.agent / "credential.json"
    before = credential.read_bytes()
    write_private(beside, json.dumps(bundle).encode())
    trio.run(enrol, read_bundle(beside), DataDirectory(stack.home.agent))
    write_private(credential, before)


def call(stack: Stack, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    return trio.run(stack.api().call, method, path, body)


def shown(stack: Stack) -> dict[str, Any]:
    (cluster,) = call(stack, "GET", "clusters")["items"]
    found: dict[str, Any] = cluster
    return found


def agent(stack: Stack) -> dict[str, Any]:
    """The newest session of the agent."""
    found: dict[str, Any] = shown(stack)["agents"][-1]
    return found


def renewed(stack: Stack, serial: str) -> None:
    """Wait until the session is another one, and only that is left."""
    eventually(lambda: [it["session"] for it in shown(stack)["agents"]] != [serial], what="a new session")
    eventually(lambda: len(shown(stack)["agents"]) == 1, what="the old session being left")


def fresh_door(stack: Stack, cluster: str) -> Door:
    """What a kubeconfig that is fetched now leads to: it trusts both authorities."""
    issued = call(stack, "POST", "credentials", {"cluster": cluster, "person": "demo@example.com"})
    old = stack.door
    return Door(old.host, old.port, old.path, issued["token"], issued["ca"])


def wait_out(seconds: float, stack: Stack) -> None:
    """Until the certificate that the last agent got is over."""
    eventually(lambda: shown(stack)["state"] == "pending", seconds, "the certificate expiring")
