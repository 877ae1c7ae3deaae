"""People of a running stack: each with roles, bindings, and a kubeconfig of their own, made through the admin API."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from ops.demo import kubeconfig, ports
from ops.demo.admin import Appliance
from ops.demo.files import write_private
from tests.journeys.stack import Stack

CLUSTER = "toy"
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Crew:
    """Makes people known to one stack's appliance."""

    stack: Stack

    @property
    def _appliance(self) -> Appliance:
        authority = (self.stack.home.appliance / "ca.pem").read_text()
        return Appliance(f"https://{ports.LOOPBACK}:{self.stack.bound.users}", authority, self.stack.token)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of the admin API."""
        return trio.run(functools.partial(self._appliance.call, method, path, body))

    def role(self, name: str, groups: Sequence[str], *rules: Document) -> str:
        """Make a role; gives its id."""
        made = self.call("POST", "roles", {"name": name, "groups": list(groups), "rules": [dict(it) for it in rules]})
        return str(made["id"])

    def bind(self, person: str, role: str, *namespaces: str) -> str:
        """Bind a role to someone in these namespaces, or in the whole cluster where none are named; gives its id."""
        scope: dict[str, Any] = {"kind": "cluster", "cluster_id": self.cluster_id}
        if namespaces:
            scope = {**scope, "kind": "namespaces", "namespaces": list(namespaces)}
        body = {"subject": {"kind": "person", "id": person}, "role_id": role, "scope": scope}
        return str(self.call("POST", "bindings", body)["id"])

    def person(self, name: str) -> str:
        """Make someone known; gives their id."""
        body = {"issuer": "https://idp.example.com", "subject": name, "name": f"{name}@example.com"}
        return str(self.call("POST", "people", {**body, "email": f"{name}@example.com"})["id"])

    def kubeconfig(self, name: str) -> Path:
        """A fresh kubeconfig for someone who is known."""
        issued = self.call("POST", "credentials", {"cluster": CLUSTER, "person": f"{name}@example.com"})
        file = self.stack.home.root / f"kubeconfig-{name}"
        content = kubeconfig.render(
            server=str(issued["server"]),
            token=str(issued["token"]),
            cluster=CLUSTER,
            person=f"{name}@example.com",
            ca_pem=issued["ca"],
        )
        write_private(file, content)
        return file

    @property
    def cluster_id(self) -> str:
        items = self.call("GET", "clusters")["items"]
        return str(next(it["id"] for it in items if it["name"] == CLUSTER))
