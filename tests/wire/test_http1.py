"""HTTP/1.1 heads: what is read, and every form that is refused because two parsers could read it apart."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wire.http1 import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    BadHead,
    parse_request,
    parse_response,
    render_request,
    render_response,
)

KUBECTL_GET = (
    b"GET /api/proxy/c1/api/v1/namespaces/default/pods?limit=500 HTTP/1.1\r\n"
    b"Host: fairlead.example.com:8443\r\n"
    b"User-Agent: kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0\r\n"
    b"Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json\r\n"
    b"Authorization: Bearer abc.def.ghi\r\n"
    b"Kubectl-Command: kubectl get\r\n"
    b"Accept-Encoding: gzip\r\n"
    b"\r\n"
)


def head(*lines: bytes, first: bytes = b"GET /x HTTP/1.1", host: bytes | None = b"h.example.com") -> bytes:
    """A request head with a first line, a Host unless it is None, and these further lines."""
    named = [] if host is None else [b"Host: " + host]
    return b"\r\n".join([first, *named, *lines, b"", b""])


def answer(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


def test_a_kubectl_get() -> None:
    request = parse_request(KUBECTL_GET)
    assert (request.method, request.version, request.host) == (b"GET", 11, b"fairlead.example.com:8443")
    assert request.target == b"/api/proxy/c1/api/v1/namespaces/default/pods?limit=500"
    assert request.headers[0] == (b"Host", b"fairlead.example.com:8443")
    assert request.headers[-1] == (b"Accept-Encoding", b"gzip")
    assert len(request.headers) == 6
    assert request.keep_alive
    assert not request.has_body
    assert (request.content_length, request.chunked, request.upgrade, request.expect) == (None, False, None, None)


def test_names_and_values_stay_as_they_came_but_for_white_space_around_a_value() -> None:
    request = parse_request(head(b"x-ODD_name:\t a  b\t ", b"Empty:", b"Latin: \xe9\xff", b"Same: 1", b"Same: 2"))
    assert request.headers[1:] == (
        (b"x-ODD_name", b"a  b"),
        (b"Empty", b""),
        (b"Latin", b"\xe9\xff"),
        (b"Same", b"1"),
        (b"Same", b"2"),
    )


REFUSED = {
    # who it is for
    "no Host": (head(host=None), "no Host"),
    "no Host, HTTP/1.0": (head(first=b"GET / HTTP/1.0", host=None), "no Host"),
    "two Hosts": (head(b"Host: other.example.com"), "more than one Host"),
    "two equal Hosts": (head(b"host: h.example.com"), "more than one Host"),
    "empty Host": (head(host=b""), "Host"),
    "Host with a path": (head(host=b"a.example.com/b"), "Host"),
    "Host with a user": (head(host=b"u@a.example.com"), "Host"),
    "two names in one Host": (head(host=b"a.example.com, b.example.com"), "Host"),
    "Host with a bad port": (head(host=b"a.example.com:80x"), "Host"),
    # the first line
    "absolute form": (head(first=b"GET http://h.example.com/ HTTP/1.1"), "absolute path"),
    "authority form": (head(first=b"CONNECT h.example.com:443 HTTP/1.1"), "CONNECT"),
    "CONNECT with a path": (head(first=b"CONNECT /x HTTP/1.1"), "CONNECT"),
    "asterisk form": (head(first=b"OPTIONS * HTTP/1.1"), "absolute path"),
    "empty target": (head(first=b"GET  HTTP/1.1"), "absolute path"),
    "relative target": (head(first=b"GET x HTTP/1.1"), "absolute path"),
    "fragment": (head(first=b"GET /x#y HTTP/1.1"), "absolute path"),
    "target outside ASCII": (head(first=b"GET /\xc3\xa9 HTTP/1.1"), "absolute path"),
    "tab in the target": (head(first=b"GET /a\tb HTTP/1.1"), "absolute path"),
    "space in the target": (head(first=b"GET /a b HTTP/1.1"), "first line"),
    "two spaces": (head(first=b"GET  /x HTTP/1.1"), "first line"),
    "tab for a space": (head(first=b"GET\t/x HTTP/1.1"), "first line"),
    "trailing space": (head(first=b"GET /x HTTP/1.1 "), "first line"),
    "leading space": (head(first=b" GET /x HTTP/1.1"), "first line"),
    "no version": (head(first=b"GET /x"), "first line"),
    "leading empty line": (b"\r\n" + head(), "first line"),
    "nothing": (b"\r\n\r\n", "first line"),
    "method not a token": (head(first=b"G(T /x HTTP/1.1"), "method"),
    "empty method": (head(first=b" /x HTTP/1.1"), "method"),
    "long method": (head(first=b"A" * 33 + b" /x HTTP/1.1"), "method"),
    "HTTP/2.0": (head(first=b"GET /x HTTP/2.0"), "version"),
    "the HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\n", "version"),
    "HTTP/1.2": (head(first=b"GET /x HTTP/1.2"), "version"),
    "HTTP/0.9": (head(first=b"GET /x HTTP/0.9"), "version"),
    "HTTP/1.10": (head(first=b"GET /x HTTP/1.10"), "version"),
    "HTTP/01.1": (head(first=b"GET /x HTTP/01.1"), "version"),
    "lower case version": (head(first=b"GET /x http/1.1"), "version"),
    "HTTP/1,1": (head(first=b"GET /x HTTP/1,1"), "version"),
    # where the body ends
    "gzip, chunked": (head(b"Transfer-Encoding: gzip, chunked"), "Transfer-Encoding"),
    "identity": (head(b"Transfer-Encoding: identity"), "Transfer-Encoding"),
    "chunked twice in one": (head(b"Transfer-Encoding: chunked, chunked"), "Transfer-Encoding"),
    "chunked twice": (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), "Transfer-Encoding"),
    "Chunked": (head(b"Transfer-Encoding: Chunked"), "Transfer-Encoding"),
    "xchunked": (head(b"Transfer-Encoding: xchunked"), "Transfer-Encoding"),
    "chunked;q=1": (head(b"Transfer-Encoding: chunked;q=1"), "Transfer-Encoding"),
    "quoted chunked": (head(b'Transfer-Encoding: "chunked"'), "Transfer-Encoding"),
    "vertical tab chunked": (head(b"Transfer-Encoding: \x0bchunked"), "control"),
    "empty Transfer-Encoding": (head(b"Transfer-Encoding:"), "Transfer-Encoding"),
    "both framings": (head(b"Transfer-Encoding: chunked", b"Content-Length: 3"), "and a Content-Length"),
    "both framings, the other order": (head(b"Content-Length: 0", b"tRANSFER-eNCODING: chunked"), "and a Content"),
    "chunked on 1.0": (head(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.0"), "HTTP/1.0"),
    "two lengths": (head(b"Content-Length: 3", b"Content-Length: 4"), "more than one Content-Length"),
    "two equal lengths": (head(b"Content-Length: 3", b"content-length: 3"), "more than one Content-Length"),
    "list of lengths": (head(b"Content-Length: 3, 3"), "decimal"),
    "signed length": (head(b"Content-Length: +3"), "decimal"),
    "negative length": (head(b"Content-Length: -3"), "decimal"),
    "length with a space": (head(b"Content-Length: 1 2"), "decimal"),
    "hexadecimal length": (head(b"Content-Length: 0x3"), "decimal"),
    "length with an underscore": (head(b"Content-Length: 1_0"), "decimal"),
    "fractional length": (head(b"Content-Length: 3.0"), "decimal"),
    "leading zero": (head(b"Content-Length: 010"), "decimal"),
    "empty length": (head(b"Content-Length:"), "decimal"),
    "digits outside ASCII": (head("Content-Length: ٣".encode()), "decimal"),
    "huge length": (head(b"Content-Length: " + b"9" * 19), "decimal"),
    "framing spelt with underscore": (head(b"Content_Length: 3"), "underscore"),
    "encoding spelt with underscore": (head(b"transfer_encoding: chunked"), "underscore"),
    # lines
    "folded line": (head(b"A: b", b" c"), "folded"),
    "folded with a tab and colon": (head(b"A: b", b"\tc: d"), "folded"),
    "folded first line": (head(b" A: b", host=None), "folded"),
    "space before the colon": (head(b"Content-Length : 3"), "white space"),
    "tab before the colon": (head(b"A\t: 3"), "white space"),
    "space in a name": (head(b"A b: 3"), "name: value"),
    "no colon": (head(b"Host"), "name: value"),
    "empty name": (head(b": x"), "name: value"),
    "name outside ASCII": (head(b"\xc3\xa9: x"), "name: value"),
    "name with a slash": (head(b"a/b: x"), "name: value"),
    "bare LF": (head(b"A: b\nC: d"), "bare"),
    "bare CR": (head(b"A: b\rC: d"), "bare"),
    "CR CR LF": (head(b"A: b\r"), "bare"),
    "LF LF": (b"GET / HTTP/1.1\nHost: h.example.com\n\n", "empty line"),
    "bare LF after the first line": (b"GET / HTTP/1.1\nHost: h.example.com\r\n\r\n", "bare"),
    "NUL in a value": (head(b"A: b\0c"), "control"),
    "NUL in a name": (head(b"A\0: b"), "control"),
    "NUL in the target": (head(first=b"GET /\0 HTTP/1.1"), "control"),
    "escape in a value": (head(b"A: \x1b[31m"), "control"),
    "DEL in a value": (head(b"A: \x7f"), "control"),
    "empty line inside": (head(b"A: b", b"", b"C: d"), "name: value"),
    "no empty line": (b"GET / HTTP/1.1\r\nHost: h.example.com\r\n", "empty line"),
    "bytes after the head": (head() + b"x", "empty line"),
    # what becomes of the connection
    "WebSocket with a length": (
        head(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 1"),
        "upgrade the connection",
    ),
    "SPDY with chunks": (
        head(b"Connection: Upgrade", b"Upgrade: SPDY/3.1", b"Transfer-Encoding: chunked"),
        "upgrade the connection",
    ),
    "two upgrades": (head(b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: SPDY/3.1"), "more than one Upg"),
    "Connection names the length": (head(b"Connection: content-length", b"Content-Length: 3"), "decides framing"),
    "Connection names the Host": (head(b"Connection: close, Host"), "decides framing"),
    "Connection member no token": (head(b"Connection: close; x"), "token"),
}


@pytest.mark.parametrize(("raw", "because"), REFUSED.values(), ids=REFUSED)
def test_a_refused_request(raw: bytes, because: str) -> None:
    with pytest.raises(BadHead) as refused:
        parse_request(raw)
    assert because in refused.value.sentence
    assert refused.value.status == 400


@pytest.mark.parametrize(("raw", "because"), REFUSED.values(), ids=REFUSED)
def test_what_a_refusal_says_holds_no_bytes_of_the_peer(raw: bytes, because: str) -> None:
    with pytest.raises(BadHead) as refused:
        parse_request(raw.replace(b"h.example.com", b"s3cret.example.com"))
    assert "s3cret" not in refused.value.sentence


def test_one_hundred_headers_and_no_more() -> None:
    fill = [b"A%d: b" % number for number in range(MAX_HEADERS - 1)]
    assert len(parse_request(head(*fill)).headers) == MAX_HEADERS
    with pytest.raises(BadHead) as refused:
        parse_request(head(*fill, b"A: b"))
    assert refused.value.status == 431


def test_a_head_of_64_kib_and_no_more() -> None:
    room = MAX_HEAD_BYTES - len(head(b"A: "))
    assert parse_request(head(b"A: " + b"x" * room))
    with pytest.raises(BadHead) as refused:
        parse_request(head(b"A: " + b"x" * (room + 1)))
    assert refused.value.status == 431


@pytest.mark.parametrize(
    "host",
    [
        b"h.example.com",
        b"h.example.com:8443",
        b"127.0.0.1:1",
        b"[::1]:8443",
        b"[2001:db8::1]",
        b"under_score",
        b"xn--9ca",
    ],
)
def test_hosts(host: bytes) -> None:
    assert parse_request(head(host=host)).host == host


def test_bodies() -> None:
    sized = parse_request(head(b"content-LENGTH: \t12 ", first=b"POST / HTTP/1.1"))
    assert (sized.content_length, sized.chunked, sized.has_body) == (12, False, True)
    empty = parse_request(head(b"Content-Length: 0", first=b"POST / HTTP/1.1"))
    assert (empty.content_length, empty.chunked, empty.has_body) == (0, False, False)
    chunked = parse_request(head(b"Transfer-Encoding: chunked", first=b"POST / HTTP/1.1"))
    assert (chunked.content_length, chunked.chunked, chunked.has_body) == (None, True, True)
    assert parse_request(head(b"Content-Length: " + b"9" * 18)).content_length == 10**18 - 1


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"HTTP/1.1", None, True),
        (b"HTTP/1.1", b"keep-alive", True),
        (b"HTTP/1.1", b"Close", False),
        (b"HTTP/1.1", b"keep-alive, close", False),
        (b"HTTP/1.1", b"X-Some,,  close ,", False),
        (b"HTTP/1.1", b"closed", True),
        (b"HTTP/1.0", None, False),
        (b"HTTP/1.0", b"Keep-Alive", True),
        (b"HTTP/1.0", b"keep-alive, close", False),
    ],
)
def test_whether_the_connection_stays(version: bytes, connection: bytes | None, kept: bool) -> None:
    lines = [] if connection is None else [b"Connection: " + connection]
    request = parse_request(head(*lines, first=b"GET / " + version))
    assert request.keep_alive is kept
    assert parse_response(answer(*lines, b"Content-Length: 0", first=version + b" 200 OK"), b"GET").keep_alive is kept


def test_connection_may_be_spread_over_several_lines() -> None:
    assert not parse_request(head(b"Connection: keep-alive", b"connection: close")).keep_alive


@pytest.mark.parametrize(
    ("lines", "upgrade"),
    [
        ([b"Connection: Upgrade", b"Upgrade: SPDY/3.1", b"Content-Length: 0"], b"spdy/3.1"),
        ([b"Connection: Upgrade", b"Upgrade: websocket"], b"websocket"),
        ([b"Connection: keep-alive, upgrade", b"upgrade: WebSocket"], b"websocket"),
        ([b"Upgrade: websocket"], None),
        ([b"Connection: Upgrade"], None),
        ([b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"], None),
        ([b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5"], None),
        ([b"Connection: Upgrade", b"Upgrade: h2c, websocket"], None),
        ([b"Connection: Upgrade", b"Upgrade: TLS/1.2"], None),
        ([b"Connection: Upgrade", b"Upgrade:"], None),
    ],
)
def test_upgrades(lines: list[bytes], upgrade: bytes | None) -> None:
    """Only what Kubernetes upgrades to is one; any other offer is dropped as RFC 9110 allows."""
    request = parse_request(head(*lines, first=b"POST /exec HTTP/1.1"))
    assert request.upgrade == upgrade
    assert (b"upgrade" in {name.lower() for name, _ in request.headers}) is (upgrade is not None)


def test_http_1_0_cannot_upgrade_nor_expect() -> None:
    request = parse_request(
        head(b"Connection: Upgrade", b"Upgrade: websocket", b"Expect: 100-continue", first=b"GET / HTTP/1.0")
    )
    assert (request.version, request.upgrade, request.expect) == (10, None, None)


def test_expectations() -> None:
    known = parse_request(head(b"Expect: 100-Continue", b"Content-Length: 1"))
    assert known.expect_continue
    for lines in ([b"Expect: x"], [b"Expect: 100-continue", b"Expect: x"], [b"Expect: 100-continue, x"]):
        unknown = parse_request(head(*lines))
        assert unknown.expect
        assert not unknown.expect_continue


def test_an_answer() -> None:
    response = parse_response(answer(b"Content-Type: application/json", b"Content-Length: 12"), b"GET")
    assert (response.status, response.version, response.content_length) == (200, 11, 12)
    assert response.headers == ((b"Content-Type", b"application/json"), (b"Content-Length", b"12"))
    assert response.keep_alive
    ends = (response.chunked, response.close_delimited, response.no_body, response.interim)
    assert ends == (False, False, False, False)


@pytest.mark.parametrize(
    ("first", "method", "lines", "end"),
    [
        # The four of the end: chunked, ended by the close, no body, connection kept.
        (b"HTTP/1.1 200 OK", b"GET", [b"Transfer-Encoding: chunked"], (True, False, False, True)),
        (b"HTTP/1.1 200 OK", b"GET", [], (False, True, False, False)),
        (b"HTTP/1.1 200 OK", b"GET", [b"Connection: keep-alive"], (False, True, False, False)),
        (b"HTTP/1.1 200", b"GET", [b"Content-Length: 0"], (False, False, False, True)),
        (b"HTTP/1.1 200 ", b"GET", [b"Content-Length: 0"], (False, False, False, True)),
        (b"HTTP/1.0 200 OK", b"GET", [b"Content-Length: 3"], (False, False, False, False)),
        (b"HTTP/1.0 200 OK", b"GET", [], (False, True, False, False)),
        (b"HTTP/1.1 200 OK", b"HEAD", [b"Content-Length: 3"], (False, False, True, True)),
        (b"HTTP/1.1 200 OK", b"HEAD", [b"Transfer-Encoding: chunked"], (False, False, True, True)),
        (b"HTTP/1.1 200 OK", b"HEAD", [], (False, False, True, True)),
        (b"HTTP/1.1 304 Not Modified", b"GET", [b"Content-Length: 3"], (False, False, True, True)),
        (b"HTTP/1.1 204 No Content", b"DELETE", [], (False, False, True, True)),
        (b"HTTP/1.1 204 No Content", b"DELETE", [b"Content-Length: 0"], (False, False, True, True)),
        (b"HTTP/1.1 204 No Content", b"DELETE", [b"Content-Length: 3"], (False, False, True, False)),
        (b"HTTP/1.1 204 No Content", b"DELETE", [b"Transfer-Encoding: chunked"], (False, False, True, False)),
        (b"HTTP/1.1 100 Continue", b"POST", [], (False, False, True, True)),
        (b"HTTP/1.1 103 Early Hints", b"GET", [b"Link: </x>"], (False, False, True, True)),
        (b"HTTP/1.1 101 Switching Protocols", b"GET", [b"Upgrade: websocket"], (False, False, True, False)),
    ],
)
def test_where_an_answer_ends(
    first: bytes, method: bytes, lines: list[bytes], end: tuple[bool, bool, bool, bool]
) -> None:
    response = parse_response(answer(*lines, first=first), method)
    assert (response.chunked, response.close_delimited, response.no_body, response.keep_alive) == end


def test_interim_answers() -> None:
    assert parse_response(answer(first=b"HTTP/1.1 100 Continue"), b"PUT").interim
    assert not parse_response(answer(first=b"HTTP/1.1 101 Switching Protocols"), b"GET").interim


REFUSED_ANSWERS = {
    "HTTP/2": answer(first=b"HTTP/2 200 OK"),
    "HTTP/1.2": answer(first=b"HTTP/1.2 200 OK"),
    "two digits": answer(first=b"HTTP/1.1 20 OK"),
    "four digits": answer(first=b"HTTP/1.1 2000 OK"),
    "status 099": answer(first=b"HTTP/1.1 099 OK"),
    "status 600": answer(first=b"HTTP/1.1 600 OK"),
    "signed status": answer(first=b"HTTP/1.1 +20 OK"),
    "two spaces": answer(first=b"HTTP/1.1  200 OK"),
    "leading garbage": answer(first=b"x HTTP/1.1 200 OK"),
    "both framings": answer(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
    "two lengths": answer(b"Content-Length: 1", b"Content-Length: 1"),
    "gzip framing": answer(b"Transfer-Encoding: gzip"),
    "chunked on 1.0": answer(b"Transfer-Encoding: chunked", first=b"HTTP/1.0 200 OK"),
    "folded": answer(b"A: b", b" c"),
    "bare LF": answer(b"A: b\nC: d"),
    "NUL": answer(b"A: \0"),
    "control in the reason": answer(first=b"HTTP/1.1 200 O\x08K"),
    "no empty line": b"HTTP/1.1 200 OK\r\n",
    "space before the colon": answer(b"Content-Length : 1"),
}


@pytest.mark.parametrize("raw", REFUSED_ANSWERS.values(), ids=REFUSED_ANSWERS)
def test_a_refused_answer(raw: bytes) -> None:
    with pytest.raises(BadHead):
        parse_response(raw, b"GET")


def test_a_rendered_request_is_read_back() -> None:
    headers = ((b"Host", b"h.example.com"), (b"Accept", b"*/*"), (b"X", b""))
    raw = render_request(b"PATCH", b"/api/v1/pods?x=%20", headers)
    assert raw == b"PATCH /api/v1/pods?x=%20 HTTP/1.1\r\nHost: h.example.com\r\nAccept: */*\r\nX: \r\n\r\n"
    assert parse_request(raw).headers == headers


def test_a_rendered_answer_is_read_back() -> None:
    assert render_response(404, ((b"A", b"b"),)) == b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n"
    assert render_response(599, ()) == b"HTTP/1.1 599 \r\n\r\n"
    assert parse_response(render_response(599, ()), b"GET").status == 599


@pytest.mark.parametrize(
    "pair",
    [
        (b"A", b"b\r\nC: d"),
        (b"A", b"b\nC: d"),
        (b"A", b"b\rC"),
        (b"A", b"\r\n"),
        (b"A", b"b\0"),
        (b"A\r\nB", b"c"),
        (b"A: b", b"c"),
        (b"A ", b"c"),
        (b"", b"c"),
        (b"Host\0", b"c"),
    ],
)
def test_no_header_can_write_another(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="header"):
        render_request(b"GET", b"/", ((b"Host", b"h.example.com"), pair))
    with pytest.raises(ValueError, match="header"):
        render_response(200, (pair,))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"GET /x", b"/"),
        (b"", b"/"),
        (b"GET\r\n", b"/"),
        (b"GET", b"/ HTTP/1.1\r\nX: y"),
        (b"GET", b"/\n"),
        (b"GET", b"/a b"),
        (b"GET", b"x"),
        (b"GET", b""),
        (b"GET", b"/\0"),
    ],
)
def test_no_method_or_target_can_write_a_header(method: bytes, target: bytes) -> None:
    with pytest.raises(ValueError, match=r"method|target"):
        render_request(method, target, ())


@pytest.mark.parametrize("status", [0, 99, 600, -1])
def test_a_status_is_of_three_digits(status: int) -> None:
    with pytest.raises(ValueError, match="status"):
        render_response(status, ())


LINE = st.one_of(
    st.sampled_from(sorted({line for raw, _ in REFUSED.values() for line in raw.split(b"\r\n")})),
    st.binary(max_size=40),
    st.sampled_from([b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Connection: close, x", b"Expect: 1"]),
)


@given(st.lists(LINE, max_size=8), st.binary(max_size=12))
@example([b"Connection: ,,"], b"")
def test_only_bad_head_comes_out_of_anything(lines: list[bytes], tail: bytes) -> None:
    for raw in (head(*lines), head(*lines) + tail, b"\r\n".join(lines) + b"\r\n\r\n"):
        with contextlib.suppress(BadHead):
            parse_request(raw)
        with contextlib.suppress(BadHead):
            parse_response(raw, b"GET")


@given(st.binary(max_size=200))
def test_what_is_accepted_has_one_reading(noise: bytes) -> None:
    """Whatever passes, rendered again line by line, is read the same."""
    try:
        request = parse_request(b"POST /x HTTP/1.1\r\nHost: h.example.com\r\n" + noise + b"\r\n\r\n")
    except BadHead:
        return
    again = parse_request(render_request(request.method, request.target, request.headers))
    assert again.headers == request.headers
    assert (again.content_length, again.chunked) == (request.content_length, request.chunked)
