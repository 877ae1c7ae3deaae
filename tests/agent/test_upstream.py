"""The agent's own credential: the file's content now, or none."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent import config
from agent.guard import RefusedError
from agent.identity import write_private
from agent.upstream import RECEIVE_BYTES, Upstream
from tests.agent.rig import Caller, staged
from tests.support.certificates import TestCA
from wire.frames import ResetCode


def settings(tmp_path: Path, token: str | None = "first") -> config.Upstream:
    (tmp_path / "ca.pem").write_text(TestCA.make().pem)
    if token is not None:
        (tmp_path / "token").write_text(token)
    return config.Upstream("10.0.0.1", 6443, tmp_path / "ca.pem", tmp_path / "token", None, None, "10.0.0.1")


def test_a_replaced_token_is_used(tmp_path: Path) -> None:
    upstream = Upstream(settings(tmp_path))
    assert upstream.authorization == b"Authorization: Bearer first\r\n"

    write_private(tmp_path / "token", b"second\n")
    upstream.refresh()

    assert upstream.authorization == b"Authorization: Bearer second\r\n"
    assert upstream.authority == b"10.0.0.1:6443"


@pytest.mark.parametrize("token", [None, "", "  \n", "a b", "ü", "a\nX-Evil: 1", "x" * 20_000])
def test_without_a_token_nothing_goes_up(tmp_path: Path, token: str | None) -> None:
    upstream = Upstream(settings(tmp_path, token))

    with pytest.raises(RefusedError) as caught:
        _ = upstream.authorization

    assert caught.value.code == ResetCode.UPSTREAM_CREDENTIAL
    assert "check the upstream files" in upstream.fault
    assert not token or token not in upstream.fault


def test_a_token_that_vanishes_is_not_used_on_and_may_come_back(tmp_path: Path) -> None:
    upstream = Upstream(settings(tmp_path))
    (tmp_path / "token").unlink()
    upstream.refresh()
    with pytest.raises(RefusedError):
        _ = upstream.authorization

    (tmp_path / "token").write_text("third")
    upstream.refresh()

    assert upstream.authorization == b"Authorization: Bearer third\r\n"
    assert upstream.fault == ""


def test_a_client_certificate_speaks_without_a_header(tmp_path: Path) -> None:
    authority = TestCA.make()
    chain, key = authority.issue(tmp_path, "agent")
    (tmp_path / "ca.pem").write_text(authority.pem)
    upstream = Upstream(config.Upstream("10.0.0.1", 443, tmp_path / "ca.pem", None, chain, key, "10.0.0.1"))

    assert upstream.authorization == b""
    assert upstream.authority == b"10.0.0.1"


def test_a_ca_that_is_none_is_a_fault(tmp_path: Path) -> None:
    given = settings(tmp_path)
    (tmp_path / "ca.pem").write_text("not a certificate")

    assert "does not hold what it should" in Upstream(given).fault


@pytest.mark.real_clock
async def test_the_kernel_holds_a_bounded_part_of_an_answer(tmp_path: Path) -> None:
    async def script(caller: Caller) -> None:
        await caller.gone()

    async with staged(tmp_path, script) as stage:
        stream = await stage.upstream.dial()
        held = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        stream.abort()
    assert held <= 2 * RECEIVE_BYTES, "Linux doubles what it is told"
