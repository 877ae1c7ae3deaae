"""A checkpoint kept outside the ledger: with it, the loss of everything after some moment is found, too.

Its file is one JSON object with the signed line and its signature, as they stand in the ledger; it holds no secret.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.audit import statements
from appliance.audit.chain import Checkpoint, keyring, signed_by
from appliance.audit.reader import Reader

MAX_FILE_BYTES = 1024 * 1024  # one checkpoint has some hundred bytes for each appliance that runs


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """The line, its signature, and what it says."""

    body: str
    signature: str

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint.parse(self.body)

    @property
    def number(self) -> int:
        return self.checkpoint.number

    def signed_by(self, key: Ed25519PublicKey) -> bool:
        return signed_by(self.body, self.signature, keyring([key]), self.checkpoint.key_id)

    def text(self) -> str:
        document = {"fairlead_audit_checkpoint": self.number, "body": self.body, "signature": self.signature}
        return json.dumps(document, indent=2) + "\n"

    @classmethod
    def parse(cls, text: str) -> KeptCheckpoint:
        """Raises ValueError for what `text` does not produce."""
        try:
            document = json.loads(text)
            kept = cls(document["body"], document["signature"])
            if kept.text() == text:
                return kept
        except (TypeError, KeyError) as error:
            raise ValueError(f"not an exported checkpoint: {error}") from None
        raise ValueError("not an exported checkpoint, or changed since")

    @classmethod
    def latest(cls, reader: Reader) -> KeptCheckpoint | None:
        """The last one of a ledger; None: it has none yet."""
        rows = reader.shelf.rows(statements.LAST_CHECKPOINT)
        return cls(rows[0][1], rows[0][2]) if rows else None
