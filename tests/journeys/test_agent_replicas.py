"""Two agents of one cluster that share an identity: what a rolling restart and a kill cost, and what the state says."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.journeys.processes import eventually
from tests.journeys.stack import Part, Stack, running_stack
from tests.journeys.traffic import Traffic, Watch

pytestmark = pytest.mark.journey

SECRET = "fairlead-agent-identity"
BACK_SECONDS = 40.0


def test_replicas_restart_one_after_the_other_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_stack(tmp_path) as stack, ExitStack() as ending:
        share_identity(stack)
        monkeypatch.setenv("FAIRLEAD_AGENT_IDENTITY_SECRET", f"fairlead/{SECRET}")
        stack.agent.stop()
        stack.start_agent()
        eventually(stack.works, BACK_SECONDS, "the first replica")
        stack.home.bundle.unlink()  # the second one needs none: the Secret has all
        second = replica(stack)
        ending.callback(lambda: second.kill())
        eventually(lambda: len(agents(stack)) == 2, BACK_SECONDS, "two replicas")

        with Traffic(lambda: stack.door) as traffic:
            watches = [Watch(stack.door) for _ in range(2)]
            assert eventually(lambda: all(it["in_flight"] for it in agents(stack)), what="work at both")
            traffic.moves()
            assert stack.agent.stop() == 0
            traffic.moves()
            stack.start_agent()
            eventually(lambda: len(agents(stack)) == 2, BACK_SECONDS, "the first one again")
            assert second.stop() == 0
            second = replica(stack)
            eventually(lambda: len(agents(stack)) == 2, BACK_SECONDS, "the second one again")
            traffic.moves()
        assert not traffic.lost, traffic.lost[:5]
        assert traffic.kept()
        for watch in watches:
            watch.ended_well()

        watches = [Watch(stack.door) for _ in range(2)]
        eventually(lambda: [it["in_flight"] for it in agents(stack)] == [1, 1], what="a watch at each")
        second.kill()
        eventually(lambda: sum(watch.over for watch in watches) == 1, what="the watch of the killed one ending")
        assert [stack.door.ask("GET", "/version").status for _ in range(5)] == [200] * 5
        assert state(stack)["state"] == "connected"
        assert sum(watch.over for watch in watches) == 1, "the other's goes on"

        stack.toy.kill()
        assert stack.door.ask("GET", "/version").code == "UPSTREAM_UNREACHABLE"
        degraded = eventually(lambda: state(stack) if state(stack)["state"] == "degraded" else None, what="degraded")
        assert degraded is not None
        assert degraded["connected"]
        assert (degraded["api_server"]["answers"], degraded["registered"]) == (False, True)
        assert "cannot be reached" in degraded["reason"]
        stack.start_toy()  # with a new certificate authority and a new token, which the agent reads again
        (stack.home.upstream / "ca.pem").write_bytes((stack.home.toy / "ca.pem").read_bytes())
        eventually(lambda: state(stack)["state"] == "connected", what="the API server answering again")

        stack.cable.hold()
        stack.appliance.kill()
        stack.start_appliance()
        after = state(stack)
        assert (after["state"], after["connected"], after["agents"]) == ("disconnected", False, [])
        assert "to this appliance since it started" in after["reason"]
        stack.cable.release()
        stack.cable.pull()
        eventually(lambda: state(stack)["state"] == "connected", BACK_SECONDS, "the agent coming back")


def share_identity(stack: Stack) -> None:
    """Make the empty Secret, as whoever installs the agent does."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}}
    headers = {"Content-Type": "application/json"}
    path = "/api/v1/namespaces/fairlead/secrets"
    assert stack.door.ask("POST", path, json.dumps(secret).encode(), headers).status == 201


def replica(stack: Stack) -> Part:
    """Another agent with an empty directory of its own."""
    home = stack.home.root / "second"
    shutil.rmtree(home, ignore_errors=True)
    settings = (stack.home.root / "agent.toml").read_text().replace(str(stack.home.agent), str(home))
    file = stack.home.root / "agent-2.toml"
    file.write_text(settings)
    file.chmod(0o600)
    return Part("agent", "--config", str(file))


def state(stack: Stack) -> dict[str, Any]:
    (cluster,) = trio.run(stack.api().call, "GET", "clusters")["items"]
    found: dict[str, Any] = cluster
    return found


def agents(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [it for it in state(stack)["agents"] if not it["leaving"]]
    return found
