"""Who a request comes from is decided at the appliance: nothing a client writes changes it, on either lane."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tests.journeys.door import Answer, Door, read_answer, read_to_the_end
from tests.journeys.stack import running_stack

RESERVED = (
    b"Impersonate-User: system:admin",
    b"impersonate-user: system:admin",
    b"IMPERSONATE-USER: system:admin",
    b"Impersonate_User: system:admin",
    b"impersonate_group: system:masters",
    b"Impersonate-Group: system:masters",
    b"Impersonate-Uid: 0",
    b"Impersonate-Extra-scopes: everything",
    b"Impersonate-Extra-fairlead.dev%2fcredential: other",
    b"X-Remote-User: system:admin",
    b"x_remote_group: system:masters",
    b"X-Remote-Extra-scopes: everything",
    b"X-Fairlead-User: admin",
    b"Audit-ID: 0",
    b"audit_id: 0",
)


@pytest.fixture(scope="module", params=["express", "hypercorn"])
def door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """One stack for each lane."""
    with running_stack(tmp_path_factory.mktemp(request.param), lane=request.param) as stack:
        yield stack.door


def sent(answer: Answer) -> dict[str, list[str]]:
    """The headers as they came to the API server, by lower-case name."""
    found: dict[str, list[str]] = {}
    for name, value in answer.json()["headers"]:
        found.setdefault(name.lower(), []).append(value)
    return found


def test_the_request_arrives_as_the_person(door: Door) -> None:
    answer = door.ask("GET", "/toy/headers", headers={"X-Something": "kept", "User-Agent": "a journey"})

    assert answer.json()["user"] == "demo@example.com"
    headers = sent(answer)
    assert headers["impersonate-user"] == ["demo@example.com"]
    assert headers["impersonate-group"] == ["toy:admins"]
    assert len(headers["impersonate-uid"]) == 1
    assert headers["authorization"] == ["Bearer [the agent's token]"]
    assert headers["x-something"] == ["kept"]
    assert headers["user-agent"] == ["a journey"]


@pytest.mark.parametrize("line", RESERVED, ids=lambda line: line.decode().partition(":")[0])
def test_a_reserved_header_is_refused_and_never_arrives(line: bytes, door: Door, unique: str) -> None:
    answer = door.exchange(door.head("GET", f"/toy/headers?mark={unique}", line))

    assert (answer.status, answer.code) == (403, "RESERVED_HEADER")  # a path where kubectl shows only 403's text
    assert b"is reserved: identity comes from your credential" in answer.body
    answer = door.exchange(door.head("GET", f"/api/v1/namespaces/default/pods?mark={unique}", line))
    assert (answer.status, answer.code) == (400, "RESERVED_HEADER")
    assert door.arrived(unique) == []


@pytest.mark.parametrize("line", RESERVED, ids=lambda line: line.decode().partition(":")[0])
def test_a_reserved_trailer_never_arrives(line: bytes, door: Door) -> None:
    head = door.head("POST", "/toy/headers", b"Transfer-Encoding: chunked", b"Trailer: " + line.partition(b":")[0])
    answer = door.exchange(head + b"5\r\nhello\r\n0\r\n" + line + b"\r\n\r\n")

    if answer.status == 200:
        seen = answer.json()
        assert (seen["user"], seen["groups"]) == ("demo@example.com", ["toy:admins", "system:authenticated"])
        assert (seen["bodyBytes"], seen["trailers"]) == (5, [])
    else:
        assert answer.status in {400, 403}


def test_spellings_that_are_no_header_names_are_refused(door: Door, unique: str) -> None:
    for line in (b"Impersonate-User : a", b" Impersonate-User: a", b"Impersonate-User\t: a", b"Impersonate-User\0: a"):
        answer = door.exchange(door.head("GET", f"/toy/headers?mark={unique}", b"X: y", line))
        assert answer.status == 400
    for value in (b"a\rImpersonate-User: b", b"a\nImpersonate-User: b", b"a\0b"):
        answer = door.exchange(door.head("GET", f"/toy/headers?mark={unique}", b"X-Thing: " + value))
        assert answer.status == 400
    assert door.arrived(unique) == []


def test_naming_them_in_connection_does_not_help(door: Door) -> None:
    lines = (b"Connection: Impersonate-User, Authorization, close", b"X-Something: kept")
    answer = door.exchange(door.head("GET", "/toy/headers", *lines))

    assert answer.json()["user"] == "demo@example.com"
    assert sent(answer)["x-something"] == ["kept"]


def test_cookies_and_credentials_stay_outside(door: Door) -> None:
    lines = (
        b"Cookie: session=secret",
        b"Proxy-Authorization: Basic c2VjcmV0",
        b"X-Forwarded-For: 192.0.2.1",
        b"Forwarded: for=192.0.2.1",
        b"X-Real-IP: 192.0.2.1",
        b"Keep-Alive: 5",
        b"Proxy-Connection: keep-alive",
    )
    answer = door.exchange(door.head("GET", "/toy/headers", *lines))

    headers = sent(answer)
    assert headers["authorization"] == ["Bearer [the agent's token]"]
    for name in ("cookie", "proxy-authorization", "x-forwarded-for", "forwarded", "x-real-ip", "keep-alive"):
        assert name not in headers
    assert door.token not in str(answer.json())
    assert "192.0.2.1" not in str(answer.json())


def test_without_the_one_credential_nothing_arrives(door: Door, unique: str) -> None:
    for lines in (
        (),
        (b"Cookie: token=" + door.token.encode(),),
        (b"Authorization: Basic " + door.token.encode(),),
        (b"Authorization: Bearer " + door.token.encode()[:-4] + b"AAAA",),
        (b"Authorization: Bearer x", b"Authorization: Bearer " + door.token.encode()),
    ):
        answer = door.exchange(door.head("GET", f"/api/v1/pods?mark={unique}", *lines, token=False))
        assert answer.status == 401
    answer = door.exchange(door.head("GET", f"/api/v1/pods?mark={unique}", b"Authorization: Bearer x"))
    assert answer.status == 401
    assert door.arrived(unique) == []


def smuggled(door: Door, mark: str) -> dict[str, bytes]:
    """Requests that two servers could read differently, each with another one hidden behind it."""
    hidden = door.head("GET", f"/toy/headers?hidden={mark}")
    length = b"Content-Length: %d" % len(hidden)
    chunks = b"0\r\n\r\n"
    target = f"/api/v1/namespaces/default/configmaps?mark={mark}"

    def post(*lines: bytes, body: bytes = chunks + hidden, version: str = "1.1") -> bytes:
        return door.head("POST", target, *lines, version=version) + body

    no_host = post(body=b"").replace(b"Host: ", b"X-Host: ")
    both = post(length, b"Transfer-Encoding: chunked")
    absolute = f"https://{door.host}:{door.port}{door.path}{target}"
    return {
        "both framings": both,
        "both framings, the other order": post(b"Transfer-Encoding: chunked", length),
        "two lengths": post(b"Content-Length: 0", length, body=hidden),
        "two equal lengths": post(length, length, body=hidden),
        "a list of lengths": post(b"Content-Length: 0, %d" % len(hidden), body=hidden),
        "a signed length": post(b"Content-Length: +%d" % len(hidden), body=hidden),
        "a length in hexadecimal": post(b"Content-Length: 0x10", body=hidden),
        "an empty length": post(b"Content-Length: ", body=hidden),
        "an unknown coding": post(b"Transfer-Encoding: xchunked"),
        "chunked twice": post(b"Transfer-Encoding: chunked, chunked"),
        "chunked not last": post(b"Transfer-Encoding: chunked, identity"),
        "identity": post(b"Transfer-Encoding: identity"),
        "two lines of coding": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        "coding with a space before the colon": post(b"Transfer-Encoding : chunked"),
        "coding with a tab": post(b"Transfer-Encoding:\x0bchunked"),
        "coding after a bare line feed": post(b"X: y\nTransfer-Encoding: chunked"),
        "coding in a folded line": post(b"X: y", b" Transfer-Encoding: chunked"),
        "coding on 1.0": post(b"Transfer-Encoding: chunked", version="1.0"),
        "a chunk size that is none": post(b"Transfer-Encoding: chunked", body=b"0x0\r\n\r\n" + hidden),
        "a negative chunk": post(b"Transfer-Encoding: chunked", body=b"-1\r\n\r\n" + hidden),
        "a chunk that ends in a line feed": post(b"Transfer-Encoding: chunked", body=b"0\n\n" + hidden),
        "a chunk longer than it says": post(b"Transfer-Encoding: chunked", body=b"2\r\nhello\r\n0\r\n\r\n" + hidden),
        "a huge chunk": post(b"Transfer-Encoding: chunked", body=b"fffffffffffffffff\r\n" + hidden),
        "no host": no_host + hidden,
        "two hosts": door.head("GET", target, b"Host: elsewhere.example.com") + hidden,
        "absolute form": f"GET {absolute} HTTP/1.1\r\n\r\n".encode() + hidden,
        "connect": b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\r\n" + hidden,
        "an upgrade with a body": post(b"Connection: Upgrade", b"Upgrade: SPDY/3.1", length, body=hidden),
        "a line feed for a line's end": door.head("GET", target).replace(b"\r\n", b"\n") + hidden,
        "a space in the target": door.head("GET", f"/api/v1/pods?a b&mark={mark}") + hidden,
        "another protocol": door.head("GET", target, version="2.0") + hidden,
        "nothing known": b"\x16\x03\x01\r\n\r\n" + hidden,
    }


FORMS = sorted(smuggled(Door("127.0.0.1", 1, "/api/proxy/x", "t", ""), "m"))


@pytest.mark.parametrize("form", FORMS)
def test_what_two_servers_could_read_differently_is_refused(form: str, door: Door, unique: str) -> None:
    with door.connect() as tls:
        tls.sendall(smuggled(door, unique)[form])
        answer = read_answer(tls)
        assert answer.status == 400
        after = rest_of(tls)
    assert b"HTTP/1." not in after  # what was hidden behind it got no answer
    assert door.arrived(f"hidden={unique}") == []
    assert all(record["status"] != 200 for record in door.arrived(f"mark={unique}"))
    assert door.ask("GET", "/livez").body == b"ok"


def rest_of(tls: ssl.SSLSocket) -> bytes:
    try:
        return read_to_the_end(tls)
    except (ssl.SSLError, ConnectionError):
        return b""


def test_pipelined_requests_are_answered_one_after_the_other(door: Door) -> None:
    with door.connect() as tls:
        tls.sendall(
            door.head("GET", "/toy/headers?first") + door.head("GET", "/toy/headers?second", b"Connection: close")
        )
        assert read_answer(tls).json()["target"] == "/toy/headers?first"
        assert read_answer(tls).json()["target"] == "/toy/headers?second"
        assert read_to_the_end(tls) == b""
