"""From a cluster's bundle to an agent that runs: the file it is kept in, and the commands that install it.

What always holds: the bundle, which holds a secret, is only ever in a file that its owner alone can read; the place for
it is tried before anything is made; the commands carry the file's name, never what is in it.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ops.cli.admin.desk import Desk
from ops.cli.admin.secrets import written_private
from ops.cli.faults import Exit, Fault
from ops.cli.output import clean
from ops.deploy.commands import agent_commands

MAX_NAMED: Final = 100  # names on one line for a person to look through


def place(wanted: Path | None, name: str) -> Path:
    """Where the bundle goes. What is there already is not overwritten, for it may be the one that is needed."""
    safe = name if all(it.isalnum() or it in "-_." for it in name) and not name.startswith(".") else "cluster"
    file = wanted if wanted is not None else Path(f"{safe}-bundle.json")
    if file.exists() or file.is_symlink():
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


def lines(desk: Desk, cluster: str, file: Path, users: Sequence[str], groups: Sequence[str]) -> list[str]:
    """What to type where kubectl reaches the cluster, one of three ways."""
    if not users:
        users, groups = everybody(desk)
    told = [f"With a kubectl that administers {clean.plain(cluster)}, install the agent in one of these ways.", ""]
    for way, helm in (("By kustomize:", False), ("By Helm:", True)):
        told += [way, "", *(f"  {it}" for it in agent_commands(file, users, groups, helm=helm)), ""]
    told += ["Outside a cluster, with the API server in its settings:", ""]
    return [*told, f"  fairlead agent --bootstrap {shlex.quote(str(file))} --config agent.toml"]


def everybody(desk: Desk) -> tuple[list[str], list[str]]:
    """Whom an agent may act as when nobody says: the users and machines there are, and the groups of the roles.

    Kubernetes holds an agent to the names that are listed, so whoever comes later has to be added. Where there are too
    many, or the caller may not list them, it is the caller alone.
    """
    try:
        people = [str(it["name"]) for it in desk.every("people") if it["enabled"]]
        users = people + [str(it["user"]) for it in desk.every("machines")]
        groups = sorted({str(group) for it in desk.every("roles") for group in it["groups"]})
    except Fault as fault:
        if fault.exit_code is not Exit.FORBIDDEN:
            raise
        users, groups = [], []
    if not users or len(users) + len(groups) > MAX_NAMED:
        users, groups = [str(desk.api.get("me")["name"])], []
        desk.remark("The agent may act as you alone; name others with --as-user and --as-group.")
    return sorted(users), groups
