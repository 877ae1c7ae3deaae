"""Where an identity is kept for good, beside the files that TLS reads: nowhere else, or where replicas share it.

What always holds: files of one agent are its own and are enough (0600 in a directory of its own, replaced as a whole);
replicas that share an identity agree on the key before any of them shows a token, so that one token is enough.
"""

from __future__ import annotations

from typing import Protocol

from agent.identity import Identity


class CustodyError(Exception):
    """Where identities are shared cannot be reached or used now; the text is a sentence."""


class Custody(Protocol):
    """What enrolment and renewal ask. Both raise CustodyError."""

    async def fetch(self) -> None:
        """Bring into the data directory what others have stored since; without an identity there, agree on a key."""

    async def offer(self, identity: Identity) -> Identity:
        """Store a new identity for the others; returns the one that stands: theirs, if it is newer."""


class OwnFiles:
    """The data directory is all there is."""

    async def fetch(self) -> None:
        """Nothing: the files are here."""

    async def offer(self, identity: Identity) -> Identity:
        """Return it: it stands."""
        return identity
