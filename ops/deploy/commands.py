"""What an operator types to install an agent in a cluster that was just registered.

Pure: text in, lines out, so that a command may print them and a page show them. What always holds: a word that a shell
would read differently is quoted, and no line carries the bundle's secret, only the name of the file that holds it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

NAMESPACE: Final = "fairlead-agent"
BUNDLE_SECRET: Final = "fairlead-agent-bundle"  # noqa: S105 -- the name of a Secret
RELEASE: Final = "fairlead-agent"
PLACE: Final = Path(__file__).parent / "agent"
"""Where this installation of Fairlead has the agent's manifests and its chart."""


def agent_commands(
    bundle: Path | str, users: Sequence[str], groups: Sequence[str], *, place: Path | str = PLACE, helm: bool = False
) -> list[str]:
    """Return the lines that install an agent, each one command, to be typed with the new cluster's own kubectl.

    `bundle`: the file that holds the bootstrap bundle. `users` and `groups`: whom the agent may act as, as this cluster
    will see them; at least one user.

    Raises:
        ValueError: nobody is named, or a name is `*`, which RBAC would take for everyone.

    """
    if not users:
        raise ValueError("an agent may act as the users that are named, and none is")
    if "*" in {*users, *groups}:
        raise ValueError("a name is `*`, which Kubernetes reads as everyone")
    secret = _line(
        *("kubectl", "-n", NAMESPACE, "create", "secret", "generic", BUNDLE_SECRET),
        f"--from-file=bundle.json={bundle}",
    )
    if helm:
        return [
            _line("kubectl", "apply", "-f", f"{place}/kustomize/namespace.yaml"),
            secret,
            _line(
                *("helm", "install", RELEASE, f"{place}/chart", "--namespace", NAMESPACE),
                *("--set-json", "impersonate.users=" + json.dumps(list(users))),
                *("--set-json", "impersonate.groups=" + json.dumps(list(groups))),
            ),
        ]
    return [
        _line("kubectl", "apply", "-k", f"{place}/kustomize"),
        *(_impersonation(users, groups)),
        secret,
        _line("kubectl", "-n", NAMESPACE, "rollout", "status", "deployment/fairlead-agent"),
    ]


def _impersonation(users: Sequence[str], groups: Sequence[str]) -> list[str]:
    """The role that the agent's binding waits for: kubectl makes one rule of each kind of name."""
    rules = [_rule("users", users), *([_rule("groups", groups)] if groups else [])]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "fairlead-agent-names"},
        "rules": rules,
    }
    return [f"echo {shlex.quote(json.dumps(role))} | kubectl apply -f -"]


def _rule(resource: str, names: Sequence[str]) -> dict[str, list[str]]:
    return {"apiGroups": [""], "resources": [resource], "resourceNames": list(names), "verbs": ["impersonate"]}


def _line(*words: str) -> str:
    return " ".join(shlex.quote(word) for word in words)
