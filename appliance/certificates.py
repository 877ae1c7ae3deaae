"""Certificates of our own listeners: a given one, read again when its file changes, or one that our CA signs.

A live SSLContext takes a new certificate in place; handshakes begun before keep the old one. What always holds: a
certificate that cannot be read is an error in the log and the one in use stays; a private key of our CA's making is
never in a file that anyone could open.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog
import trio
from cryptography import x509

from appliance.tunnel.authority import SERVER_DAYS, KeyPair
from appliance.tunnel.trust import Trust

LOOK_SECONDS = 10.0  # how soon a renewed certificate file is taken up
RENEW_SECONDS = SERVER_DAYS * 86_400 * 2 / 3  # of our own CA's certificates, counted from the start


class CertificateError(Exception):
    """A given certificate or key cannot be used; the text is one sentence."""


class Source(Protocol):
    """Where a listener's certificate comes from. `not_after`: when the one in use expires (seconds since the epoch)."""

    not_after: float

    @contextmanager
    def files(self) -> Iterator[tuple[Path, Path]]:
        """Paths of chain and key, valid inside the block."""

    async def changed(self) -> None:
        """Return when there is another certificate to take up."""


class GivenFiles:
    """A certificate that someone else renews."""

    def __init__(self, chain: Path, key: Path) -> None:
        self.not_after = 0.0
        self._chain, self._key = chain, key
        self._seen = self._marks()

    @contextmanager
    def files(self) -> Iterator[tuple[Path, Path]]:
        self._seen = self._marks()
        yield self._chain, self._key

    async def changed(self) -> None:
        while self._marks() == self._seen:  # noqa: ASYNC110 -- a file has no event to wait for
            await trio.sleep(LOOK_SECONDS)

    def _marks(self) -> tuple[object, ...]:
        """What differs once a file was replaced or rewritten; Kubernetes swaps a symbolic link."""
        try:
            found = (self._chain.stat(), self._key.stat())
        except OSError:
            return ()
        return tuple((it.st_ino, it.st_mtime_ns, it.st_size) for it in found)


class OwnAuthority:
    """A certificate that our CA signs at each start, at two thirds of its life, and when the authorities change."""

    def __init__(self, trust: Trust, names: Sequence[str], clock: Callable[[], int]) -> None:
        self.not_after = 0.0
        self._trust, self._names, self._clock = trust, names, clock

    @contextmanager
    def files(self) -> Iterator[tuple[Path, Path]]:
        with in_memory(self._trust.for_listeners.server_certificate(self._names, self._clock())) as paths:
            yield paths

    async def changed(self) -> None:
        with trio.move_on_after(RENEW_SECONDS):
            await self._trust.changed.wait()


@contextmanager
def in_memory(pair: KeyPair) -> Iterator[tuple[Path, Path]]:
    """Paths under which OpenSSL can read a pair; memory of this process where the system has that."""
    if hasattr(os, "memfd_create"):
        chain, key = os.memfd_create("chain"), os.memfd_create("key")
        try:
            os.write(chain, pair.chain_pem)
            os.write(key, pair.key_pem)
            yield Path(f"/proc/self/fd/{chain}"), Path(f"/proc/self/fd/{key}")
        finally:
            os.close(chain)
            os.close(key)
    else:
        with tempfile.TemporaryDirectory() as directory:  # mode 0700
            chain_path, key_path = Path(directory, "chain"), Path(directory, "key")
            chain_path.write_bytes(pair.chain_pem)
            key_path.write_bytes(pair.key_pem)
            yield chain_path, key_path


def first_context(source: Source, make: Callable[[Path, Path], ssl.SSLContext]) -> ssl.SSLContext:
    """The listener's context with its first certificate."""
    with source.files() as (chain, key):
        try:
            context = make(chain, key)
            source.not_after = _not_after(chain)
            return context
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(
                f"The certificate {chain} with the key {key} cannot be used: {_why(error)}."
            ) from None


async def keep_current(source: Source, context: ssl.SSLContext) -> None:
    """Take up each new certificate, until cancelled."""

    def use(chain: Path, key: Path) -> None:
        # A mismatched pair must not half replace the one in use: try it on a context nobody uses.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key)
        context.load_cert_chain(chain, key)

    while True:
        await source.changed()
        await take_up(source, use)


async def take_up(source: Source, use: Callable[[Path, Path], None]) -> None:
    """Use a source's certificate; one that cannot be used is an error in the log, and worth a pause."""
    try:
        with source.files() as (chain, key):
            use(chain, key)
            source.not_after = _not_after(chain)
    except (OSError, ssl.SSLError) as error:
        structlog.get_logger().error(
            "a new certificate cannot be used; the old one stays: put a chain and its own key into the files",
            why=_why(error),
        )
        await trio.sleep(LOOK_SECONDS)
    else:
        structlog.get_logger().info("took up a new certificate")


def _not_after(chain: Path) -> float:
    """Of the first certificate in a file that OpenSSL has just taken. 0: it is in a form that only OpenSSL reads."""
    try:
        return x509.load_pem_x509_certificate(chain.read_bytes()).not_valid_after_utc.timestamp()
    except ValueError:
        return 0.0


def _why(error: OSError) -> str:
    return error.strerror or str(error)
