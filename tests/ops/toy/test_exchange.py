"""The toy's HTTP, seen from a raw client: framing, keep-alive, and clients that leave."""

from __future__ import annotations

import hashlib
import json

import h11
import pytest
import trio

from ops.demo.toy.probes import pattern_sha256
from tests.ops.toy.conftest import ToyCluster
from tests.ops.toy.http_client import connected

pytestmark = pytest.mark.real_clock


@pytest.mark.parametrize("framing", ["", "&chunked=1"])
async def test_bytes_of_any_size_come_whole_and_the_connection_is_kept(toy: ToyCluster, framing: str) -> None:
    size = 3_000_001
    async with connected(toy) as client:
        answer = await client.ask("GET", f"/toy/bytes?size={size}{framing}")
        assert len(answer.body) == size
        assert hashlib.sha256(answer.body).hexdigest() == pattern_sha256(size)
        assert ("content-length" in answer.headers) is (not framing)
        assert (await client.ask("GET", "/version")).status == 200


@pytest.mark.parametrize("framing", ["", "&chunked=1"])
async def test_a_cut_answer_ends_without_a_word(toy: ToyCluster, framing: str) -> None:
    async with connected(toy) as client:
        await client.begin("GET", f"/toy/bytes?size=100000&cut=70000{framing}")
        await client.send(h11.EndOfMessage())
        await client.head()
        got = 0
        with pytest.raises(trio.BrokenResourceError):  # no close_notify, so TLS itself sees the truncation
            while isinstance(event := await client.next_event(), h11.Data):
                got += len(event.data)
        assert got == 70000


async def test_a_waiting_client_is_asked_for_its_body(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        body = b"x" * 100_000
        await client.begin("POST", "/toy/sink", [("Expect", "100-continue"), ("Content-Length", str(len(body)))])
        assert isinstance(await client.next_event(), h11.InformationalResponse)
        await client.send(h11.Data(data=body), h11.EndOfMessage())
        answer = await client.answer()
        assert answer.json() == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


async def test_a_chunked_body_is_counted(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        await client.begin("POST", "/toy/sink", [("Transfer-Encoding", "chunked")])
        for _ in range(5):
            await client.send(h11.Data(data=b"y" * 1000))
        await client.send(h11.EndOfMessage())
        assert (await client.answer()).json()["bytes"] == 5000


@pytest.mark.parametrize(
    "target",
    ["/api/v1/pods?watch=1", "/toy/slow?seconds=3600", "/api/v1/namespaces/demo/pods/chatty-gull/log?follow=1"],
)
async def test_a_client_that_leaves_is_noticed(toy: ToyCluster, target: str) -> None:
    async with connected(toy) as leaving, connected(toy) as watching:
        mark = f"&mark={hashlib.sha256(target.encode()).hexdigest()[:8]}"
        await leaving.begin("GET", target + mark)
        await leaving.send(h11.EndOfMessage())

        async def find(where: str) -> dict[str, object]:
            while True:
                shown = (await watching.ask("GET", "/toy/requests")).json()
                for record in shown[where]:
                    if record["target"].endswith(mark):
                        return dict(record)

        assert (await find("open"))["user"] == "ann"
        await leaving.stream.aclose()
        record = await find("recent")
        assert record["clientGone"] is not None


async def test_the_registry_shows_headers_but_not_the_token(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        answer = await client.ask("GET", "/toy/headers", headers=[("X-Odd-Case", "a"), ("x-odd-case", "b")])
        headers = answer.json()["headers"]
        assert [pair for pair in headers if pair[0].lower() == "x-odd-case"] == [
            ["X-Odd-Case", "a"],
            ["x-odd-case", "b"],
        ]
        assert toy.token not in json.dumps(answer.json())


async def test_what_is_not_http_is_refused_and_the_connection_ends(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        await client.stream.send_all(b"this is not HTTP\r\n\r\n")
        got = b""
        while piece := await client.stream.receive_some():
            got += piece
        assert got.startswith(b"HTTP/1.1 400 ")


async def test_a_plain_get_takes_little_time(toy: ToyCluster) -> None:
    async with connected(toy) as client:
        for _ in range(50):
            assert (await client.ask("GET", "/api/v1/namespaces/demo/configmaps/tides")).status == 200
