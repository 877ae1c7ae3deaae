"""The encryption of a backup: a passphrase, a header, and chunks that can neither be changed, moved, cut nor added to.

    header   magic (16), form (1), log2 n, r, p of scrypt (3), salt (16), nonce prefix (7)
    mac      HMAC-SHA256 of the header (32): it tells a wrong passphrase from a damaged file
    chunks   AES-256-GCM of 64 KiB each, the last one shorter; nonce = prefix, number (4 bytes), 1 in the last (1)

What always holds: no more than two chunks are in memory; nothing is given out before its chunk was authenticated;
every chunk's tag covers the header, its number and whether it is the last. Compressed before it is encrypted: the
text of audit records repeats itself. A key serves one file, because the salt is fresh.
"""

from __future__ import annotations

import hmac
import secrets
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from appliance.backup.faults import BackupDamaged, BackupError

MAGIC = b"fairlead backup\n"
FORM = 1
CHUNK = 64 * 1024  # a tag per 64 KiB costs nothing, and a chunk is what must be held
TAG = 16
LOG2_N, R, P = 16, 8, 2  # 64 MiB and some tenths of a second for each guess at the passphrase
MOST_LOG2_N, MOST_R, MOST_P = 20, 16, 16  # what a header may ask of us: 2 GiB at most
MAX_CHUNKS = 1 << 32
COMPRESSION = 1  # the fastest: six times smaller for the audit ledger, where the slowest gives eight
INFLATED = 256 * 1024  # bytes given out at once, however well they were compressed

_HEADER = struct.Struct(">16sBBBB16s7s")
_MAC_BYTES = 32


class Envelope:
    """Writes one; `write` as often as needed, then `finish`. What was not finished does not open."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        self._file = file
        header = _HEADER.pack(MAGIC, FORM, LOG2_N, R, P, secrets.token_bytes(16), secrets.token_bytes(7))
        self._keys = _Keys(passphrase, header)
        self._squeezer = zlib.compressobj(COMPRESSION)
        self._waiting = bytearray()
        self._number = 0
        file.write(header + self._keys.mac())

    def write(self, data: bytes) -> None:
        self._waiting += self._squeezer.compress(data)
        while len(self._waiting) > CHUNK:  # the last chunk is known to be the last only when it ends
            self._seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]

    def finish(self) -> None:
        self._waiting += self._squeezer.flush()
        while len(self._waiting) > CHUNK:
            self._seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        self._seal(bytes(self._waiting), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._file.write(self._keys.seal(chunk, self._number, last=last))
        self._number += 1


def opened(file: BinaryIO, passphrase: str) -> Iterator[bytes]:
    """What was written, piece by piece.

    Raises:
        BackupError: it is no backup, one of another form, or the passphrase is wrong.
        BackupDamaged: it was changed or cut; what was given before is authentic, but not the whole.

    """
    header = file.read(_HEADER.size)
    if header[: len(MAGIC)] != MAGIC:
        raise BackupError("This is no backup of Fairlead.")
    if header[len(MAGIC) :][:1] != bytes([FORM]):
        raise BackupError("The backup is of a form that this program does not know. Install a newer one.")
    mac = file.read(_MAC_BYTES)
    if len(header) != _HEADER.size or len(mac) != _MAC_BYTES:
        raise BackupDamaged("The backup is cut off: there is nothing in it.")
    _, _, log2_n, r, p, *_ = _HEADER.unpack(header)
    if not (1 <= log2_n <= MOST_LOG2_N and 1 <= r <= MOST_R and 1 <= p <= MOST_P):
        raise BackupDamaged("The backup was changed: its header says what no backup says.")
    keys = _Keys(passphrase, header)
    if not hmac.compare_digest(mac, keys.mac()):
        raise BackupError("The passphrase is not the one this backup was made with.")
    yield from _inflated(_chunks(file, keys))


def _chunks(file: BinaryIO, keys: _Keys) -> Iterator[bytes]:
    following = file.read(CHUNK + TAG)
    for number in range(MAX_CHUNKS):
        chunk, following = following, file.read(CHUNK + TAG)
        last = not following
        try:
            yield keys.open(chunk, number, last=last)
        except InvalidTag:
            raise BackupDamaged(_what_happened(keys, chunk, number, last=last)) from None
        if last:
            return
    raise BackupDamaged("The backup is longer than any backup can be.")


def _what_happened(keys: _Keys, chunk: bytes, number: int, *, last: bool) -> str:
    try:
        keys.open(chunk, number, last=not last)
    except InvalidTag:
        place = _HEADER.size + _MAC_BYTES + number * (CHUNK + TAG)
        return f"The backup was changed or cut off, at or after byte {place}. Use another copy."
    if last:
        return "The backup is cut off: its end is missing. Use another copy."
    return "Something was added after the end of the backup. Use another copy."


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj()
    try:
        for chunk in chunks:
            waiting = chunk
            while waiting and not inflater.eof:
                piece = inflater.decompress(waiting, INFLATED)
                waiting = inflater.unconsumed_tail
                if piece:
                    yield piece
        if rest := inflater.flush():
            yield rest
    except zlib.error:
        raise BackupDamaged("The backup holds what is no compressed text.") from None
    if not inflater.eof or inflater.unused_data:
        raise BackupDamaged("The backup does not end where its text ends.")


class _Keys:
    """What follows from a passphrase and a header."""

    def __init__(self, passphrase: str, header: bytes) -> None:
        _, _, log2_n, r, p, salt, self._prefix = _HEADER.unpack(header)
        root = _stretched(passphrase, salt, log2_n, r, p)
        self._header = header
        self._mac_key = HKDFExpand(SHA256(), 32, b"fairlead backup 1 header").derive(root)
        self._cipher = AESGCM(HKDFExpand(SHA256(), 32, b"fairlead backup 1 chunks").derive(root))

    def mac(self) -> bytes:
        return hmac.digest(self._mac_key, self._header, "sha256")

    def seal(self, chunk: bytes, number: int, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(number, last=last), chunk, self._header)

    def open(self, chunk: bytes, number: int, *, last: bool) -> bytes:
        return self._cipher.decrypt(self._nonce(number, last=last), chunk, self._header)

    def _nonce(self, number: int, *, last: bool) -> bytes:
        prefix: bytes = self._prefix
        return prefix + struct.pack(">I?", number, last)


@lru_cache(maxsize=1)  # a restore reads its backup several times
def _stretched(passphrase: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    root: bytes = Scrypt(salt=salt, length=32, n=1 << log2_n, r=r, p=p).derive(passphrase.encode())
    return root
