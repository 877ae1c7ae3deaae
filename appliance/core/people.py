"""People, machines and the names they act under.

(issuer, subject) is the key of a person; the e-mail is a label. The name is what Kubernetes sees and belongs to the
first who held it. What always holds: no name and no group that Kubernetes reserves for itself, and none with control
characters, gets past the checks here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MAX_NAME_BYTES = 256  # a user name or a group; Kubernetes puts both in certificate subjects and log lines
MACHINE_PREFIX = "machine:"  # of the names under which Kubernetes sees machines; no person has such a one
RESERVED_PREFIX = "system:"  # `system:kube-controller-manager` alone reads all Secrets

# Letters of other scripts, and colons, that look like those of the reserved prefix. Kubernetes compares bytes and is
# not fooled; the people who read a role's groups are.
_LOOKALIKES = str.maketrans(
    {
        "\u0455": "s",
        "\u0443": "y",
        "\u04af": "y",
        "\u03b3": "y",
        "\u0442": "t",
        "\u03c4": "t",
        "\u0435": "e",
        "\u043c": "m",
        "\u02d0": ":",
        "\u0589": ":",
        "\u05c3": ":",
        "\u2236": ":",
        "\ua789": ":",
    }
)
_PREFIX_CHARS = 64  # longer than any way to write the prefix with marks on every letter that a reader would still read
_EMAIL = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,190}")


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
    """A program with tokens of its own (`core.machines`). `not_before` refuses credentials issued until then."""

    id: str
    name: str
    created_at: int = 0
    created_by: str = ""  # empty: made on the appliance's own host
    not_before: int = 0

    def holder(self) -> Person:
        """As whom it asks clusters: a holder of credentials like a person, under a name that no person has."""
        return Person(
            self.id, "", "", MACHINE_PREFIX + self.name, not_before=self.not_before, created_at=self.created_at
        )


def person_name_fault(name: str) -> str | None:
    """Why `name` cannot be a person's; None when it can."""
    if _folded(name).startswith(MACHINE_PREFIX):
        return f"it begins with {MACHINE_PREFIX}"
    return name_fault(name)


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
    if _folded(name).startswith(RESERVED_PREFIX):
        return f"it begins with {RESERVED_PREFIX}"
    return None


def email_key(email: str) -> str | None:
    """By what an e-mail is compared; None for one that can be read in two ways and therefore matches nothing."""
    return email.lower() if _EMAIL.fullmatch(email) else None


def _folded(name: str) -> str:
    """The name without what the eye passes over: case, width, marks, look-alikes."""
    if name.isascii():
        return name.lower()
    apart = unicodedata.normalize("NFKD", name.casefold())
    seen = "".join(c for c in apart[:_PREFIX_CHARS] if not unicodedata.category(c).startswith("M"))
    return seen.translate(_LOOKALIKES).casefold().lstrip()
