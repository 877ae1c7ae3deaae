"""What TLS this program speaks, as server and as client: versions, ciphers, whom it trusts.

What always holds: TLS 1.2 with forward secrecy and AEAD at least, no renegotiation, no compression; a client trusts
nobody but the CA it was given; a certificate that is shown must verify.
"""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(
    chain_path: str | Path,
    key_path: str | Path,
    *,
    alpn: list[str],
    client_ca_pem: str | None = None,
    tls13_only: bool = False,
) -> ssl.SSLContext:
    """Build a server's context. With `client_ca_pem`, a certificate that a client shows must verify against it.

    Clients may show none: the route then decides (enrolment has no certificate yet).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, tls13_only=tls13_only)
    context.load_cert_chain(chain_path, key_path)
    context.set_alpn_protocols(alpn)
    if client_ca_pem is not None:
        context.load_verify_locations(cadata=client_ca_pem)
        context.verify_mode = ssl.CERT_OPTIONAL
    if tls13_only:
        context.num_tickets = 0  # agents cannot resume; a ticket would be bytes for nobody
    return context


def client_context(
    ca_pem: str,
    *,
    certificate: tuple[str | Path, str | Path] | None = None,
    alpn: list[str],
    tls13_only: bool = True,
) -> ssl.SSLContext:
    """Build a client's context that trusts `ca_pem` alone. `certificate`: paths of our chain and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context, tls13_only=tls13_only)
    context.load_verify_locations(cadata=ca_pem)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def _harden(context: ssl.SSLContext, *, tls13_only: bool) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if tls13_only else ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if not tls13_only:
        # Forward secrecy and AEAD only for what still speaks TLS 1.2.
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
