"""The private certificate authority: it certifies the appliance's own listeners and the agents, and nothing else.

Pure but for the keys it makes. What always holds: a certificate for an agent says only what the appliance decided
(cluster and generation in its one SAN); of a signing request nothing counts but the public key, and that only after
its signature proves that the sender holds the private one. Keys are P-256. It does not store, revoke or count
serials: the store does, and a serial the store does not know opens nothing.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS: Final = 3650  # agents pin it; a change of it is a deliberate act, not an anniversary
SERVER_DAYS: Final = 90  # made anew at each start and at two thirds of its life; the key never reaches a disk of ours
AGENT_SECONDS: Final = 30 * 86_400  # renewed after a third: twenty days of outage before anyone must enrol again
BACKDATED: Final = timedelta(minutes=5)  # clocks differ; a certificate must be good on arrival
MAX_REQUEST_BYTES: Final = 8 * 1024  # a P-256 signing request is below 1 KiB
MAX_GENERATION: Final = 2**31 - 1

_SAN: Final = re.compile(r"urn:fairlead:cluster:([A-Za-z0-9_-]{1,64}):(0|[1-9][0-9]{0,9})")


class BadRequestError(ValueError):
    """A signing request that proves nothing; the text is a sentence for its sender."""


class BadPeerError(ValueError):
    """A certificate that names no cluster in the way this authority writes it."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its private key, both PEM."""

    chain_pem: bytes
    key_pem: bytes


@dataclass(frozen=True, slots=True)
class AgentCertificate:
    """What was signed for an agent, and what the store keeps of it. Times are microseconds UTC."""

    pem: str
    serial: str
    not_before: int
    not_after: int


@dataclass(frozen=True, slots=True)
class AgentName:
    """Whom an agent's certificate speaks for."""

    cluster_id: str
    generation: int
    serial: str


class Authority:
    """One CA certificate with its key."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        if certificate.public_key() != key.public_key():
            raise ValueError("the authority's key does not belong to its certificate")
        self._certificate = certificate
        self._key = key
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM).decode()

    @classmethod
    def make(cls, now: int) -> Authority:
        """Make a new authority; `key_pem` is what the store must seal."""
        key = ec.generate_private_key(ec.SECP256R1())
        mark = hashlib.sha256(_public_bytes(key.public_key())).hexdigest()[:12]
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Fairlead authority {mark}")])
        usage = _usage(certificate_sign=True)
        start = _moment(now)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start - BACKDATED)
            .not_valid_after(start + timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, certificate_pem: str, key_pem: bytes) -> Authority:
        """Take up an authority made before."""
        key = serialization.load_pem_private_key(key_pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is not an elliptic curve key")
        return cls(x509.load_pem_x509_certificate(certificate_pem.encode()), key)

    @property
    def key_pem(self) -> bytes:
        """The private key, for sealing only."""
        return _private_pem(self._key)

    def server_certificate(self, names: Sequence[str], now: int) -> KeyPair:
        """Make a key and certify it for host names and IP addresses (at least one)."""
        if not names:
            raise ValueError("a server certificate needs a name")
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys(names)])
        builder = self._leaf("fairlead", key.public_key(), now, SERVER_DAYS * 86_400, ExtendedKeyUsageOID.SERVER_AUTH)
        certificate = builder.add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256())
        return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), _private_pem(key))

    def agent_certificate(
        self,
        public_key: ec.EllipticCurvePublicKey,
        cluster_id: str,
        generation: int,
        now: int,
        seconds: int = AGENT_SECONDS,
    ) -> AgentCertificate:
        """Certify an agent's key for one generation of one cluster."""
        san = f"urn:fairlead:cluster:{cluster_id}:{generation}"
        if not _SAN.fullmatch(san) or generation > MAX_GENERATION:
            raise ValueError("a cluster id is 1 to 64 letters, digits, '-' or '_', and its generation a small number")
        builder = self._leaf("fairlead agent", public_key, now, seconds, ExtendedKeyUsageOID.CLIENT_AUTH)
        alternatives = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(san)])
        certificate = builder.add_extension(alternatives, critical=True).sign(self._key, hashes.SHA256())
        return AgentCertificate(
            certificate.public_bytes(serialization.Encoding.PEM).decode(),
            _serial(certificate),
            _microseconds(certificate.not_valid_before_utc),
            _microseconds(certificate.not_valid_after_utc),
        )

    def _leaf(
        self,
        common_name: str,
        public_key: ec.EllipticCurvePublicKey,
        now: int,
        seconds: int,
        purpose: x509.ObjectIdentifier,
    ) -> x509.CertificateBuilder:
        start = _moment(now)
        end = min(start + timedelta(seconds=seconds), self._certificate.not_valid_after_utc)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start - BACKDATED)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificate_sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def public_key_of(request_pem: str) -> ec.EllipticCurvePublicKey:
    """Return the public key of a signing request whose signature proves its private key.

    Raises:
        BadRequestError: it does not parse, is too long, is not P-256 or does not prove possession.

    """
    if len(request_pem) > MAX_REQUEST_BYTES:
        raise BadRequestError("The signing request is too long.")
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise BadRequestError("The signing request's key is not P-256.")
        if not request.is_signature_valid:
            raise BadRequestError("The signing request is not signed by its own key.")
    except (UnsupportedAlgorithm, InvalidSignature, UnicodeEncodeError) as error:
        raise BadRequestError("The signing request uses what is not supported here.") from error
    except BadRequestError:
        raise
    except ValueError as error:
        raise BadRequestError("The signing request does not parse.") from error
    return key


def fingerprint(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the SHA-256 of a public key: the same key is the same agent."""
    return hashlib.sha256(_public_bytes(public_key)).digest()


def agent_name(certificate_der: bytes) -> AgentName:
    """Read whom a certificate speaks for. That it is ours and valid, TLS has verified.

    Raises:
        BadPeerError: no SAN, several, or one of another form.

    """
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        serial = _serial(certificate)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise BadPeerError("the certificate names no cluster") from error
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise BadPeerError("the certificate does not name exactly one cluster")
    found = _SAN.fullmatch(names[0].value)
    if found is None:
        raise BadPeerError("the certificate's name is not that of a cluster")
    return AgentName(found[1], int(found[2]), serial)


def _serial(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"


def _usage(*, certificate_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificate_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificate_sign,
        crl_sign=certificate_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _moment(now: int) -> datetime:
    return datetime.fromtimestamp(now // 1_000_000, UTC)


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000
