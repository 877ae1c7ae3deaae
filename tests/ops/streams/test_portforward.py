"""port-forward without kubectl: pairs, ports, errors, and many connections on one."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from ops.demo.toy.streams import Containers
from ops.demo.toy.streams.portforward import PROTOCOL
from ops.demo.toy.streams.spdy_connection import SpdyConnection, SpdyStream
from tests.ops.streams.rig_local import read_all, spdy_request, spdy_session

ASKED = spdy_request("portforward", PROTOCOL)


def connect(client: SpdyConnection, port: int | str, number: int = 0) -> tuple[SpdyStream, SpdyStream]:
    common = (("port", str(port)), ("requestid", str(number)))
    error = client.open_stream((("streamtype", "error"), *common))
    return client.open_stream((("streamtype", "data"), *common)), error


async def test_http_with_keep_alive(containers: Containers) -> None:
    async with spdy_session(containers, ASKED) as client:
        data, error = connect(client, 80)
        await error.send_eof()
        for _ in range(2):
            await data.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"hello from web\n"):
                answer += await data.receive_some()
            assert answer.startswith(b"HTTP/1.1 200 ")
        await data.send_all(b"GET /bytes?size=100000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head, _, body = (await read_all(data)).partition(b"\r\n\r\n")
        assert b"content-length: 100000" in head.lower()
        assert body == (bytes(range(256)) * 400)[:100000]
        assert await read_all(error) == b""


@pytest.mark.parametrize(
    ("sent", "first"),
    [
        (b"GET /bytes?size=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 "),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", b"HTTP/1.1 200 "),
        (b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200 "),
        (b"not http at all\r\n\r\n", b"HTTP/1.1 400 "),
    ],
)
async def test_other_requests(containers: Containers, sent: bytes, first: bytes) -> None:
    async with spdy_session(containers, ASKED) as client:
        data, _ = connect(client, 80)
        await data.send_all(sent)
        assert (await read_all(data)).startswith(first)


@pytest.mark.parametrize("port", [81, "", "x", "65536"])
async def test_a_port_nobody_listens_on_is_told_on_the_error_stream_and_disturbs_no_other(
    containers: Containers, port: object
) -> None:
    async with spdy_session(containers, ASKED) as client:
        good, _ = connect(client, 7, 1)
        data, error = connect(client, str(port), 2)
        said = (await read_all(error)).decode()
        assert said.startswith(f"error forwarding port {port} to pod web, uid u1: ")
        assert said.endswith("connection refused")
        assert await read_all(data) == b""
        await good.send_all(b"still here")
        assert await good.receive_some() == b"still here"


async def test_fifty_connections_at_once(containers: Containers) -> None:
    async with spdy_session(containers, ASKED) as client, trio.open_nursery() as nursery:

        async def talk(number: int) -> None:
            data, error = connect(client, 7, number)
            sent = bytes((number,)) * 100_000

            async def send() -> None:
                await data.send_all(sent)
                await data.send_eof()

            nursery.start_soon(send)
            assert await read_all(data) == sent
            assert await read_all(error) == b""

        for number in range(1, 51):
            nursery.start_soon(talk, number)


async def test_discard_takes_everything_and_says_nothing(containers: Containers) -> None:
    async with spdy_session(containers, ASKED, counts_credit=True) as client:
        data, _ = connect(client, 9)
        await data.send_all(bytes(1_000_000))
        await data.send_eof()
        assert await read_all(data) == b""


async def test_a_stream_without_its_partner_is_let_go(containers: Containers) -> None:
    async with spdy_session(containers, ASKED) as client:
        lonely = client.open_stream((("streamtype", "data"), ("port", "80"), ("requestid", "1")))
        with pytest.raises(trio.BrokenResourceError):
            await lonely.receive_some()


@pytest.mark.parametrize("headers", [(), (("streamtype", "data"),), (("streamtype", "x"), ("requestid", "1"))])
async def test_a_stream_that_says_too_little_is_reset(
    containers: Containers, headers: tuple[tuple[str, str], ...]
) -> None:
    async with spdy_session(containers, ASKED) as client:
        stream = client.open_stream(headers)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
