"""Which ports the demo listens on: the usual ones when they are free, else any.

A port that is free when it is looked at may be taken a moment later, by another demo as likely as not: whoever uses
what was chosen tries again when the appliance finds it TAKEN.
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.demo.files import write_private

LOOPBACK = "127.0.0.1"
TAKEN = "cannot listen on"  # what the appliance says, and ends, when a port was taken meanwhile


@dataclass(frozen=True, slots=True)
class Ports:
    """Port 0 before the start means: let the system choose."""

    users: int
    agents: int
    health: int


USUAL = Ports(users=8443, agents=5443, health=9090)


def choose(last: Path) -> Ports:
    """Those of the last run with the same data, so that a kubeconfig stays true; else the usual ones."""
    wanted = read(last) or USUAL
    return Ports(*(port if _free(port) else 0 for port in (wanted.users, wanted.agents, wanted.health)))


def read(path: Path) -> Ports | None:
    """The ports in a file (an appliance writes one once it has bound them), or None without a whole one."""
    try:
        known = json.loads(path.read_bytes())
        return Ports(users=int(known["users"]), agents=int(known["agents"]), health=int(known["health"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(path: Path, ports: Ports) -> None:
    """Keep the ports for the next run."""
    write_private(path, json.dumps(asdict(ports)).encode())


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listener will
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
        return True
