"""The channels of an exec or attach (stdin, stdout, stderr, resize, error), over SPDY and over WebSocket.

What always holds: the outcome is the last thing written, after all output, and is flushed before the connection goes;
a process that does not read its input, or a client that does not read its output, stops the other, and only bounded
amounts lie between. What runs behind the channels is not known here.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

import trio

from ops.demo.toy.streams.handshake import (
    PROTOCOL_HEADER,
    RefusalError,
    choose,
    spdy_switch,
)
from ops.demo.toy.streams.pipes import NoInput, NoOutput, Pipe, Sink, Source
from ops.demo.toy.streams.spdy_connection import SpdyConnection, SpdyStream
from ops.demo.toy.streams.websocket import MAX_MESSAGE_BYTES, Piece, WebSocket
from ops.demo.toy.upgrade_seam import UpgradeRequest

SPDY_PROTOCOLS: Final = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
WEBSOCKET_PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")

#: A kubelet waits this long for the client to open its streams.
OPENING_SECONDS: Final = 30.0
#: For the client to read the outcome and leave; then the connection is cut.
LINGER_SECONDS: Final = 5.0
#: Sizes waiting to be applied: only the newest matters.
_RESIZES = 16
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which channels the client asked for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended: an exit code, or why there is none."""

    exit_code: int = 0
    error: str | None = None

    def status(self) -> dict[str, Any]:
        if self.error is not None:
            return {
                "metadata": {},
                "status": "Failure",
                "message": f"Internal error occurred: {self.error}",
                "reason": "InternalError",
                "details": {"causes": [{"message": self.error}]},
                "code": 500,
            }
        if self.exit_code == 0:
            return {"metadata": {}, "status": "Success"}
        return {
            "metadata": {},
            "status": "Failure",
            "message": f"command terminated with non-zero exit code: exit status {self.exit_code}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(self.exit_code)}]},
        }


class Channels(Protocol):
    """What both transports offer to what runs behind them."""

    stdin: Source
    stdout: Sink
    stderr: Sink
    gone: trio.Event

    async def run(self) -> None:
        """Keep the transport going; `gone` is set when the client has left."""

    async def open(self) -> None:
        """Wait until the client has its channels in place."""

    async def next_size(self) -> tuple[int, int] | None:
        """The next terminal size as (rows, columns); None when there will be no more."""

    async def finish(self, outcome: Outcome) -> None: ...


class SizeParser:
    """Terminal sizes out of a stream of JSON objects, cut anywhere."""

    _OBJECT = re.compile(rb"\{[^{}]{0,200}\}")

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, data: bytes) -> list[tuple[int, int]]:
        self._rest += data
        sizes: list[tuple[int, int]] = []
        while found := self._OBJECT.search(self._rest):
            self._rest = self._rest[found.end() :]
            with contextlib.suppress(ValueError, TypeError, KeyError):
                size = json.loads(found[0])
                rows, columns = int(size["Height"]), int(size["Width"])
                if 0 <= rows <= 0xFFFF and 0 <= columns <= 0xFFFF:
                    sizes.append((rows, columns))
        self._rest = self._rest[-256:]
        return sizes


class SpdyChannels:
    """One SPDY stream for each channel, told apart by the header `streamtype`."""

    def __init__(self, transport: trio.abc.Stream, request: UpgradeRequest, wanted: Wanted) -> None:
        offered = request.header_list(PROTOCOL_HEADER)
        protocol = choose(offered, SPDY_PROTOCOLS) if offered else ""
        if protocol is None:
            sentence = f"unable to upgrade: unable to negotiate protocol: client supports {offered}, server accepts"
            raise RefusalError(403, f"{sentence} {list(SPDY_PROTOCOLS)}")
        self.stdin: Source = NoInput()
        self.stdout: Sink = NoOutput()
        self.stderr: Sink = NoOutput()
        self._connection = SpdyConnection(transport)
        self.gone = self._connection.closed
        self._as_json = protocol == "v4.channel.k8s.io"
        self._expected = {"error"} | {name for name in ("stdin", "stdout", "stderr") if getattr(wanted, name)}
        if wanted.tty and protocol in {"v4.channel.k8s.io", "v3.channel.k8s.io"}:
            self._expected.add("resize")
        self._streams: dict[str, SpdyStream] = {}
        self._sizes: list[tuple[int, int]] = []
        self._size_parser = SizeParser()
        self._already_read = request.already_read
        self._connection.outbox.put(spdy_switch(protocol if offered else None))

    async def run(self) -> None:
        await self._connection.run(self._already_read)

    async def open(self) -> None:
        with trio.fail_after(OPENING_SECONDS):
            while self._expected - self._streams.keys():
                try:
                    stream = await self._connection.accept()
                except trio.EndOfChannel:
                    raise trio.BrokenResourceError("the client left while opening its streams") from None
                kind = stream.headers.get("streamtype", "")
                if kind not in self._expected or kind in self._streams:
                    stream.reset()
                    continue
                self._streams[kind] = stream
        self.stdin = self._streams.get("stdin", self.stdin)
        self.stdout = self._streams.get("stdout", self.stdout)
        self.stderr = self._streams.get("stderr", self.stderr)

    async def next_size(self) -> tuple[int, int] | None:
        stream = self._streams.get("resize")
        while stream is not None and not self._sizes:
            try:
                data = await stream.receive_some(4096)
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            self._sizes = self._size_parser.receive(data)[-_RESIZES:]
        return self._sizes.pop(0) if self._sizes else None

    async def finish(self, outcome: Outcome) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            for name in self._streams.keys() & {"stdin", "resize"}:
                self._streams[name].discard()
            for name in self._streams.keys() & {"stdout", "stderr"}:
                await self._streams[name].send_eof()
            status = outcome.status()
            error = self._streams["error"]
            if self._as_json:
                await error.send_all(json.dumps(status).encode())
            elif status["status"] != "Success":
                await error.send_all(str(status["message"]).encode())
            for stream in list(self._streams.values()):
                await stream.send_eof()
            await self._connection.finish(LINGER_SECONDS)


class _OutputChannel:
    """One outgoing channel of a WebSocket: each message starts with the channel's number."""

    def __init__(self, websocket: WebSocket, number: int) -> None:
        self._websocket = websocket
        self._number = bytes((number,))

    async def send_all(self, data: bytes) -> None:
        for at in range(0, len(data), MAX_MESSAGE_BYTES):
            await self._websocket.send(self._number + data[at : at + MAX_MESSAGE_BYTES])


class WebSocketChannels:
    """All channels in one WebSocket; v5 adds a message that closes one of them."""

    def __init__(self, transport: trio.abc.Stream, request: UpgradeRequest, wanted: Wanted) -> None:
        self._websocket = WebSocket(transport, request)
        protocol = choose(self._websocket.offered(), WEBSOCKET_PROTOCOLS)
        if protocol is None:
            sentence = f"no sub-protocol in common: client offers {self._websocket.offered()}, server accepts"
            raise RefusalError(400, f"{sentence} {list(WEBSOCKET_PROTOCOLS)}")
        self.gone = self._websocket.closed
        self._stdin = Pipe()
        self.stdin: Source = self._stdin if wanted.stdin else NoInput()
        self.stdout: Sink = _OutputChannel(self._websocket, _STDOUT) if wanted.stdout else NoOutput()
        self.stderr: Sink = _OutputChannel(self._websocket, _STDERR) if wanted.stderr else NoOutput()
        self._greeting = bytes((_STDOUT if wanted.stdout else _STDERR if wanted.stderr else _ERROR,))
        self._can_close = protocol == "v5.channel.k8s.io"
        self._wants_stdin = wanted.stdin
        self._channel: int | None = None
        self._size_parser = SizeParser()
        self._sizes_in, self._sizes_out = trio.open_memory_channel[tuple[int, int]](_RESIZES)
        self._websocket.accept(protocol)

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._websocket.run)
                while (piece := await self._websocket.receive()) is not None:
                    await self._take_in(piece)
                self._hang_up()
        finally:
            self.gone.set()

    async def open(self) -> None:
        await self._websocket.send(self._greeting)  # an empty message tells the client that the session is there

    async def next_size(self) -> tuple[int, int] | None:
        try:
            return await self._sizes_out.receive()
        except trio.EndOfChannel:
            return None

    async def finish(self, outcome: Outcome) -> None:
        self._stdin.abandon()
        with contextlib.suppress(trio.BrokenResourceError):
            await self._websocket.send(bytes((_ERROR,)) + json.dumps(outcome.status()).encode())
            await self._websocket.finish(LINGER_SECONDS)

    async def _take_in(self, piece: Piece) -> None:
        data = piece.data
        if piece.first:
            self._channel = None
        if self._channel is None and data:
            self._channel, data = data[0], data[1:]
        with contextlib.suppress(trio.BrokenResourceError, trio.WouldBlock):
            if self._channel == _STDIN and data and self._wants_stdin:
                await self._stdin.send_all(data)
            elif self._channel == _RESIZE:
                for size in self._size_parser.receive(data):
                    self._sizes_in.send_nowait(size)
            elif self._channel == _CLOSE and self._can_close and data[:1] == bytes((_STDIN,)):
                self._stdin.end()

    def _hang_up(self) -> None:
        self._stdin.end()
        self._sizes_in.close()
