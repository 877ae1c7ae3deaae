"""A cluster as the appliance knows it, and the certificates of its agents.

`connected` stands nowhere here: the live session is the only truth about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
"""(key, value) pairs, sorted by key, each key once."""

MAX_LABELS = 64  # a page of them; selectors compare each
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@dataclass(frozen=True, slots=True)
class Cluster:
    """`generation` is the one its agents' certificates must name; `not_before` refuses what was issued until then."""

    id: str
    name: str
    labels: Labels = ()
    generation: int = 1
    not_before: int = 0
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class AgentCertificate:
    """A certificate the appliance's CA issued to an agent. `serial` is lower-case hex."""

    serial: str
    cluster_id: str
    generation: int
    not_after: int
    issued_at: int = 0


def cluster_name_fault(name: str) -> str | None:
    """Why `name` cannot name a cluster; None when it can. Names stand in URLs and kubeconfig contexts."""
    if _NAME.fullmatch(name):
        return None
    return "it must be 1-63 lower-case letters, digits, dots and hyphens, with a letter or digit at both ends"


def labels_fault(labels: Labels) -> str | None:
    """Why `labels` cannot be a cluster's labels; None when they can. Kubernetes' own rules for keys and values."""
    if len(labels) > MAX_LABELS:
        return f"there are more than {MAX_LABELS}"
    if list(labels) != sorted(dict(labels).items()):
        return "keys must be unique and sorted"
    for key, value in labels:
        if not _LABEL_KEY.fullmatch(key):
            return f"the key {key!r} is not a Kubernetes label key"
        if not _LABEL_VALUE.fullmatch(value):
            return f"the value of {key} is not a Kubernetes label value"
    return None
