"""From a cluster's bundle to an agent that runs: the file it is kept in, and the commands that install it.

What always holds: the bundle, which holds a secret, is only ever in a file that its owner alone can read; the place for
it is tried before anything is made; the commands carry the file's name, never what is in it.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ops.cli.admin.secrets import written_private
from ops.cli.faults import Fault
from ops.cli.output import clean

NAMESPACE: Final = "fairlead-agent"
SECRET: Final = "fairlead-agent-bundle"  # noqa: S105 -- the name of a Secret


def place(wanted: Path | None, name: str) -> Path:
    """Where the bundle goes. What is there already is not overwritten, for it may be the one that is needed."""
    safe = name if all(it.isalnum() or it in "-_." for it in name) and not name.startswith(".") else "cluster"
    file = wanted if wanted is not None else Path(f"{safe}-bundle.json")
    if file.exists():
        raise Fault(
            f"{clean.plain(file)} exists, so nothing was asked.", next_step="move it away, or give --bundle-out"
        )
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise Fault(f"{clean.plain(file)} cannot be written, so nothing was asked.", next_step="give --bundle-out")
    return file


def write(file: Path, bundle: Mapping[str, Any]) -> None:
    """For its owner alone, and only if nothing is there."""
    try:
        written_private(file, json.dumps(bundle, indent=2) + "\n")
    except OSError as error:
        why = "something is there" if error.errno == errno.EEXIST else error.strerror
        raise Fault(
            f"It is done, but the bundle cannot be written to {clean.plain(file)}: {why}.",
            next_step="fairlead clusters reissue, to make another bundle",
        ) from None


def commands(cluster: str, file: Path) -> list[str]:
    """What to type where kubectl reaches the cluster, one of three ways."""
    bundle = shlex.quote(str(file))
    return [
        f"With kubectl in the context of {clean.plain(cluster)}, install the agent in one of these ways:",
        "",
        "  kubectl apply -k ops/deploy/agent",
        f"  kubectl -n {NAMESPACE} create secret generic {SECRET} --from-file=bundle.json={bundle}",
        "",
        f"  helm install fairlead-agent ops/deploy/agent/chart -n {NAMESPACE} --create-namespace \\",
        f"    --set-file bundle={bundle}",
        "",
        "  # or outside a cluster, with a kubeconfig's API server in its settings:",
        f"  fairlead agent --bootstrap {bundle} --config agent.toml",
    ]
