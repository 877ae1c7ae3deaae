"""Our listeners' certificates: from memory or from files, and taken up when they change."""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path

import pytest
import trio

from appliance.certificates import (
    LOOK_SECONDS,
    RENEW_SECONDS,
    CertificateError,
    GivenFiles,
    OwnAuthority,
    first_context,
    in_memory,
    keep_current,
)
from appliance.store.clock import utc_micros
from appliance.tunnel.authority import Authority
from appliance.tunnel.trust import Trust
from wire.contexts import server_context

NOW = utc_micros()  # OpenSSL asks the real clock whether a certificate is valid
MAKE = partial(server_context, alpn=["http/1.1"])


def written(directory: Path, authority: Authority, name: str) -> GivenFiles:
    pair = authority.server_certificate([name], NOW)
    chain, key = directory / "tls.crt", directory / "tls.key"
    chain.write_bytes(pair.chain_pem)
    key.write_bytes(pair.key_pem)
    return GivenFiles(chain, key)


def served_name(context: ssl.SSLContext, authority: Authority) -> str:
    """The host name for which a client accepts the certificate now in use."""
    return next(name for name in ("first", "second") if accepted(context, authority, f"{name}.example.com"))


def accepted(context: ssl.SSLContext, authority: Authority, host: str) -> bool:
    client = ssl.create_default_context(cadata=authority.certificate_pem)
    c_in, c_out, s_in, s_out = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(c_in, c_out, server_hostname=host)
    right = context.wrap_bio(s_in, s_out, server_side=True)
    for side, out, into in ((left, c_out, s_in), (right, s_out, c_in), (left, c_out, s_in)):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError:
            return False
        into.write(out.read())
    return left.version() is not None


def test_a_pair_in_memory_is_gone_afterwards() -> None:
    before = set(Path("/proc/self/fd").iterdir())
    with in_memory(Authority.make(NOW).server_certificate(["a.example.com"], NOW)) as (chain, key):
        MAKE(chain, key)
        assert not str(chain).startswith("/tmp")

    assert set(Path("/proc/self/fd").iterdir()) <= before


def test_a_certificate_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"The certificate .* cannot be used: .*\.$"):
        first_context(GivenFiles(tmp_path / "none.crt", tmp_path / "none.key"), MAKE)


async def test_a_changed_file_is_taken_up_and_a_broken_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority.make(NOW)
    source = written(tmp_path, authority, "first.example.com")
    context = first_context(source, MAKE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_current, source, context)
        await trio.sleep(LOOK_SECONDS / 2)
        assert served_name(context, authority) == "first"

        written(tmp_path, authority, "second.example.com")  # half of a renewal: the key is still the old one's
        (tmp_path / "tls.key").write_text("broken")
        await trio.sleep(LOOK_SECONDS * 1.5)
        assert served_name(context, authority) == "first"
        assert "the old one stays" in capsys.readouterr().out

        written(tmp_path, authority, "second.example.com")
        await trio.sleep(LOOK_SECONDS * 3)
        assert served_name(context, authority) == "second"
        nursery.cancel_scope.cancel()


async def test_our_own_certificate_is_renewed_before_it_ends() -> None:
    asked: list[int] = []

    def clock() -> int:
        asked.append(1)
        return NOW

    authority = Authority.make(NOW)
    source = OwnAuthority(Trust([authority]), ["a.example.com"], clock)
    context = first_context(source, MAKE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_current, source, context)
        await trio.sleep(RENEW_SECONDS - 1)
        assert len(asked) == 1
        await trio.sleep(2)
        assert len(asked) == 2
        nursery.cancel_scope.cancel()
