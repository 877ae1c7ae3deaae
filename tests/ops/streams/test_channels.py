"""exec and attach without kubectl: protocols no kubectl here speaks, refusals, half-close, stalled clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing
import wsproto
from wsproto import events

from ops.demo.toy.streams import Containers, serve_upgrade
from ops.demo.toy.streams.channels import SizeParser
from ops.demo.toy.streams.spdy_connection import MAX_UNREAD_BYTES, SpdyConnection
from ops.demo.toy.upgrade_seam import UpgradeRequest
from tests.ops.streams.rig_local import (
    POD,
    open_channels,
    read_all,
    read_head,
    request,
    spdy_request,
    spdy_session,
    status_of,
)

ALL: dict[str, str | list[str]] = {"stdin": "true", "stdout": "true", "stderr": "true"}


def script(text: str) -> list[str]:
    return ["sh", "-c", text]


async def test_v4_over_spdy_keeps_the_channels_apart_and_ends_with_a_status(containers: Containers) -> None:
    asked = spdy_request("exec", "v4.channel.k8s.io", command=script("cat; echo err >&2; exit 3"), **ALL)
    async with spdy_session(containers, asked) as client:
        channels = open_channels(client, "error", "stdin", "stdout", "stderr")
        await channels["stdin"].send_all(b"typed")
        await channels["stdin"].send_eof()
        assert await read_all(channels["stdout"]) == b"typed"
        assert await read_all(channels["stderr"]) == b"err\n"
        status = await status_of(channels["error"])
        assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
        assert status["details"] == {"causes": [{"reason": "ExitCode", "message": "3"}]}


@pytest.mark.parametrize("protocol", ["v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io", None])
async def test_before_v4_a_failure_is_told_in_words_and_a_success_in_silence(
    containers: Containers, protocol: str | None
) -> None:
    for text, said in (("exit 3", b"command terminated with non-zero exit code: exit status 3"), ("true", b"")):
        asked = spdy_request("exec", protocol, command=script(text), stdout="true")
        async with spdy_session(containers, asked) as client:
            channels = open_channels(client, "error", "stdout")
            assert await read_all(channels["error"]) == said


async def test_a_terminal_takes_its_size_from_the_resize_stream(containers: Containers) -> None:
    asked = spdy_request("exec", "v4.channel.k8s.io", command=["stty", "size"], stdin="true", stdout="true", tty="true")
    async with spdy_session(containers, asked) as client:
        channels = open_channels(client, "error", "stdin", "stdout", "resize")
        await channels["resize"].send_all(b'{"Width":132,"Height":43}\n')
        assert await read_all(channels["stdout"]) == b"43 132\r\n"
        assert (await status_of(channels["error"]))["status"] == "Success"


@pytest.mark.parametrize(
    ("asked", "code", "sentence"),
    [
        (spdy_request("exec", "v9.channel.k8s.io", command=["ls"], stdout="true"), 403, "unable to negotiate protocol"),
        (spdy_request("portforward", "v1"), 403, "unable to negotiate protocol"),
        (spdy_request("exec", "v4.channel.k8s.io", stdout="true"), 400, "at least one command"),
        (spdy_request("exec", "v4.channel.k8s.io", command=["ls"]), 400, "at least 1 of stdin"),
        (
            spdy_request("exec", "v4.channel.k8s.io", command=["ls"], stdout="1", container="x"),
            400,
            "not valid for pod",
        ),
        (
            request(
                "exec", ("Connection", "upgrade"), ("Upgrade", "websocket"), spoken="GET", stdout="1", command=["ls"]
            ),
            400,
            "WebSocket",
        ),
    ],
)
async def test_a_request_that_cannot_be_served_gets_a_status(
    containers: Containers, asked: UpgradeRequest, code: int, sentence: str
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    assert await serve_upgrade(asked, theirs, containers)
    await theirs.aclose()
    head, body = await read_head(ours)
    assert head.startswith(f"HTTP/1.1 {code} ".encode())
    assert sentence in json.loads(body)["message"]


async def test_a_request_for_no_known_protocol_is_left_to_the_server(containers: Containers) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    for headers in ((), (("Upgrade", "SPDY/3.1"),), (("Connection", "Upgrade"), ("Upgrade", "h2c"))):
        assert not await serve_upgrade(request("exec", *headers, stdout="1", command=["ls"]), theirs, containers)
    await theirs.aclose()
    assert await ours.receive_some() == b""


async def test_a_client_that_never_opens_its_streams_is_let_go(containers: Containers) -> None:
    asked = spdy_request("exec", "v4.channel.k8s.io", command=["ls"], **ALL)
    async with spdy_session(containers, asked) as client:
        open_channels(client, "error")
        await client.closed.wait()


async def test_a_client_that_stops_reading_stops_the_producer_and_leaving_ends_it(containers: Containers) -> None:
    asked = spdy_request("exec", "v4.channel.k8s.io", command=["yes"], stdout="true")
    ours, theirs = trio.testing.lockstep_stream_pair()
    ended = trio.Event()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await serve_upgrade(asked, theirs, containers)
            ended.set()

        nursery.start_soon(serve)
        _, rest = await read_head(ours)
        client = SpdyConnection(ours, client=True)
        nursery.start_soon(client.run, rest)
        channels = open_channels(client, "error", "stdout")
        await trio.testing.wait_all_tasks_blocked()
        assert channels["stdout"].unread <= 2 * MAX_UNREAD_BYTES
        assert len(await channels["stdout"].receive_some()) > 0
        await ours.aclose()
        await ended.wait()
        nursery.cancel_scope.cancel()


async def test_attach_prints_lines_and_gives_back_what_is_typed(containers: Containers) -> None:
    asked = spdy_request("attach", "v4.channel.k8s.io", stdin="true", stdout="true")
    async with spdy_session(containers, asked) as client:
        channels = open_channels(client, "error", "stdin", "stdout")
        assert await channels["stdout"].receive_some() == b"web line 1\n"
        await channels["stdin"].send_all(b"hello\n")
        assert await channels["stdout"].receive_some() == b"hello\n"
        assert await channels["stdout"].receive_some() == b"web line 2\n"


@pytest.mark.parametrize("command", [[], ["sh"], ["/app/unknown"]])
async def test_attach_to_a_container_made_for_typing_finds_a_shell(containers: Containers, command: list[str]) -> None:
    debugger = {"name": "debugger", "stdin": True, "tty": True, "command": command}
    pod = POD | {"spec": POD["spec"] | {"ephemeralContainers": [debugger]}}
    asked = spdy_request("attach", "v4.channel.k8s.io", stdin="true", stdout="true", container="debugger")
    async with spdy_session(containers, replace(asked, pod=pod)) as client:
        channels = open_channels(client, "error", "stdin", "stdout")
        await channels["stdin"].send_all(b"echo typed; exit 3\n")
        assert await read_all(channels["stdout"]) == b"typed\n"
        assert (await status_of(channels["error"]))["reason"] == "NonZeroExitCode"


def test_sizes_are_read_however_they_are_cut() -> None:
    raw = b'{"Width":80,"Height":24}\n{"Width":100,"Height":-1}{"Width":"x"}{}{"Width":120,"Height":40}'
    for cut in range(len(raw)):
        parser = SizeParser()
        assert parser.receive(raw[:cut]) + parser.receive(raw[cut:]) == [(24, 80), (40, 120)]


@asynccontextmanager
async def websocket(containers: Containers, protocols: str, **query: str | list[str]) -> AsyncIterator[WebSocketClient]:
    machine = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    raw = machine.send(events.Request(host="toy", target="/x", subprotocols=protocols.split(",")))
    lines = raw.decode().split("\r\n")[1:-2]
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_upgrade, request("exec", *headers, spoken="GET", **query), theirs, containers)
        client = WebSocketClient(ours, machine)
        head, rest = await read_head(ours)
        machine.receive_data(head + b"\r\n\r\n" + rest)
        yield client
        await ours.aclose()


class WebSocketClient:
    """Speaks in messages: (channel, payload), or ("closed", code)."""

    def __init__(self, stream: trio.abc.Stream, machine: wsproto.WSConnection) -> None:
        self.stream = stream
        self.machine = machine
        self.subprotocol: str | None = None

    async def send(self, *payloads: bytes) -> None:
        for payload in payloads:
            await self.stream.send_all(self.machine.send(events.BytesMessage(data=payload)))

    async def read(self) -> list[tuple[Any, Any]]:
        """Everything until the server closes."""
        seen: list[tuple[Any, Any]] = []
        while True:
            for event in self.machine.events():
                match event:
                    case events.AcceptConnection():
                        self.subprotocol = event.subprotocol
                    case events.BytesMessage():
                        seen.append((event.data[0], bytes(event.data[1:])))
                    case events.CloseConnection():
                        await self.stream.send_all(self.machine.send(event.response()))
                        return [*seen, ("closed", event.code)]
            self.machine.receive_data(bytes(await self.stream.receive_some()))


@pytest.mark.parametrize("protocols", ["v5.channel.k8s.io", "v4.channel.k8s.io,v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_websocket_channels(containers: Containers, protocols: str) -> None:
    command = script("head -n 1; echo err >&2; exit 3")
    async with websocket(containers, protocols, command=command, **ALL) as client:
        await client.send(b"\x00a line\n")
        greeting, *seen, status, closed = await client.read()
        assert client.subprotocol == protocols.split(",", maxsplit=1)[0]
        assert greeting == (1, b"")
        assert seen == [(1, b"a line\n"), (2, b"err\n")]
        assert status[0] == 3
        assert json.loads(status[1])["reason"] == "NonZeroExitCode"
        assert closed == ("closed", 1000)


async def test_v5_closes_standard_input_with_a_message_of_channel_255(containers: Containers) -> None:
    async with websocket(containers, "v5.channel.k8s.io", command=["cat"], **ALL) as client:
        await client.send(b"\x00abc", b"\x00", b"\xff\x00")
        assert (await client.read())[1] == (1, b"abc")


async def test_v4_has_no_such_message(containers: Containers) -> None:
    command = script("head -c 6")
    async with websocket(containers, "v4.channel.k8s.io", command=command, **ALL) as client:
        await client.send(b"\x00abc", b"\xff\x00", b"\x00def")
        assert (1, b"abc") in (seen := await client.read())
        assert (1, b"def") in seen


async def test_a_message_may_come_in_fragments_and_a_resize_before_the_start(containers: Containers) -> None:
    query: dict[str, str | list[str]] = {"stdin": "true", "stdout": "true", "tty": "true"}
    async with websocket(containers, "v5.channel.k8s.io", command=script("stty size; head -n 1"), **query) as client:
        await client.send(b'\x04{"Width":90,"Height":33}')
        for piece, last in ((b"\x00fr", False), (b"ag", False), (b"ment\r", True)):
            await client.stream.send_all(client.machine.send(events.BytesMessage(data=piece, message_finished=last)))
        said = b"".join(data for channel, data in await client.read() if channel == 1)
        assert b"33 90\r\n" in said
        assert said.endswith(b"fragment\r\n")


async def test_a_text_message_or_garbage_ends_the_session(containers: Containers) -> None:
    for raw in (b"\x81\x80\0\0\0\0", b"\xff" * 20):
        async with websocket(containers, "v5.channel.k8s.io", command=["sleep", "10000"], **ALL) as client:
            await client.stream.send_all(raw)
