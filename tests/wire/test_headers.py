"""Which headers cross, which stop, which are refused, in any spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.headers import (
    ReservedHeader,
    find,
    find_all,
    is_reserved,
    request_end_to_end,
    response_end_to_end,
    trailers_end_to_end,
)

RESERVED = [
    b"Impersonate-User",
    b"Impersonate-Group",
    b"Impersonate-Uid",
    b"Impersonate-Extra-scopes",
    b"X-Remote-User",
    b"X-Remote-Group",
    b"X-Remote-Extra-a",
    b"X-Fairlead-Identity",
    b"Audit-ID",
]


@pytest.mark.parametrize("name", RESERVED)
def test_reserved_names_are_refused_in_every_spelling(name: bytes) -> None:
    for spelling in (
        name,
        name.lower(),
        name.upper(),
        name.replace(b"-", b"_"),
        name.swapcase().replace(b"-", b"_", 1),
    ):
        assert is_reserved(spelling)
        with pytest.raises(ReservedHeader):
            request_end_to_end(((b"Accept", b"*/*"), (spelling, b"system:admin")))
        with pytest.raises(ReservedHeader):
            request_end_to_end(((b"Connection", spelling), (spelling, b"system:admin")))


def test_what_crosses_to_the_api_server() -> None:
    sent = (
        (b"Host", b"fairlead.example.com"),
        (b"Accept", b"application/json;as=Table;v=v1;g=meta.k8s.io"),
        (b"Accept-Encoding", b"gzip"),
        (b"Authorization", b"Bearer secret"),
        (b"Cookie", b"a=b"),
        (b"Connection", b"keep-alive, X-Hop"),
        (b"X-Hop", b"1"),
        (b"Keep-Alive", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"2"),
        (b"Content-Type", b"application/json"),
        (b"TE", b"gzip, trailers"),
        (b"Trailer", b"X"),
        (b"Upgrade", b"h2c"),
        (b"Proxy-Authorization", b"Basic x"),
        (b"X-Forwarded-For", b"10.0.0.1"),
        (b"x_forwarded_host", b"x"),
        (b"Forwarded", b"for=x"),
        (b"Expect", b"100-continue"),
        (b"Kubectl-Session", b"1"),
    )
    assert request_end_to_end(sent) == (
        (b"Accept", b"application/json;as=Table;v=v1;g=meta.k8s.io"),
        (b"Accept-Encoding", b"gzip"),
        (b"Content-Length", b"2"),
        (b"Content-Type", b"application/json"),
        (b"TE", b"trailers"),
        (b"Kubectl-Session", b"1"),
    )


def test_an_upgrade_crosses_when_connection_names_it() -> None:
    sent = (
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"SPDY/3.1"),
        (b"X-Stream-Protocol-Version", b"v4.channel.k8s.io"),
    )
    assert request_end_to_end(sent) == sent[1:]


def test_connection_cannot_strip_the_framing() -> None:
    sent = ((b"Connection", b"Content-Length"), (b"Content-Length", b"5"))
    assert request_end_to_end(sent) == ((b"Content-Length", b"5"),)


def test_what_crosses_from_the_cluster() -> None:
    answered = (
        (b"Content-Type", b"application/json"),
        (b"Set-Cookie", b"a=b"),
        (b"Clear-Site-Data", b"*"),
        (b"Alt-Svc", b"h3"),
        (b"Strict-Transport-Security", b"max-age=1"),
        (b"X-Fairlead-Error-Code", b"FORGED"),
        (b"Connection", b"close"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Upgrade", b"SPDY/3.1"),
        (b"Audit-Id", b"1"),
        (b"Warning", b'299 - "deprecated"'),
        (b"X-Kubernetes-Pf-Flowschema-Uid", b"1"),
    )
    kept = ((b"Content-Type", b"application/json"), (b"Audit-Id", b"1"), *answered[-2:])
    assert response_end_to_end(answered) == kept
    assert (b"Upgrade", b"SPDY/3.1") in response_end_to_end(answered, upgrade=True)


def test_trailers_carry_neither_framing_nor_identity() -> None:
    trailers = ((b"Checksum", b"1"), (b"Content-Length", b"5"), (b"Impersonate-User", b"x"), (b"Set-Cookie", b"a"))
    assert trailers_end_to_end(trailers) == ((b"Checksum", b"1"),)


def test_finding() -> None:
    headers = ((b"A", b"1"), (b"a", b"2"), (b"B", b"3"))
    assert find(headers, b"a") == b"1"
    assert find(headers, b"c") is None
    assert find_all(headers, b"a") == [b"1", b"2"]


names = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_", min_size=1, max_size=24).map(str.encode)


@given(st.lists(st.tuples(names | st.sampled_from(RESERVED), st.binary(max_size=8)), max_size=8))
def test_nothing_reserved_ever_crosses(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        crossed = request_end_to_end(tuple(headers))
    except ReservedHeader:
        return
    assert not any(is_reserved(name) for name, _ in crossed)
    assert not any(name.lower() in {b"authorization", b"cookie", b"connection", b"host"} for name, _ in crossed)
