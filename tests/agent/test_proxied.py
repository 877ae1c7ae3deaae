"""The way out through a proxy: who is told what, what crosses, and each way it fails with a sentence."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from agent.outbound import OutboundError, Place
from agent.proxied import Proxied, Proxy, read_proxy
from tests.support.certificates import TestCA
from tests.support.connect_proxy import connect_proxy
from wire.contexts import client_context, server_context
from wire.tls import TLSStream, serve_handshake

CA = TestCA.make()
PLACE = Place("appliance.example.com", 5443, "appliance.example.com")
SECRET = "agents:p w:%rd"
MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("http://proxy.example.com:3128", ("proxy.example.com", 3128, False, "")),
        ("https://proxy.example.com", ("proxy.example.com", 443, True, "")),
        ("http://me:p%20w@[fd00::1]:8080/", ("fd00::1", 8080, False, "me:p w")),
    ],
)
def test_a_proxy_is_read_from_its_url(url: str, read: tuple[str, int, bool, str]) -> None:
    proxy = read_proxy(url)

    assert (proxy.host, proxy.port, proxy.tls, proxy.credentials) == read
    assert not proxy.credentials or proxy.credentials not in repr(proxy)


@pytest.mark.parametrize("url", ["proxy:3128", "socks5://proxy:1080", "http://", "http://proxy:99999", "http://a/b"])
def test_anything_else_is_no_proxy(url: str) -> None:
    with pytest.raises(ValueError, match="a URL such as"):
        read_proxy(url)


@pytest.mark.parametrize(
    ("rule", "host", "beside"),
    [
        ("*", "appliance.example.com", True),
        ("example.com", "appliance.example.com", True),
        (".example.com", "appliance.example.com", True),
        ("*.example.com", "appliance.example.com", True),
        ("APPLIANCE.example.com:5443", "appliance.example.com", True),
        ("appliance.example.com:443", "appliance.example.com", False),
        ("ample.com", "appliance.example.com", False),
        ("", "appliance.example.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("fd00::/8", "fd00::12", True),
        ("[fd00::12]:5443", "fd00::12", True),
        ("fd00::12", "fd00::12", True),
        ("fd00::12", "fd00::13", False),
    ],
)
def test_where_no_proxy_is_used(rule: str, host: str, beside: bool) -> None:
    proxy = Proxy("proxy.example.com", 3128, tls=False, beside=("elsewhere.example.org", rule))

    assert proxy.passes_by(Place(host, 5443, host)) is beside


@asynccontextmanager
async def echoing(directory: Path) -> AsyncIterator[Place]:
    """Someone behind the proxy who says everything back, over TLS of their own."""
    context = server_context(*CA.issue(directory, "appliance"), alpn=["h2"])
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def serve(tcp: trio.SocketStream) -> None:
        stream = await serve_handshake(tcp.socket, context)
        try:
            while data := await stream.receive_some():
                await stream.send_all(data)
        except trio.BrokenResourceError:
            pass
        finally:
            stream.abort()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield Place("127.0.0.1", listener.socket.getsockname()[1], "127.0.0.1")
        nursery.cancel_scope.cancel()


@pytest.mark.real_clock
@pytest.mark.parametrize("tls", [False, True])
async def test_bytes_cross_both_ways_and_an_end_is_an_end(tmp_path: Path, tls: bool) -> None:
    (tmp_path / "ca.pem").write_text(CA.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
    if context is not None:
        context.load_cert_chain(*CA.issue(tmp_path, "proxy"))
    sent = bytes(range(256)) * (4 * MIB // 256)
    with connect_proxy(SECRET, context) as far, trio.fail_after(30):
        async with echoing(tmp_path) as place, trio.open_nursery() as parent:
            proxy = Proxy("127.0.0.1", far.port, tls, SECRET, tmp_path / "ca.pem")
            stream = await Proxied(proxy, parent)(place, client_context(CA.pem, alpn=["h2"]))

            assert await echoed(stream, sent) == sent
            stream.abort()

            while parent.child_tasks:  # noqa: ASYNC110 -- a task has no event for its end
                await trio.sleep(0.01)
        assert far.asked == [f"127.0.0.1:{place.port}"]


async def echoed(stream: TLSStream, sent: bytes) -> bytes:
    received = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, sent)
        while len(received) < len(sent):
            received += await stream.receive_some()
    return received


@pytest.mark.real_clock
async def test_what_a_proxy_refuses_is_a_sentence_without_the_credentials(tmp_path: Path) -> None:
    async def told(port: int, *, tls: bool = False, credentials: str = "me:wrong secret") -> str:
        proxy = Proxy("127.0.0.1", port, tls, credentials)
        async with trio.open_nursery() as parent:
            with pytest.raises(OutboundError) as caught:
                await Proxied(proxy, parent)(PLACE, client_context(CA.pem, alpn=["h2"]))
            return str(caught.value)

    with connect_proxy(SECRET) as far:
        said = await told(far.port)
        assert "asks for credentials: set proxy.credentials_file" in said
        assert "wrong" not in said
    with connect_proxy(status=403) as far:
        assert f"refused to connect to {PLACE.url} (status 403)" in await told(far.port)
    assert "cannot be reached" in await told(far.port)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*CA.issue(tmp_path, "proxy"))
    with connect_proxy(context=context) as far:
        assert "not trusted" in await told(far.port, tls=True), "nobody vouches for it, so it hears no credentials"
        assert not far.asked
