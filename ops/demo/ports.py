"""Which ports the demo listens on: the usual ones when they are free, else any."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
FILE = "ports.json"


@dataclass(frozen=True, slots=True)
class Ports:
    """Port 0 before the start means: let the system choose."""

    users: int
    agents: int
    health: int


USUAL = Ports(users=8443, agents=5443, health=9090)


def choose(data_dir: Path) -> Ports:
    """Those of the last run with the same data, so that a printed kubeconfig stays true; else the usual ones."""
    wanted = read(data_dir) or USUAL
    return Ports(*(port if _free(port) else 0 for port in (wanted.users, wanted.agents, wanted.health)))


def read(data_dir: Path) -> Ports | None:
    """The ports an appliance says it has bound, or None when it has not said so."""
    try:
        known = json.loads((data_dir / FILE).read_bytes())
        return Ports(users=int(known["users"]), agents=int(known["agents"]), health=int(known["health"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listener will
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
        return True
