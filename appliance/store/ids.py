"""Identifiers and secrets: random, of one form, never reused."""

from __future__ import annotations

import secrets
from hashlib import sha256

ID_BYTES = 10  # 80 bits: no collision among billions, and short enough to read out
TOKEN_BYTES = 32  # what is kept of it is a plain SHA-256, so it must be unguessable


def new_id(kind: str) -> str:
    """A fresh id such as `cluster_2f1c...`. The underscore keeps ids apart from names, which never hold one."""
    return f"{kind}_{secrets.token_hex(ID_BYTES)}"


def new_token(kind: str) -> str:
    """A fresh bearer secret such as `flm_...`; the prefix lets scanners find one that leaked."""
    return f"{kind}_{secrets.token_urlsafe(TOKEN_BYTES)}"


def new_salt() -> str:
    """A fresh 128 bits, for what follows from a secret that is not in the same place."""
    return secrets.token_urlsafe(16)


def token_hash(token: str) -> str:
    """The only form in which a random token is kept: SHA-256, hex."""
    return sha256(token.encode()).hexdigest()
