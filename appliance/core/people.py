"""People, machines and the names they act under.

(issuer, subject) is the key of a person; the e-mail is a label. The name is what Kubernetes sees and belongs to the
first who held it. What always holds: no name and no group that Kubernetes reserves for itself, and none with control
characters, gets past the checks here.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_NAME_BYTES = 256  # a user name or a group; Kubernetes puts both in certificate subjects and log lines
RESERVED_PREFIX = "system:"  # `system:kube-controller-manager` alone reads all Secrets


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who may sign in. Times are microseconds UTC; `not_before` refuses what was issued until then."""

    id: str
    issuer: str
    subject: str
    name: str
    email: str = ""
    groups: tuple[str, ...] = ()  # as the issuer last named them
    enabled: bool = True
    not_before: int = 0
    created_at: int = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """A program that calls the admin API with a random token, of which only the SHA-256 (hex) is kept."""

    id: str
    name: str
    token_sha256: str
    expires_at: int | None = None
    created_at: int = 0


def name_fault(name: str) -> str | None:
    """Why `name` cannot be a Kubernetes user name or group; None when it can."""
    if not name:
        return "it is empty"
    if not name.isprintable():
        return "it holds control characters"
    if name != name.strip():
        return "it begins or ends with a space"
    if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        return f"it is longer than {MAX_NAME_BYTES} bytes"
    if name.casefold().startswith(RESERVED_PREFIX):
        return f"it begins with {RESERVED_PREFIX}"
    return None
