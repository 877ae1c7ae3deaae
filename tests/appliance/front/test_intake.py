"""Heads to values, first time and from the cache: both must be the same value."""

from __future__ import annotations

import pytest

from appliance.front.intake import MAX_BLOCKS, Intake
from wire.http1 import MAX_HEAD_BYTES, BadHead

HEAD = (
    b"GET /api/proxy/c/api/v1/pods HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc.def\r\nAccept: a\r\n"
    b"Cookie: c=d\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKubectl-Session: s-1\r\nTE: trailers\r\n\r\n"
)


def test_what_crosses_and_what_is_read_here() -> None:
    asked = Intake().parse(HEAD)
    assert (asked.method, asked.target) == (b"GET", b"/api/proxy/c/api/v1/pods")
    assert (asked.block.token, asked.block.session, asked.block.wants_trailers) == (b"abc.def", b"s-1", True)
    assert asked.block.end_to_end == ((b"Accept", b"a"), (b"Kubectl-Session", b"s-1"), (b"TE", b"trailers"))


def test_the_cache_gives_the_same_block_for_another_request_line() -> None:
    intake = Intake()
    first = intake.parse(HEAD)
    second = intake.parse(HEAD.replace(b"GET /api/proxy/c/api/v1/pods", b"DELETE /other"))
    assert (second.method, second.target) == (b"DELETE", b"/other")
    assert second.block is first.block


def test_the_version_is_part_of_what_is_cached() -> None:
    intake = Intake()
    intake.parse(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    old = intake.parse(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    assert (old.block.http10, old.block.keep_alive) == (True, False)


@pytest.mark.parametrize(
    "line",
    [
        b"GET  / HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /a#b HTTP/1.1",
        b"GET x HTTP/1.1",
        b"CONNECT / HTTP/1.1",
        b"GET /",
    ],
)
def test_a_cached_block_excuses_no_request_line(line: bytes) -> None:
    intake = Intake()
    intake.parse(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(BadHead):
        intake.parse(line + b"\r\nHost: x\r\n\r\n")


def test_a_refused_head_is_refused_again() -> None:
    intake = Intake()
    for _ in range(2):
        with pytest.raises(BadHead):
            intake.parse(b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n")


def test_the_cache_is_bounded_and_forgets_the_least_used() -> None:
    intake = Intake()
    kept = intake.parse(HEAD).block
    for number in range(MAX_BLOCKS + 10):
        intake.parse(b"GET / HTTP/1.1\r\nHost: x\r\nA: %d\r\n\r\n" % number)
        assert intake.parse(HEAD).block is kept
    assert len(intake._blocks) == MAX_BLOCKS


@pytest.mark.parametrize(
    "name", [b"Impersonate-User", b"impersonate_group", b"X-Remote-User", b"X_FAIRLEAD_x", b"Audit-ID"]
)
def test_a_reserved_header_is_named(name: bytes) -> None:
    asked = Intake().parse(b"GET / HTTP/1.1\r\nHost: x\r\n" + name + b": a\r\n\r\n")
    assert asked.block.reserved == name


@pytest.mark.parametrize(
    ("value", "trace"),
    [
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"4bf92f3577b34da6a3ce929d0e0e4736"),
        (b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", None),
        (b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None),
        (b"nonsense", None),
    ],
)
def test_only_a_valid_trace_is_taken_over(value: bytes, trace: bytes | None) -> None:
    asked = Intake().parse(b"GET / HTTP/1.1\r\nHost: x\r\ntraceparent: " + value + b"\r\n\r\n")
    assert asked.block.trace_id == trace


def test_a_cached_block_excuses_no_long_head() -> None:
    intake = Intake()
    intake.parse(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(BadHead) as caught:
        intake.parse(b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert caught.value.status == 431
