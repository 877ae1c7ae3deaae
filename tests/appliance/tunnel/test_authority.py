"""What the private CA certifies, and what it does not let itself be told."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.tunnel.authority import (
    Authority,
    BadPeerError,
    BadRequestError,
    agent_name,
    fingerprint,
    public_key_of,
)

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000


def signing_request(
    key: CertificateIssuerPrivateKeyTypes, *, common_name: str = "x", sans: Sequence[x509.GeneralName] = ()
) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(sans)), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def der(pem: str | bytes) -> bytes:
    text = pem if isinstance(pem, str) else pem.decode()
    return ssl.PEM_cert_to_DER_cert(text)


def test_an_authority_survives_being_stored() -> None:
    made = Authority.make(NOW)

    loaded = Authority.load(made.certificate_pem, made.key_pem)

    assert loaded.certificate_pem == made.certificate_pem
    assert b"PRIVATE KEY" in loaded.key_pem


def test_a_key_of_another_authority_is_refused() -> None:
    with pytest.raises(ValueError, match="does not belong"):
        Authority.load(Authority.make(NOW).certificate_pem, Authority.make(NOW).key_pem)


def test_an_agent_certificate_says_what_the_appliance_decided_and_nothing_the_agent_asked_for() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = signing_request(
        key, common_name="system:masters", sans=[x509.UniformResourceIdentifier("urn:fairlead:cluster:other:9")]
    )

    signed = Authority.make(NOW).agent_certificate(public_key_of(request), "c-1", 3, NOW)

    certificate = x509.load_pem_x509_certificate(signed.pem.encode())
    assert agent_name(der(signed.pem)).cluster_id == "c-1"
    assert agent_name(der(signed.pem)).generation == 3
    assert agent_name(der(signed.pem)).serial == signed.serial
    assert "system:masters" not in certificate.subject.rfc4514_string()
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert signed.not_before < NOW
    assert signed.not_after == NOW + 30 * DAY


def test_the_same_key_has_the_same_fingerprint() -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    first, second = (public_key_of(signing_request(key, common_name=name)) for name in ("a", "b"))

    assert fingerprint(first) == fingerprint(second)
    assert fingerprint(first) != fingerprint(ec.generate_private_key(ec.SECP256R1()).public_key())


def test_a_request_with_a_foreign_signature_is_refused() -> None:
    ours, theirs = (
        x509.load_pem_x509_csr(signing_request(ec.generate_private_key(ec.SECP256R1())).encode()) for _ in range(2)
    )
    mixed = ours.public_bytes(serialization.Encoding.DER)
    mixed = mixed.replace(ours.signature, theirs.signature)
    body = ssl.DER_cert_to_PEM_cert(mixed).replace("CERTIFICATE", "CERTIFICATE REQUEST")

    with pytest.raises(BadRequestError):
        public_key_of(body)


@pytest.mark.parametrize("request_pem", ["", "garbage", "\ud800", "-----BEGIN CERTIFICATE REQUEST-----\n", "x" * 9000])
def test_a_request_that_does_not_parse_is_refused_with_a_sentence(request_pem: str) -> None:
    with pytest.raises(BadRequestError, match=r"signing request .*\."):
        public_key_of(request_pem)


def test_other_kinds_of_keys_are_refused() -> None:
    with pytest.raises(BadRequestError, match="not P-256"):
        public_key_of(signing_request(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(BadRequestError, match="not P-256"):
        public_key_of(signing_request(rsa.generate_private_key(65537, 2048)))


@pytest.mark.parametrize("cluster_id", ["", "a:1", "a b", "x" * 65, "ü"])
def test_a_cluster_id_that_would_not_read_back_is_never_signed(cluster_id: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()

    with pytest.raises(ValueError, match="cluster id"):
        Authority.make(NOW).agent_certificate(key, cluster_id, 1, NOW)


def test_a_server_certificate_names_hosts_and_addresses_and_names_no_cluster() -> None:
    authority = Authority.make(NOW)

    pair = authority.server_certificate(["fairlead.example.com", "127.0.0.1", "::1", "127.0.0.1"], NOW)

    certificate = x509.load_pem_x509_certificate(pair.chain_pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["fairlead.example.com", "127.0.0.1", "::1"]
    with pytest.raises(BadPeerError):
        agent_name(der(pair.chain_pem))


def test_a_certificate_that_names_no_cluster_is_nobody() -> None:
    with pytest.raises(BadPeerError):
        agent_name(der(Authority.make(NOW).certificate_pem))
    with pytest.raises(BadPeerError):
        agent_name(b"\x30\x03junk")
