"""What our entries in a kubeconfig look like: a cluster, a user with the credential plugin, a context with our mark.

What always holds: TLS is verified; a CA is embedded only where this machine would not trust the appliance without it;
a context says in an extension, which kubectl keeps, that it is ours, where it leads and what it took the place of.
"""

from __future__ import annotations

import base64
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.cli.yaml_text import word

MARK = "fairlead"
API_VERSION = "client.authentication.k8s.io/v1"
INSTALL_HINT = "Install fairlead (pip install fairlead), then run: fairlead login {server}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One cluster as kubectl is told of it. `token`: a static one, "" for the plugin; `environment`: for the plugin."""

    context: str
    cluster: str
    appliance: str
    server: str
    ca: str | None
    namespace: str
    profile: str
    account: str = ""
    token: str = ""
    environment: tuple[tuple[str, str], ...] = ()

    def cluster_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"server": word(self.server)}
        if self.ca is not None:
            fields["certificate-authority-data"] = base64.b64encode(self.ca.encode()).decode()
        return fields

    def context_fields(self, previous: str) -> dict[str, Any]:
        told = {"server": word(self.appliance), "cluster": word(self.cluster)}
        if previous:
            told["previous"] = word(previous)
        fields: dict[str, Any] = {"cluster": word(self.context), "user": word(self.context)}
        if self.namespace:
            fields["namespace"] = word(self.namespace)
        return {**fields, "extensions": [{"name": MARK, "extension": told}]}

    def user_fields(self) -> dict[str, Any]:
        if self.token:
            return {"token": self.token}
        arguments = ["kube", "token", "--profile", self.profile, "--cluster", self.cluster]
        if self.account:
            arguments += ["--account", self.account]
        plugin: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "command": word(command()),
            "args": [word(it) for it in arguments],
            "interactiveMode": "IfAvailable",
            "provideClusterInfo": "false",
            "installHint": INSTALL_HINT.format(server=self.appliance),
        }
        if self.environment:
            plugin["env"] = [{"name": name, "value": word(value)} for name, value in self.environment]
        return {"exec": plugin}


def command() -> str:
    """How kubectl is to call us: by name if that finds this very program, else by its path."""
    found = shutil.which("fairlead")
    here = Path(sys.argv[0])
    if found is not None and (here.suffix == ".py" or Path(found).resolve() == here.resolve()):
        return "fairlead"
    return str(here.absolute())
