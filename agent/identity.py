"""Who the agent is: its private key, its certificate and the CA it trusts, as files in its data directory.

What always holds: the key is made here and never leaves; every file is 0600 in a 0700 directory and is replaced as a
whole or not at all, so a crash leaves the old identity or the new one. A certificate counts only with the key that it
certifies. It does not talk to anyone (enrolment does).
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MAX_FILE_BYTES: Final = 256 * 1024
RENEW_AT: Final = 1 / 3  # of a certificate's life: twenty days of a month are left for an outage
RENEW_JITTER: Final = 0.1  # of that time, so that a fleet installed in one hour does not renew in one

KEY: Final = "agent.key"
_CERTIFICATE: Final = "agent.crt"
CREDENTIAL: Final = "credential.json"


class IdentityError(Exception):
    """The identity on disk cannot be used; the text is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An enrolled agent. Times are seconds since the epoch."""

    cluster_id: str
    url: str
    ca_pem: str
    spent: str
    """Mark of the bootstrap token that bought it."""
    certificate_path: Path
    key_path: Path
    not_after: float
    issued: float
    """When it came, by this host's clock."""
    life: float
    """Seconds from then on for which it is good: that this host's clock is wrong changes nothing."""

    def renewal_at(self, jitter: float) -> float:
        """Return when to renew it, by this host's clock. `jitter`: 0 to 1, of the time that may be waited beyond."""
        return self.issued + self.life * RENEW_AT * (1 + RENEW_JITTER * jitter)

    def expired(self, now: float) -> bool:
        """Tell whether the certificate no longer opens anything."""
        return now >= self.issued + self.life


class DataDirectory:
    """The agent's files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the directory, or refuse one that others can enter.

        Raises:
            IdentityError: it cannot be made, or is open to others.

        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = self.path.stat().st_mode
        except OSError as error:
            raise IdentityError(f"data_dir {self.path} cannot be made: {error.strerror}.") from None
        if mode & (stat.S_IRWXG | stat.S_IRWXO) and not mode & stat.S_ISGID:
            # A pod's volume with fsGroup is group-owned and setgid by Kubernetes' own hand; its files are still 0600.
            raise IdentityError(f"data_dir {self.path} is open to others: run `chmod 0700 {self.path}`.")

    def private_key(self) -> ec.EllipticCurvePrivateKey:
        """Return the agent's key, made on first use.

        Raises:
            IdentityError: the file holds something else.

        """
        path = self.path / KEY
        pem = _read(path)
        if pem is None:
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(path, _key_pem(key))
            return key
        loaded = _loaded_key(pem)
        if loaded is None:
            raise IdentityError(f"{path} is not an agent's key: remove it, and enrol with a new bundle.")
        return loaded

    def content(self) -> dict[str, bytes]:
        """Return the files an identity consists of, by name; without an identity only the key, made now if need be."""
        self.private_key()
        found = {name: _read(self.path / name) for name in (KEY, CREDENTIAL)}
        return {name: content for name, content in found.items() if content is not None}

    def take(self, content: Mapping[str, bytes]) -> None:
        """Replace the identity by another's files: the key, and the credential if there is one.

        Both are looked at before anything here is touched. With the same key, as after another's renewal, one file is
        replaced; with another key a crash in between leaves that key alone, and what is shared is taken up again.

        Raises:
            IdentityError: they are no key and no credential for it. What was here is here still.

        """
        key = _loaded_key(content[KEY])
        if key is None:
            raise IdentityError(f"{KEY} is not an agent's key.")
        credential = content.get(CREDENTIAL)
        if credential is not None:
            try:
                _read_credential(credential, key, self.path)
            except _DAMAGE:
                raise IdentityError(f"{CREDENTIAL} is damaged.") from None
        if content[KEY] != _read(self.path / KEY) or credential is None:
            (self.path / CREDENTIAL).unlink(missing_ok=True)  # it never stands beside another's key
            write_private(self.path / KEY, content[KEY])
        if credential is not None:
            write_private(self.path / CREDENTIAL, credential)
            self.identity()

    def signing_request(self) -> str:
        """Return the PEM request that proves possession of the key. Its other contents mean nothing."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fairlead agent")])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.private_key(), hashes.SHA256())
        return request.public_bytes(serialization.Encoding.PEM).decode()

    def keep(
        self,
        *,
        cluster_id: str,
        url: str,
        ca_pem: str,
        certificate_pem: str,
        spent: str,
        their_clock: int | None = None,
    ) -> Identity:
        """Keep a certificate that was issued for our key. `their_clock`: the appliance's time, seconds since 1970.

        Raises:
            IdentityError: it does not certify our key.

        """
        certificate = _check_certificate(certificate_pem, self.private_key())
        now = wall_seconds()
        life = certificate.not_valid_after_utc.timestamp() - (now if their_clock is None else their_clock)
        content = {
            "cluster": cluster_id,
            "url": url,
            "ca": ca_pem,
            "certificate": certificate_pem,
            "spent": spent,
            "issued": now,
            "life": life,
        }
        write_private(self.path / CREDENTIAL, json.dumps(content, indent=2).encode())
        identity = self.identity()
        assert identity is not None, "it was just written"
        return identity

    def identity(self) -> Identity | None:
        """Return the stored identity; None: not enrolled yet.

        Raises:
            IdentityError: it is damaged.

        """
        raw = _read(self.path / CREDENTIAL)
        if raw is None:
            return None
        try:
            identity, certificate_pem = _read_credential(raw, self.private_key(), self.path)
        except _DAMAGE:
            raise IdentityError(
                f"{self.path / CREDENTIAL} is damaged: remove it, and enrol with a new bundle."
            ) from None
        # OpenSSL wants a file of its own; it follows the credential, which alone is the truth.
        if _read(identity.certificate_path) != certificate_pem:
            write_private(identity.certificate_path, certificate_pem)
        return identity

    def sound(self) -> Identity | None:
        """Return the stored identity; None, too, where it is damaged: whoever dials with it says what to do."""
        try:
            return self.identity()
        except IdentityError:
            return None


_DAMAGE: Final = (ValueError, KeyError, TypeError)


def _read_credential(raw: bytes, key: ec.EllipticCurvePrivateKey, directory: Path) -> tuple[Identity, bytes]:
    """Return what CREDENTIAL says, and its certificate. Raises one of _DAMAGE; IdentityError: it is for another key."""
    content = json.loads(raw)
    certificate_pem = str(content["certificate"])
    certificate = _check_certificate(certificate_pem, key)
    not_after = certificate.not_valid_after_utc.timestamp()
    issued = float(content.get("issued", certificate.not_valid_before_utc.timestamp()))
    identity = Identity(
        str(content["cluster"]),
        str(content["url"]),
        str(content["ca"]),
        str(content["spent"]),
        directory / _CERTIFICATE,
        directory / KEY,
        not_after,
        issued,
        float(content.get("life", not_after - issued)),
    )
    return identity, certificate_pem.encode()


def _check_certificate(certificate_pem: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    if certificate.public_key() != key.public_key():
        raise IdentityError("The certificate is for another key: remove data_dir, and enrol with a new bundle.")
    return certificate


def _loaded_key(pem: bytes) -> ec.EllipticCurvePrivateKey | None:
    """Read a key of the one kind an agent has; None: it is something else."""
    try:
        loaded = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        return None
    return loaded if isinstance(loaded, ec.EllipticCurvePrivateKey) else None


def wall_seconds() -> float:
    """Return the time of day, for certificates only."""
    return datetime.now(UTC).timestamp()


def write_private(path: Path, content: bytes) -> None:
    """Write a file as a whole: 0600, on the disk, then in its place.

    Raises:
        IdentityError: the disk refuses.

    """
    temporary = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise IdentityError(f"{path} cannot be written: {error.strerror}.") from None


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror}.") from None


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
