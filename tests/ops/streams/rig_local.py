"""Ways to run things without kubectl: a command in a container, and both ends of an upgraded connection in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
import trio.testing

from ops.demo.toy.streams import Containers, serve_upgrade
from ops.demo.toy.streams.commands import COMMANDS
from ops.demo.toy.streams.container import Container
from ops.demo.toy.streams.pipes import Pipe, Reader
from ops.demo.toy.streams.process import Process, run_process
from ops.demo.toy.streams.spdy_connection import SpdyConnection, SpdyStream
from ops.demo.toy.upgrade_seam import UpgradeRequest

POD: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "default", "uid": "u1"},
    "spec": {"containers": [{"name": "main"}]},
    "status": {"phase": "Running"},
}


class Collected:
    """A sink that keeps everything; tests look at it afterwards."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.data += data


@dataclass
class Ran:
    code: int
    out: str
    err: str


async def run(container: Container, *argv: str, stdin: bytes = b"", environment: dict[str, str] | None = None) -> Ran:
    source, out, err = Pipe(), Collected(), Collected()
    source.put(stdin)
    source.end()
    process = Process(
        container=container,
        argv=argv,
        stdin=Reader(source),
        stdout=out,
        stderr=err,
        directory="/",
        environment=environment if environment is not None else dict(container.environment),
    )
    code = await run_process(process, COMMANDS)
    return Ran(code, out.data.decode(errors="replace"), err.data.decode(errors="replace"))


def hosts_passwords() -> bytes:
    """A file of the host that many a path in these tests tries to reach."""
    return Path("/etc/passwd").read_bytes()


async def sh(container: Container, script: str, stdin: bytes = b"") -> Ran:
    return await run(container, "sh", "-c", script, stdin=stdin)


def request(
    subresource: str, *headers: tuple[str, str], spoken: str = "POST", **query: str | list[str]
) -> UpgradeRequest:
    return UpgradeRequest(
        method=spoken,
        target=f"/api/v1/namespaces/default/pods/web/{subresource}".encode(),
        headers=tuple((name.encode(), value.encode()) for name, value in headers),
        query={name: value if isinstance(value, list) else [value] for name, value in query.items()},
        namespace="default",
        name="web",
        subresource=subresource,
        pod=POD,
        already_read=b"",
    )


def spdy_request(subresource: str, protocol: str | None, **query: str | list[str]) -> UpgradeRequest:
    versions = [("X-Stream-Protocol-Version", protocol)] if protocol else []
    return request(subresource, ("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), *versions, spoken="POST", **query)


async def read_head(stream: trio.abc.ReceiveStream) -> tuple[bytes, bytes]:
    """The response head, and what came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = bytes(await stream.receive_some())
        assert more, data
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


@asynccontextmanager
async def spdy_session(
    containers: Containers, asked: UpgradeRequest, *, counts_credit: bool = False
) -> AsyncIterator[SpdyConnection]:
    """The client's end of a connection that `serve_upgrade` serves."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            assert await serve_upgrade(asked, theirs, containers)
            await theirs.aclose()

        nursery.start_soon(serve)
        head, rest = await read_head(ours)
        assert head.startswith(b"HTTP/1.1 101 "), head
        client = SpdyConnection(ours, client=True, counts_credit=counts_credit)
        nursery.start_soon(client.run, rest)
        yield client
        await ours.aclose()


def open_channels(client: SpdyConnection, *kinds: str) -> dict[str, SpdyStream]:
    return {kind: client.open_stream((("streamtype", kind),)) for kind in kinds}


async def read_all(stream: SpdyStream) -> bytes:
    data = b""
    while piece := await stream.receive_some():
        data += piece
    return data


async def status_of(stream: SpdyStream) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await read_all(stream))
    return answer
