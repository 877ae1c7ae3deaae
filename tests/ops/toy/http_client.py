"""A small HTTP/1.1 client on h11 for the toy's tests, which shows what others hide: how exactly an answer ends."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import h11
import trio

from tests.ops.toy.conftest import ToyCluster

TEST_SECONDS = 30
"""Longer than anything here takes on a busy machine; a test that waits so long has failed."""


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to the toy cluster, acting as the agent or as somebody it impersonates."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream], token: str) -> None:
        self.stream = stream
        self.http = h11.Connection(h11.CLIENT)
        self._token = token
        self.informational: list[int] = []

    async def begin(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]] | None = None,
        *,
        user: str | None = "ann",
        groups: tuple[str, ...] = ("toy:admins",),
    ) -> None:
        """Send a request's head."""
        whole = [("Host", "toy"), ("Authorization", f"Bearer {self._token}"), *(headers or [])]
        if user is not None:
            whole += [("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups)]
        await self.stream.send_all(self.http.send(h11.Request(method=method, target=target, headers=whole)) or b"")

    async def send(self, *events: Any) -> None:
        await self.stream.send_all(b"".join(self.http.send(event) or b"" for event in events))

    async def next_event(self) -> Any:
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self.http.receive_data(bytes(await self.stream.receive_some(65536)))

    async def head(self) -> h11.Response:
        while True:
            event = await self.next_event()
            if isinstance(event, h11.Response):
                return event
            assert isinstance(event, h11.InformationalResponse)
            self.informational.append(event.status_code)

    async def answer(self) -> Answer:
        head = await self.head()
        body = bytearray()
        while isinstance(event := await self.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage), event
        headers = {name.decode(): value.decode() for name, value in head.headers}
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
        return Answer(head.status_code, headers, bytes(body))

    async def ask(
        self, method: str, target: str, body: Any = None, kind: str = "application/json", **options: Any
    ) -> Answer:
        """One whole exchange; `body` is bytes or something for JSON."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = [*options.pop("headers", []), ("Content-Length", str(len(data))), ("Content-Type", kind)]
        await self.begin(method, target, headers, **options)
        await self.send(*([h11.Data(data=data)] if data else []), h11.EndOfMessage())
        return await self.answer()


class Lines:
    """The JSON values of a streamed answer, one a line, as they come."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._rest = b""

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> Any:
        while b"\n" not in self._rest:
            event = await self._client.next_event()
            if not isinstance(event, h11.Data):
                raise StopAsyncIteration
            self._rest += bytes(event.data)
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)


@contextlib.asynccontextmanager
async def connected(toy: ToyCluster) -> AsyncIterator[Client]:
    """A connection, and a deadline for what is done with it."""
    with trio.fail_after(TEST_SECONDS):
        raw = await trio.open_tcp_stream("127.0.0.1", toy.port)
        stream = trio.SSLStream(raw, toy.tls(), server_hostname="127.0.0.1")
        try:
            await stream.do_handshake()
            yield Client(stream, toy.token)
        finally:
            await trio.aclose_forcefully(stream)
