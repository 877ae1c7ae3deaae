"""People with rights and a kubeconfig of their own on a running stack, one for each test that takes rights away."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from ops.demo import kubeconfig, ports, settings
from ops.demo.admin import Appliance
from ops.demo.files import write_private
from ops.demo.kubeconfig import TokenFile, Upstream
from ops.demo.settings import Home
from tests.journeys.door import Answer, Door
from tests.journeys.processes import eventually
from tests.journeys.stack import START_SECONDS, Part, Stack

ISSUER = "https://login.example.com"
GROUPS = ("toy:admins", "extra")


@dataclass(frozen=True)
class Visitor:
    """Ids of everything the visitor's access rests on."""

    cluster_id: str
    cluster: str
    person_id: str
    person: str
    role_id: str
    binding_id: str
    credential_id: str
    door: Door

    def ask(self) -> Answer:
        """One request that these rights allow."""
        return self.door.ask("GET", "/api/v1/namespaces/demo/pods")

    def kubeconfig(self, directory: Path) -> Path:
        """A file for kubectl."""
        content = kubeconfig.render(
            server=f"https://{self.door.host}:{self.door.port}{self.door.path}",
            token=self.door.token,
            cluster=self.cluster,
            person=self.person,
            ca_pem=self.door.ca_pem,
        )
        file = directory / f"kubeconfig-{self.person_id}"
        write_private(file, content)
        return file


@dataclass(frozen=True)
class Harbour:
    """The stack as an administrator sees it."""

    stack: Stack

    @property
    def ca_pem(self) -> str:
        return (self.stack.home.appliance / "ca.pem").read_text()

    @property
    def url(self) -> str:
        return f"https://{ports.LOOPBACK}:{self.stack.bound.users}"

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One call of the admin API; raises ApiError."""
        appliance = Appliance(self.url, self.ca_pem, self.stack.token)
        return trio.run(appliance.call, method, path, None if body is None else dict(body))

    def raw(self, method: str, path: str, token: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """One request to any path with any token: status, and the body as JSON or text."""
        appliance = Appliance(self.url, self.ca_pem, token)
        status, answer = trio.run(appliance.raw, method, path, None if body is None else dict(body))
        try:
            return status, json.loads(answer or b"null")
        except ValueError:
            return status, answer.decode()

    def cluster_id(self, name: str = "toy") -> str:
        return str(next(it["id"] for it in self.call("GET", "clusters")["items"] if it["name"] == name))

    def visitor(
        self,
        cluster: str = "toy",
        *,
        scope: Mapping[str, Any] | None = None,
        group: str | None = None,
        until: str | None = None,
    ) -> Visitor:
        """Someone new. `group`: bound through this group of theirs; `scope`: not simply the cluster."""
        name = f"visitor-{uuid.uuid4().hex[:8]}"
        cluster_id = self.cluster_id(cluster)
        body = {"issuer": ISSUER, "subject": name, "name": f"{name}@example.com", "groups": [group] if group else []}
        person = self.call("POST", "people", body)
        role = self.call("POST", "roles", {"name": name, "groups": list(GROUPS)})
        subject = {"kind": "person", "id": person["id"]}
        if group:
            subject = {"kind": "group", "id": group, "issuer": ISSUER}
        where = dict(scope or {"kind": "cluster"})
        if where["kind"] in {"cluster", "namespaces"}:
            where["cluster_id"] = cluster_id
        wanted = {"subject": subject, "role_id": role["id"], "scope": where}
        binding = self.call("POST", "bindings", {**wanted, "until": until} if until else wanted)
        issued = self.call("POST", "credentials", {"cluster": cluster_id, "person": person["id"]})
        port = self.stack.bound.users
        door = Door(ports.LOOPBACK, port, f"/api/proxy/{cluster}", issued["token"], self.ca_pem)
        return Visitor(cluster_id, cluster, person["id"], person["name"], role["id"], binding["id"], issued["id"], door)

    def with_token(self, visitor: Visitor, token: str) -> Visitor:
        return replace(visitor, door=replace(visitor.door, token=token))

    def annex(self, directory: Path, labels: Mapping[str, str] | None = None) -> tuple[str, Part]:
        """Another cluster with an agent of its own (the same toy behind it), connected: its name and its agent."""
        name = f"annex-{uuid.uuid4().hex[:8]}"
        made = self.call("POST", "clusters", {"name": name, "labels": dict(labels or {})})
        home = Home(directory / name)
        home.make()
        write_private(home.bundle, json.dumps(made["bundle"]).encode())
        toy = self.stack.home.toy
        upstream = Upstream(
            name, f"https://{self.stack.toy_listen}", (toy / "ca.pem").read_bytes(), TokenFile(toy / "token")
        )
        agent = Part("agent", "--config", str(settings.write_agent(home, upstream)))
        eventually(lambda: self.connected(name), START_SECONDS, f"the agent of {name}")
        return name, agent

    def connected(self, name: str) -> bool:
        return any(it["connected"] for it in self.call("GET", "clusters")["items"] if it["name"] == name)
