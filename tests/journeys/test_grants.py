"""Access for a while, with the real kubectl: asked for, approved by two, used, revoked, ended by the clock."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio

from ops.demo import kubeconfig, ports
from ops.demo.admin import ApiError, Appliance
from ops.demo.files import write_private
from tests.journeys.conftest import Kubectl, kubectl_for, kubectls
from tests.journeys.processes import Running
from tests.journeys.stack import Stack, running_stack

END_SECONDS = 2.0 + 2.0  # what the design promises, and as much for kubectl to notice and end on a busy machine
BRIEF_SECONDS = 5.0

RUBY = {"issuer": "https://login.example.com", "subject": "ruby", "name": "ruby@example.com", "email": "r@example.com"}


class Office:
    """The admin API of a running stack, by whoever's token, and a person with a kubeconfig of their own."""

    def __init__(self, stack: Stack, homes: pytest.TempPathFactory) -> None:
        self.stack = stack
        self.authority = (stack.home.appliance / "ca.pem").read_text()
        self.ruby = self.call("POST", "people", RUBY)
        (self.cluster,) = self.call("GET", "clusters")["items"]
        self.scope = {"kind": "cluster", "cluster_id": self.cluster["id"]}
        self.role = self.call("POST", "roles", {"name": "on-call", "groups": ["toy:admins"]})
        issued = self.call("POST", "credentials", {"cluster": self.cluster["name"], "person": RUBY["name"]})
        file = stack.home.root / "kubeconfig-ruby"
        content = kubeconfig.render(
            server=str(issued["server"]),
            token=str(issued["token"]),
            cluster="ruby",
            person="ruby",
            ca_pem=self.authority,
        )
        write_private(file, content)
        self.kubectl: Kubectl = kubectl_for(next(reversed(kubectls()), None), file, homes)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, token: str | None = None) -> Any:
        url = f"https://{ports.LOOPBACK}:{self.stack.bound.users}"
        appliance = Appliance(url, self.authority, token or self.stack.token)
        return trio.run(functools.partial(appliance.call, method, path, body))

    def machine(self, name: str, *permissions: str) -> str:
        """A machine that may do this on the cluster; its token."""
        made = self.call("POST", "machines", {"name": name, "ttl_seconds": 3600})
        rules = [{"verbs": ["none"], "apiGroups": [""], "resources": ["none"]}]
        role = self.call("POST", "roles", {"name": name, "permissions": list(permissions), "rules": rules})
        subject = {"kind": "machine", "id": made["id"]}
        self.call("POST", "bindings", {"subject": subject, "role_id": role["id"], "scope": self.scope})
        return str(made["token"])

    def codes(self) -> list[str]:
        """What the audit trail holds, latest first."""
        return [str(it["type"]) for it in self.call("GET", "audit?limit=50")["items"]]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield Office(stack, tmp_path_factory)


def refused(office: Office, token: str, path: str) -> str:
    with pytest.raises(ApiError) as caught:
        office.call("POST", path, {}, token)
    return caught.value.code


def ended_within(running: Running, seconds: float) -> float:
    """How long it took to end."""
    begin = time.monotonic()
    running.end(seconds)
    return time.monotonic() - begin


def test_a_grant_from_asking_to_revoking(office: Office) -> None:
    desk = office.machine("desk", "access:request-for", "access:approve")
    eve, fay = office.machine("eve", "access:approve"), office.machine("fay", "access:approve")
    policy = office.call(
        "POST",
        "request-policies",
        {
            "role_id": office.role["id"],
            "scope": office.scope,
            "askers": [{"kind": "person", "id": office.ruby["id"]}],
            "approvals": 2,
            "reason_required": True,
        },
    )
    assert "no role on cluster" in office.kubectl.refused("get", "pods", "-A")
    wish = {"policy_id": policy["id"], "reason": "incident 7", "ttl_seconds": 600}
    asked = office.call("POST", f"people/{office.ruby['id']}/access-requests", wish, desk)
    path = f"access-requests/{asked['id']}"
    assert refused(office, desk, f"{path}/approve") == "SELF_APPROVAL_FORBIDDEN"
    assert office.call("POST", f"{path}/approve", {}, eve)["state"] == "pending"
    assert refused(office, eve, f"{path}/approve") == "ALREADY_APPROVED"
    assert "no role on cluster" in office.kubectl.refused("get", "pods", "-A")
    granted = office.call("POST", f"{path}/approve", {}, fay)
    assert granted["state"] == "approved"
    assert "harbour-master" in office.kubectl("get", "pods", "-A")

    with office.kubectl.start("get", "pods", "-A", "-w") as watching:
        watching.line("harbour-master")
        office.call("POST", f"{path}/revoke", {"reason": "over"}, eve)
        assert ended_within(watching, 20.0) < END_SECONDS
    assert "no role on cluster" in office.kubectl.refused("get", "pods", "-A")
    assert [it for it in office.codes() if it.startswith("CAR")] == [
        "CAR004I",
        "CAR002I",
        "CAR006I",
        "CAR001I",
        "CAR007I",
    ]


def test_a_binding_that_ends_by_the_clock_takes_its_streams_along(office: Office) -> None:
    until = datetime.now(UTC) + timedelta(seconds=BRIEF_SECONDS)
    subject = {"kind": "person", "id": office.ruby["id"]}
    body = {"subject": subject, "role_id": office.role["id"], "scope": office.scope, "until": until.isoformat()}
    office.call("POST", "bindings", body)
    with office.kubectl.start("get", "pods", "-A", "-w") as watching:
        watching.line("harbour-master")
        ended_within(watching, 20.0)
        over = datetime.now(UTC) - until
    assert timedelta() <= over < timedelta(seconds=END_SECONDS)
    assert "no role on cluster" in office.kubectl.refused("get", "pods", "-A")


def test_a_label_gives_and_takes_at_once(office: Office) -> None:
    subject = {"kind": "person", "id": office.ruby["id"]}
    scope = {"kind": "labels", "labels": {"env": "test"}}
    office.call("POST", "bindings", {"subject": subject, "role_id": office.role["id"], "scope": scope})
    assert "no role on cluster" in office.kubectl.refused("get", "pods", "-A")
    office.call("PATCH", f"clusters/{office.cluster['name']}", {"labels": {"env": "test"}})
    assert "harbour-master" in office.kubectl("get", "pods", "-A")
    who = office.call("GET", f"who-can?cluster={office.cluster['name']}&verb=list&resource=pods")
    assert RUBY["name"] in {person["name"] for item in who["items"] for person in item["people"]}
    with office.kubectl.start("get", "pods", "-A", "-w") as watching:
        watching.line("harbour-master")
        office.call("PATCH", f"clusters/{office.cluster['name']}", {"labels": {}})
        assert ended_within(watching, 20.0) < END_SECONDS
    why = f"explain?cluster={office.cluster['name']}&verb=list&resource=pods&person={RUBY['name']}"
    assert office.call("GET", why)["allowed"] is False
