"""The head as the API server gets it."""

from __future__ import annotations

import pytest

from agent.config import Bounds
from agent.guard import Guard, RefusedError
from agent.outgoing import Outbox, Outgoing, impersonation
from wire.blocks import MAX_REMEMBERED
from wire.frames import ResetCode
from wire.heads import Headers, Identity, RequestHead

ALICE = Identity(b"alice")


def outbox() -> Outbox:
    return Outbox(Guard(Bounds()), b"10.0.0.1:6443")


def send(
    headers: Headers = (),
    method: bytes = b"GET",
    *,
    box: Outbox | None = None,
    who: Identity = ALICE,
    has_body: bool = False,
    upgrade: bool = False,
) -> Outgoing:
    request = RequestHead(method, b"/api/v1/pods", headers)
    authorization = b"Authorization: Bearer t\r\n"
    return (box or outbox()).outgoing(request, who, has_body=has_body, upgrade=upgrade, authorization=authorization)


def test_the_agents_own_lines_come_first_and_only_once() -> None:
    sent = send(((b"Host", b"evil"), (b"Authorization", b"Bearer user"), (b"Cookie", b"c"), (b"Accept", b"*/*")))

    assert sent.head == (
        b"GET /api/v1/pods HTTP/1.1\r\nHost: 10.0.0.1:6443\r\nAuthorization: Bearer t\r\n"
        b"Impersonate-User: alice\r\nAccept: */*\r\n\r\n"
    )
    assert sent.repeatable


def test_one_line_for_each_group_and_extra_and_keys_are_percent_encoded() -> None:
    who = Identity(b"a", b"u-1", (b"x", b"y,z"), ((b"fairlead.example.com/credential", b"c 1"), (b"Key%", b"v")))

    assert impersonation(who) == (
        b"Impersonate-User: a\r\nImpersonate-Uid: u-1\r\nImpersonate-Group: x\r\nImpersonate-Group: y,z\r\n"
        b"Impersonate-Extra-fairlead.example.com%2Fcredential: c 1\r\nImpersonate-Extra-%4Bey%25: v\r\n"
    )


@pytest.mark.parametrize(
    "name",
    [
        b"Impersonate-User",
        b"impersonate_group",
        b"IMPERSONATE-EXTRA-x",
        b"X-Remote-User",
        b"x_remote_group",
        b"Audit-ID",
    ],
)
def test_reserved_headers_are_refused_in_any_spelling(name: bytes) -> None:
    box = outbox()
    for _ in range(2):
        with pytest.raises(RefusedError) as caught:
            send(((name, b"root"),), box=box)
        assert caught.value.code == ResetCode.REFUSED


@pytest.mark.parametrize(
    "headers",
    [
        ((b"X", b"a\r\nImpersonate-User: root"),),
        ((b"X", b"a\nb"),),
        ((b"X", b"a\x00"),),
        ((b"X", b"a\x7f"),),
        ((b"X y", b"a"),),
        ((b"X:", b"a"),),
        ((b"", b"a"),),
        tuple((b"X", b"a") for _ in range(101)),
        ((b"Content-Length", b"1"), (b"Content-Length", b"2")),
        ((b"Content-Length", b"-1"),),
    ],
)
def test_headers_that_would_be_read_as_something_else_are_refused(headers: Headers) -> None:
    with pytest.raises(RefusedError) as caught:
        send(headers, b"POST", has_body=True)
    assert caught.value.code == ResetCode.BAD_REQUEST


@pytest.mark.parametrize(
    ("headers", "method", "has_body", "framing"),
    [
        ((), b"GET", False, b""),
        ((), b"POST", False, b"Content-Length: 0\r\n"),
        (((b"Content-Length", b"0"),), b"POST", False, b"Content-Length: 0\r\n"),
        (((b"content-length", b"12"),), b"POST", True, b"Content-Length: 12\r\n"),
        (((b"Content-Length", b"12"), (b"Transfer-Encoding", b"chunked")), b"PUT", True, b"Content-Length: 12\r\n"),
        ((), b"PATCH", True, b"Transfer-Encoding: chunked\r\n"),
        (((b"Connection", b"close, X-Foo"), (b"X-Foo", b"1"), (b"Keep-Alive", b"9")), b"GET", False, b""),
    ],
)
def test_framing_is_ours(headers: Headers, method: bytes, has_body: bool, framing: bytes) -> None:
    sent = send(headers, method, has_body=has_body)

    assert sent.head.endswith(b"Impersonate-User: alice\r\n" + framing + b"\r\n")
    assert sent.repeatable is (method == b"GET" and not has_body)


def test_a_body_that_is_announced_and_missing_is_refused() -> None:
    with pytest.raises(RefusedError):
        send(((b"Content-Length", b"3"),), b"POST")


def test_an_upgrade_names_itself_in_connection() -> None:
    sent = send(((b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")), upgrade=True)

    assert sent.head.endswith(b"Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert not sent.repeatable


def test_what_is_remembered_is_bounded() -> None:
    box = outbox()
    for number in range(MAX_REMEMBERED + 10):
        send(((b"Kubectl-Session", b"%d" % number),), box=box)
    send(((b"X", b"y" * 10_000),), box=box)

    assert 0 < len(box._headers) <= MAX_REMEMBERED
    assert len(box._identities) == 1
