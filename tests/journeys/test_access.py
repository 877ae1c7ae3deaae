"""The whole life of an access request, with the real kubectl and people who signed in.

Refused with the command that asks; asked, with a reason, of somebody named; approved by another person; works; the
clock ends it, and the open watch with it; refused again. Withdrawn, while it waits and while it is used.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.demo import kubeconfig
from ops.demo.files import write_private
from tests.journeys.conftest import Kubectl, kubectl_for, kubectls
from tests.journeys.gatehouse import Gatehouse
from tests.journeys.processes import eventually
from tests.journeys.stack import REPOSITORY

pytestmark = [pytest.mark.real_clock, pytest.mark.slow]

GRANT_SECONDS = 10  # the shortest there is
END_SECONDS = 20.0
COMMAND = re.compile(r"fairlead access request [^\"\n]*")


class Signed:
    """A person who signed in, as a command acts for them."""

    def __init__(self, house: Gatehouse, *groups: str) -> None:
        self.house = house
        self.subject = house.person(*groups)
        self.token = str(house.command(self.subject)["access_token"])

    @property
    def name(self) -> str:
        return f"{self.subject}@example.com"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        return self.house.raw(method, f"/fairlead/v1/{path}", self.token, body)

    def type(self, words: list[str], home: Path) -> str:
        """The command itself, as they would type it."""
        token = home / f"token-{self.subject}"
        write_private(token, self.token.encode())
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "FAIRLEAD_CLI_TOKEN_FILE": str(token),
            "FAIRLEAD_CLI_SERVER": self.house.url,
            "FAIRLEAD_CLI_CA": str(self.house.stack.home.appliance / "ca.pem"),
        }
        assert words[0] == "fairlead"
        line = [sys.executable, "-m", "ops.cli.main", *words[1:]]
        done = subprocess.run(line, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def kubectl(self, homes: pytest.TempPathFactory) -> Kubectl:
        status, issued = self.call("POST", "me/credentials", {"cluster": "toy"})
        assert status == 201, issued
        file = Path(homes.mktemp("kubeconfig")) / self.subject
        write_private(
            file,
            kubeconfig.render(
                server=str(issued["server"]),
                token=str(issued["token"]),
                cluster="toy",
                person=self.subject,
                ca_pem=(self.house.stack.home.appliance / "ca.pem").read_text(),
            ),
        )
        return kubectl_for(next(reversed(kubectls()), None), file, homes)


def policy(house: Gatehouse, askers: str, approvers: str, **fields: Any) -> tuple[str, str]:
    """A role that a group may ask for, and another group approves: the policy's id and the role's name."""
    (toy,) = (it["id"] for it in house.call("GET", "clusters")["items"] if it["name"] == "toy")
    scope = {"kind": "cluster", "cluster_id": toy}
    name = f"on-call-{secrets.token_hex(4)}"
    role = house.call("POST", "roles", {"name": name, "groups": ["toy:admins"]})
    nothing = [{"verbs": ["none"], "apiGroups": [""], "resources": ["none"]}]
    permissions = ["access:approve", "access:read"]
    approving = house.call("POST", "roles", {"name": f"{name}-yes", "permissions": permissions, "rules": nothing})
    approver = {"kind": "group", "id": approvers, "issuer": house.provider.issuer}
    house.call("POST", "bindings", {"subject": approver, "role_id": approving["id"], "scope": scope})
    asker = {"kind": "group", "id": askers, "issuer": house.provider.issuer}
    body = {"role_id": role["id"], "scope": scope, "askers": [asker], "approvers": [approver], **fields}
    return str(house.call("POST", "request-policies", body)["id"]), name


def trail(house: Gatehouse, request_id: str) -> list[str]:
    """The codes of a request's records, oldest first."""
    found = house.call("GET", "audit?category=access_requests&limit=100")["items"]
    return [str(it["type"]) for it in reversed(found) if it["details"].get("request_id") == request_id]


def test_asked_approved_used_and_over(
    house: Gatehouse, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    askers, approvers = f"dev-{secrets.token_hex(3)}", f"lead-{secrets.token_hex(3)}"
    policy_id, role = policy(house, askers, approvers, reason_required=True, max_seconds=600)
    ann, ben, cat = Signed(house, askers), Signed(house, approvers), Signed(house)
    assert cat.call("GET", "me/askable")[1]["items"] == []
    assert cat.call("POST", "me/credentials", {"cluster": "toy"})[0] == 404
    kubectl = ann.kubectl(tmp_path_factory)
    told = COMMAND.search(kubectl.refused("get", "pods", "-A"))
    assert told is not None
    assert shlex.split(told[0])[-6:] == ["--cluster", "toy", "--role", role, "--reason", "WHY"]

    (offer,) = ann.call("GET", "me/askable")[1]["items"]
    assert (offer["policy_id"], offer["role"], [it["name"] for it in offer["clusters"]]) == (policy_id, role, ["toy"])
    wish = {"policy_id": policy_id, "ttl_seconds": GRANT_SECONDS}
    assert ann.call("POST", "me/access-requests", wish)[1]["code"] == "REQUEST_OUTSIDE_POLICY"  # without a reason
    assert cat.call("POST", "me/access-requests", {**wish, "reason": "x"})[1]["code"] == "REQUEST_POLICY_NOT_FOUND"
    typed = shlex.split(told[0].replace("WHY", "'incident 7'"))
    ann.type([*typed, "--for", f"{GRANT_SECONDS}s", "--reviewer", ben.name], tmp_path)
    (asked,) = ann.call("GET", "me/access-requests")[1]["items"]
    assert (asked["state"], asked["reason"], asked["reviewers"]) == ("pending", "incident 7", [ben.name])
    path = f"access-requests/{asked['id']}"
    assert ann.call("POST", f"{path}/approve", {})[0] == 403
    assert cat.call("GET", f"me/{path}")[0] == 404
    for named, found in ((ben.name.upper(), [asked["id"]]), (cat.name, [])):
        mine = ben.call("GET", f"access-requests?state=pending&reviewer={named}")[1]["items"]
        assert [it["id"] for it in mine] == found
    assert "fairlead access request" in kubectl.refused("get", "pods", "-A")

    ben.type(["fairlead", "access", "approve", asked["id"]], tmp_path)
    assert "harbour-master" in kubectl("get", "pods", "-A")
    with kubectl.start("get", "pods", "-A", "-w") as watching:
        watching.line("harbour-master")
        watching.end(END_SECONDS + GRANT_SECONDS)
    assert "fairlead access request" in kubectl.refused("get", "pods", "-A")
    assert ann.call("GET", f"me/{path}")[1]["state"] == "expired"
    codes = ["CAR001I", "CAR002I", "CAR005I"]
    eventually(lambda: trail(house, asked["id"]) == codes, 30.0, "the record of the expiry")


def test_withdrawn_while_it_waits_and_while_it_is_used(
    house: Gatehouse, tmp_path_factory: pytest.TempPathFactory
) -> None:
    askers, approvers = f"dev-{secrets.token_hex(3)}", f"lead-{secrets.token_hex(3)}"
    policy_id, _ = policy(house, askers, approvers)
    ann, ben = Signed(house, askers), Signed(house, approvers)
    wish = {"policy_id": policy_id, "ttl_seconds": 600}
    first = ann.call("POST", "me/access-requests", wish)[1]
    twice = ann.call("POST", "me/access-requests", wish)[1]
    assert (twice["code"], twice["requestId"]) == ("PENDING_REQUEST_EXISTS", first["id"])
    assert ben.call("DELETE", f"me/access-requests/{first['id']}")[0] == 404
    withdrawn = ann.call("DELETE", f"me/access-requests/{first['id']}")[1]
    assert (withdrawn["state"], withdrawn["note"]) == ("denied", "withdrawn by who asked")
    assert ben.call("POST", f"access-requests/{first['id']}/approve", {})[1]["code"] == "REQUEST_NOT_PENDING"

    second = ann.call("POST", "me/access-requests", wish)[1]
    assert ben.call("POST", f"access-requests/{second['id']}/approve", {})[1]["state"] == "approved"
    kubectl = ann.kubectl(tmp_path_factory)
    with kubectl.start("get", "pods", "-A", "-w") as watching:
        watching.line("harbour-master")
        assert ann.call("DELETE", f"me/access-requests/{second['id']}")[1]["state"] == "revoked"
        watching.end(END_SECONDS)
    assert "no role on cluster" in kubectl.refused("get", "pods", "-A")
    assert trail(house, second["id"]) == ["CAR001I", "CAR002I", "CAR004I"]
