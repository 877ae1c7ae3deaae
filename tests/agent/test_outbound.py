"""Every way a connection does not come to be, each with a sentence that names what to look at."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from agent.outbound import Failing, OutboundError, Place, connect
from tests.support.certificates import TestCA
from wire.contexts import client_context, server_context
from wire.tls import serve_handshake

CA = TestCA.make()


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://a.example.com", "a.example.com", 443),
        ("https://a.example.com:5443/", "a.example.com", 5443),
        ("https://[::1]:5443", "::1", 5443),
    ],
)
def test_a_place_is_read_from_its_url(url: str, host: str, port: int) -> None:
    place = Place.parse(url)

    assert (place.host, place.port, place.server_name) == (host, port, host)
    assert Place.parse(place.url) == place


@pytest.mark.parametrize("url", ["http://a", "https://", "https://u@a", "https://a/x", "https://a:99999", "a:1", ""])
def test_anything_else_is_no_place(url: str) -> None:
    with pytest.raises(ValueError):
        Place.parse(url)


@pytest.mark.real_clock
async def test_nobody_listens() -> None:
    with pytest.raises(OutboundError, match="check address, DNS and port") as caught:
        await connect(Place("127.0.0.1", 1, "127.0.0.1"), client_context(CA.pem, alpn=[]))
    assert caught.value.failing is Failing.TCP


@pytest.mark.real_clock
@pytest.mark.parametrize("says", [b"SSH-2.0-x\r\n", b""])
async def test_someone_listens_who_speaks_no_tls(says: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        if says:
            await stream.send_all(says)
        await stream.receive_some(1)
        if not says:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        with pytest.raises(OutboundError, match="is it the right port") as caught:
            await connect(Place("127.0.0.1", port, "localhost"), client_context(CA.pem, alpn=[]), tls_seconds=0.3)
        assert caught.value.failing is (Failing.TLS if says else Failing.TIMEOUT)
        nursery.cancel_scope.cancel()


@pytest.mark.real_clock
@pytest.mark.parametrize(("ca", "name"), [(TestCA.make(), "localhost"), (CA, "other.example.com")])
async def test_someone_else_answers(tmp_path: Path, ca: TestCA, name: str) -> None:
    context = server_context(*CA.issue(tmp_path, "server"), alpn=[])

    async def serve(stream: trio.SocketStream) -> None:
        try:
            await serve_handshake(stream.socket, context)
        except trio.BrokenResourceError:
            return
        raise AssertionError("the client must not have trusted us")

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        place = Place("127.0.0.1", listener.socket.getsockname()[1], name)
        with pytest.raises(OutboundError, match=f"not trusted for {name}") as caught:
            await connect(place, client_context(ca.pem, alpn=[], tls13_only=False))
        assert caught.value.failing is Failing.CERTIFICATE
        nursery.cancel_scope.cancel()
