"""One transcript through appliance, tunnel and agent, twice: heard where bytes are seen, and by tasks alone.

The latter is what a platform without epoll has. What clients are told, how their connections end, what is recorded and
what the API server sees must be the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.agent import rig as agent_rig
from tests.agent.rig import Caller, Stage, ok, staged
from tests.appliance.front import rig as front_rig
from tests.appliance.front.rig import CLUSTER, Rig, Talk, fronted, now, until
from tests.wire.test_session_tls import greeted
from tests.wire.test_tls import make_contexts
from wire import http1
from wire.readiness import Readiness
from wire.session import Session, SessionEnded

pytestmark = [
    pytest.mark.real_clock,
    pytest.mark.skipif(not Readiness().available, reason="there is no epoll, and one way only"),
]

Conversation = Callable[[Rig, Talk], Awaitable[list[Any]]]

LONG = bytes(range(256)) * 1_200
CONFIGS = "/api/v1/namespaces/web/configmaps"
EXEC = "/api/v1/namespaces/web/pods/a/exec?command=sh&stdin=true"
SPDY = ("Connection: Upgrade", "Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")
FRAMING = frozenset({b"content-length", b"transfer-encoding"})
"""How a body is framed may depend on how much of it is here when its head is written."""
OF_ONE_RUN = frozenset({b"date", b"traceresponse", b"x-correlation-id"})


SAID = {
    b"long": ok(LONG),
    b"none": b"HTTP/1.1 204 No Content\r\n\r\n",
    b"same": b'HTTP/1.1 304 Not Modified\r\nETag: "7"\r\nContent-Length: 5\r\n\r\n',
    b"headed": b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n",
    b"chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    b"trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 9\r\n\r\n",
    b"forbidden": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}",
}
"""What the API server says to a path of this name, and goes on."""

LAST_SAID = {
    b"gone": b"",
    b"nonsense": b"SSH-2.0-OpenSSH\r\n\r\n",
    b"closing": ok(b"last", b"Connection: close\r\n"),
}
"""And then it closes the connection."""


class Cluster:
    """An API server: what it answers depends on the target alone. `seen`: what it was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, bytes, str]] = []
        self.begun = 0  # bodies of which something has arrived
        self.cut = trio.Event()  # from now on the answer that is to be cut is
        self.left = 0  # connections that the agent closed under a request

    async def __call__(self, caller: Caller) -> None:
        while head := await caller.head():
            asked = http1.parse_request(head)
            path = asked.target.partition(b"?")[0]
            if asked.upgrade is not None:
                await self._upgraded(caller)
                return
            try:
                body = await self._body(caller, asked)
            except (AssertionError, trio.BrokenResourceError):
                self.left += 1
                return
            self.seen.append((asked.method, asked.target, hashlib.sha256(body).hexdigest()))
            if not await self._answer(caller, path, body):
                return

    async def _body(self, caller: Caller, asked: http1.Request) -> bytes:
        if not asked.chunked:
            size = asked.content_length or 0
            first = await caller.body(min(size, 1))
            self.begun += bool(first)
            return first + await caller.body(size - len(first))
        reader = http1.ChunkedReader()
        body = b""
        while not reader.done:
            body += reader.feed(await caller.body(1))
            self.begun += 1
        return body

    async def _answer(self, caller: Caller, path: bytes, body: bytes) -> bool:
        name = path.rsplit(b"/", 1)[-1]
        if name in SAID:
            await caller.say(SAID[name])
        elif name == b"cut":
            await caller.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.")
            await self.cut.wait()
            return False
        elif name in LAST_SAID:
            await caller.say(LAST_SAID[name])
            return False
        elif name == b"watched":
            await caller.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nevent\n\r\n")
            await caller.gone()
            self.left += 1
            return False
        else:
            await caller.say(ok(b"%b %d" % (name, len(body))))
        return True

    @staticmethod
    async def _upgraded(caller: Caller) -> None:
        await caller.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
        while data := await caller.stream.receive_some():
            await caller.say(data.upper())
        await caller.say(b"bye")
        await caller.stream.send_eof()
        await caller.gone()


async def told(talk: Talk, method: bytes = b"GET") -> tuple[Any, ...]:
    """What one answer says, but for what belongs to this run."""
    said = await talk.answer(method)
    passing = OF_ONE_RUN if method == b"HEAD" else OF_ONE_RUN | FRAMING
    headers = sorted((name.lower(), value) for name, value in said.headers if name.lower() not in passing)
    body = said.body if said.status < 400 else b""  # a problem names its correlation id
    return said.status, tuple(headers), hashlib.sha256(body).hexdigest()


def asking(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> Conversation:
    """One request, its answer, and a second one where the connection goes on."""

    async def conversation(rig: Rig, talk: Talk) -> list[Any]:
        sized = (*headers, f"Content-Length: {len(body)}") if body else headers
        await talk.say(rig.get(path, *sized, method=method) + body)
        first = await told(talk, method.encode())
        if (b"connection", b"close") in first[1]:
            return [first, await talk.ended()]
        await talk.say(rig.get("/api/v1/pods"))
        return [first, await told(talk)]

    return conversation


async def pipelined(rig: Rig, talk: Talk) -> list[Any]:
    targets = [f"/api/v1/namespaces/web/pods/{name}" for name in ("a", "long", "b", "none", "chunked", "c")]
    await talk.say(b"".join(rig.get(target) for target in targets))
    return [await told(talk) for _ in targets]


async def behind_a_body(rig: Rig, talk: Talk) -> list[Any]:
    post = rig.get(CONFIGS, f"Content-Length: {len(LONG)}", method="POST") + LONG
    await talk.say(post + rig.get("/api/v1/pods") + post)
    return [await told(talk, method) for method in (b"POST", b"GET", b"POST")]


async def asks_first(rig: Rig, talk: Talk) -> list[Any]:
    await talk.say(rig.get(CONFIGS, "Content-Length: 5", "Expect: 100-continue", method="POST"))
    proceed = await talk.until(b"\r\n\r\n")
    await talk.say(b"first")
    return [proceed, await told(talk, b"POST")]


async def in_chunks(rig: Rig, talk: Talk) -> list[Any]:
    await talk.say(rig.get(CONFIGS, "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n")
    await talk.say(b"6\r\n world\r\n0\r\nX-Mine: 1\r\n\r\n")
    return [await told(talk, b"POST")]


async def with_trailers(rig: Rig, talk: Talk) -> list[Any]:
    await talk.say(rig.get("/api/v1/trailers", "TE: trailers"))
    await talk.head()
    return [await talk.until(b"0\r\nX-Sum: 9\r\n\r\n")]


async def raw_bytes(rig: Rig, talk: Talk) -> list[Any]:
    await talk.say(rig.get(EXEC, *SPDY, method="POST") + b"early")
    head = await talk.head()
    said = [await talk.until(b"EARLY")]
    await talk.say(b"late")
    said.append(await talk.until(b"LATE"))
    await talk.stream.send_eof()
    return [head.status, *said, await talk.until(b"bye"), await talk.ended()]


async def cut_answer(rig: Rig, talk: Talk) -> list[Any]:
    await talk.say(rig.get("/api/v1/cut"))
    await talk.head()
    said = await talk.until(b"ten bytes.")
    CLUSTERS[-1].cut.set()
    return [said, await talk.ended()]


async def nobody_waits(rig: Rig, talk: Talk) -> list[Any]:
    await talk.say(rig.get("/api/v1/watched?watch=1"))
    await talk.until(b"event\n")
    talk.stream.abort()
    return []


async def half_a_body(rig: Rig, talk: Talk) -> list[Any]:
    begun = CLUSTERS[-1].begun
    await talk.say(rig.get(CONFIGS, "Content-Length: 1000", method="POST") + b"half")
    await until(lambda: CLUSTERS[-1].begun > begun)
    talk.stream.abort()
    return []


async def half_a_head(rig: Rig, talk: Talk) -> list[Any]:
    whole = rig.get("/api/v1/pods")
    await talk.say(whole[:50])
    await trio.sleep(0.02)
    await talk.say(whole[50:] + whole[:30])
    said = [await told(talk)]
    await talk.say(whole[30:])
    return [*said, await told(talk)]


async def no_request(rig: Rig, talk: Talk) -> list[Any]:
    await talk.say(rig.get("/api/v1/pods") + b"G@T / HTTP/1.1\r\n\r\n")
    return [await told(talk), await told(talk), await talk.ended()]


async def ends_politely(rig: Rig, talk: Talk) -> list[Any]:
    await talk.say(rig.get("/api/v1/pods"))
    said = await told(talk)
    await talk.stream.send_eof()
    return [said, await talk.ended()]


async def stranger(rig: Rig, talk: Talk) -> list[Any]:
    await talk.say(rig.get("/api/v1/pods", token="e30.e30.e30"))
    await talk.say(rig.get("/api/v1/pods"))
    return [await told(talk), await told(talk)]


TRANSCRIPT: list[Conversation] = [
    asking("/api/v1/namespaces/web/pods"),
    asking("/api/v1/long"),
    asking("/api/v1/none"),
    asking("/api/v1/same", 'If-None-Match: "7"'),
    asking("/api/v1/headed", method="HEAD"),
    asking("/api/v1/chunked"),
    asking("/api/v1/forbidden"),
    asking("/api/v1/gone"),
    asking("/api/v1/nonsense"),
    asking("/api/v1/closing"),
    asking("/api/v1/pods", "Connection: close"),
    asking("/api/v1/pods", "X-Long: " + "v" * 40_000),
    asking("/api/v1/pods", "Impersonate-User: root"),
    asking(CONFIGS, method="POST", body=b"{}"),
    asking(CONFIGS + "/a", method="PUT", body=LONG),
    asking(CONFIGS + "/a", method="DELETE"),
    asking(CONFIGS + "/gone", method="POST", body=b"{}"),
    pipelined,
    behind_a_body,
    asks_first,
    in_chunks,
    with_trailers,
    raw_bytes,
    cut_answer,
    nobody_waits,
    half_a_body,
    half_a_head,
    no_request,
    ends_politely,
    stranger,
]

CLUSTERS: list[Cluster] = []


@asynccontextmanager
async def whole(tmp_path: Path, *, seen: bool) -> AsyncIterator[tuple[Rig, Stage]]:
    """Appliance, tunnel and agent over TLS; `seen`: bytes are heard where they are seen."""
    agent_rig.ERRANDS["on"] = front_rig.ERRANDS["on"] = seen
    for name in ("agent", "front", "tunnel"):
        (tmp_path / name).mkdir(parents=True)
    CLUSTERS.append(Cluster())
    opener, acceptor = await greeted(make_contexts(tmp_path / "tunnel"))

    async def run(session: Session, *parts: Any) -> None:
        with pytest.raises(SessionEnded):
            await session.run(*parts)

    async with (
        staged(tmp_path / "agent", CLUSTERS[-1]) as stage,
        fronted(tmp_path / "front", connected=False) as rig,
        trio.open_nursery() as nursery,
    ):
        relay = stage.relay
        relay.errands.readiness.available = rig.parts.readiness.available = seen
        rig.parts.registry.add(CLUSTER, opener, generation=1, serial="1", now=now())
        nursery.start_soon(run, opener, None, None, rig.parts.readiness)
        nursery.start_soon(run, acceptor, relay, relay.begin, relay.errands.readiness)
        yield rig, stage
        opener.abort()


async def play(tmp_path: Path, *, seen: bool) -> tuple[list[Any], list[Any], Any]:
    """Return what every conversation was told, what was recorded of it, and what the cluster saw."""
    answers: list[Any] = []
    records: list[Any] = []
    async with whole(tmp_path, seen=seen) as (rig, stage):
        for conversation in TRANSCRIPT:
            talk = await rig.dial()
            answers.append(await conversation(rig, talk))
            talk.stream.abort()
            await until(lambda: not rig.front.connections)
            said = [
                event._replace(time=0, duration=0, correlation_id="", tunnel_session="x" * bool(event.tunnel_session))
                for event in rig.ledger.events
            ]
            records.append(said)
            rig.ledger.events.clear()
        cluster = CLUSTERS[-1]
        await until(lambda: cluster.left == 2)
        assert not stage.relay._at_work
        assert seen or not len(stage.relay.errands.readiness) + len(rig.parts.readiness)
    return answers, records, cluster.seen


async def test_a_transcript_reads_the_same_both_ways(tmp_path: Path) -> None:
    try:
        seen = await play(tmp_path / "seen", seen=True)
        by_tasks = await play(tmp_path / "tasks", seen=False)
    finally:
        agent_rig.ERRANDS["on"] = front_rig.ERRANDS["on"] = True
        CLUSTERS.clear()
    for number, conversation in enumerate(TRANSCRIPT):
        for what in (0, 1):
            assert seen[what][number] == by_tasks[what][number], (number, conversation)
    assert seen[2] == by_tasks[2]
