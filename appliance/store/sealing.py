"""Secrets at rest: AES-256-GCM under a master key that lies beside the database, never in it.

Each box is bound to the row it stands in (its name is authenticated with it), so a box copied to another row does not
open. The master key is made once, in a file only we can read. What is not done: a missing key is never replaced while
sealed rows exist, because that would turn a lost file into lost secrets without a word.
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.store.files import sync_directory

MASTER_KEY_BYTES = 32
NONCE_BYTES = 12  # random; safe for 2^32 boxes under one key: ten thousand people for twenty years


class SealError(Exception):
    """A box or the master key cannot be used; the sentence says which and what to do."""


class Sealer:
    """Seals and opens boxes under one master key."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != MASTER_KEY_BYTES:
            raise SealError(f"The master key must be {MASTER_KEY_BYTES} bytes.")
        self._cipher = AESGCM(master_key)
        self.key_id = sha256(b"fairlead master key\n" + master_key).hexdigest()[:16]

    def seal(self, name: str, secret: bytes) -> str:
        """The box of the row `name`, as text."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret, self._row(name))).decode()

    def open(self, name: str, key_id: str, box: str) -> bytes:
        if key_id != self.key_id:
            raise SealError(f"The secret {name} was sealed under another master key. Put that key's file back.")
        try:
            raw = base64.b64decode(box, validate=True)
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], self._row(name))
        except (ValueError, InvalidTag):
            raise SealError(f"The sealed secret {name} was changed. Restore the database from a backup.") from None

    def _row(self, name: str) -> bytes:
        return f"fairlead sealed 1\n{self.key_id}\n{name}".encode()


def read_master_key(path: Path) -> bytes | None:
    """The key in the file, or None when there is no such file. A file that others can read is refused.

    Its group may read it and it may be a link, because that is how Kubernetes mounts a secret.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) or mode & 0o037:
            raise SealError(f"The master key {path} can be read by others. Run: chmod 600 {path}")
        text = file.read(MASTER_KEY_BYTES * 4)
    try:
        return base64.b64decode(text.strip(), validate=True)
    except ValueError:
        raise SealError(f"The master key {path} is not base64. Put the original file back.") from None


def make_master_key(path: Path) -> bytes:
    """A fresh key in a file of mode 0600, on the disk before it is used. If another process wins, its key counts."""
    return keep_master_key(path, secrets.token_bytes(MASTER_KEY_BYTES))


def keep_master_key(path: Path, key: bytes) -> bytes:
    """The key in a new file; the one that is there, if another process was faster."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(key) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            other = read_master_key(path)
            if other is None:
                raise SealError(f"The master key {path} appeared and went. Start again.") from None
            return other
    finally:
        draft.unlink()
    sync_directory(path.parent)
    return key
