"""Kubeconfig credentials, as the command gets them for whoever is signed in.

What always holds: how long one is good is counted from when it came, on this machine's clock, by the difference of the
appliance's own two times. So a clock that is off by an hour changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops.cli.client import Client


@dataclass(frozen=True, slots=True)
class Issued:
    """One credential. `began` and `until` are seconds since the epoch on this machine; `ca`: PEM if ours signs."""

    id: str
    token: str
    server: str
    ca: str | None
    began: float
    until: float


def issue(api: Client, cluster: str, kind: str, seconds: int | None = None) -> Issued:
    """A new one for a cluster; `kind` is "plugin" or "static"."""
    wanted: dict[str, Any] = {"cluster": cluster, "kind": kind}
    if seconds is not None:
        wanted["ttl_seconds"] = seconds
    began = time.time()
    made = api.post("me/credentials" if api.account else "machines/self/credentials", wanted)
    lasts = _moment(made["expires_at"]) - _moment(made["issued_at"])
    return Issued(made["id"], made["token"], made["server"], made["ca"], began, began + lasts)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
