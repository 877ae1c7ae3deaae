"""The HTTP/2 connection that carries a tunnel: bytes in, events out. Pure.

python-h2 does the preface, SETTINGS, HEADERS, PING, GOAWAY and all errors. Once a stream is the tunnel, its DATA and
WINDOW_UPDATE frames are read and written here, with accounts of our own: h2 costs ten times as much per MiB and gives
the tunnel nothing it needs. Windows (16 MiB) go back as bytes arrive; they only bound what is in flight, because real
credit is per exchange (credit.py).

Before a tunnel is asked for, a connection may make a few small request/reply calls (enrolment). One connection does
the one or the other. HTTP/2 GOAWAY is never sent to drain: python-h2 stops for good then; the tunnel has DRAIN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

TUNNEL_PATH: Final = b"/fairlead/v1/tunnel"
CONTENT_TYPE: Final = b"application/vnd.fairlead.frames"

WINDOW_BYTES: Final = 16 * 1024 * 1024
"""In flight on the whole tunnel: 128 MB/s over 125 ms."""

RETURN_AT_BYTES: Final = 1024 * 1024
"""Window is returned in pieces this large: sixteen times before a sender could stop."""

FRAME_BYTES: Final = 64 * 1024
"""Largest HTTP/2 frame we take: one write of the peer's in one frame."""

MAX_CALL_BYTES: Final = 64 * 1024
MAX_CALLS: Final = 8
MAX_FRAMES: Final = 64
"""Frames that h2 reads for us in the life of a connection: SETTINGS, calls or the tunnel's opening, little else. One
costs 50 us: so many in one read take 3 ms, and a flood of them ends its connection."""

MAX_CONTROL_BYTES: Final = 64 * 1024
"""Answers to PING and SETTINGS that wait because the peer does not read. More is a flood."""

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER: Final = 9
_DATA: Final = 0x0
_WINDOW_UPDATE: Final = 0x8
_END_STREAM: Final = 0x1
_PADDED: Final = 0x8
_MAX_WINDOW: Final = 2**31 - 1
_DEFAULT_WINDOW: Final = 65_535


class CarrierError(Exception):
    """The peer broke HTTP/2 or went past a limit. The connection cannot go on; send `take()` and close."""


@dataclass(frozen=True, slots=True)
class CallReceived:
    """Server: a whole small request. Answer it with `answer`."""

    stream_id: int
    path: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class TunnelRequested:
    """Server: the peer asks for the tunnel. `accept_tunnel` or `answer` with a refusal."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class AnswerReceived:
    """Client: the answer to a call, or a refusal of the tunnel."""

    stream_id: int
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class TunnelOpened:
    """Client: the tunnel was accepted."""


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes of the tunnel."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CarrierEnded:
    """The peer ended the tunnel or the connection in good order."""

    reason: str


CarrierEvent = CallReceived | TunnelRequested | AnswerReceived | TunnelOpened | Payload | CarrierEnded


class Carrier:
    """One HTTP/2 connection, either end."""

    def __init__(self, *, client: bool) -> None:
        self._client = client
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=client, header_encoding=None, logger=None)
        )
        self._h2.local_settings = h2.settings.Settings(
            client=client,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
                h2.settings.SettingCodes.MAX_FRAME_SIZE: FRAME_BYTES,
                h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: MAX_CALLS,
                h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 16 * 1024,
            },
        )
        self._h2.max_inbound_frame_size = FRAME_BYTES
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW_BYTES - _DEFAULT_WINDOW)
        self._buffer = bytearray()
        self._preface_left = 0 if client else len(_PREFACE)
        self._calls: dict[int, tuple[bytes, bytearray]] = {}
        self._answers: dict[int, tuple[int, bytearray]] = {}
        self._call_count = 0
        self._own = bytearray()  # WINDOW_UPDATE frames of the tunnel
        self._tunnel: int | None = None
        self._refusal: tuple[int, bytearray] | None = None
        self._data_left = 0  # of a tunnel DATA frame whose payload is still arriving
        self._data_ends_stream = False
        self._connection_window = _DEFAULT_WINDOW  # what we may send
        self._stream_window_extra = 0  # WINDOW_UPDATEs of the tunnel stream; the base is the peer's SETTINGS
        self._sent = 0
        self._unreturned = 0
        self._frames_left = MAX_FRAMES

    # Calls and the tunnel's opening

    def request(self, path: bytes, authority: bytes, body: bytes) -> int:
        """Client: make a call; return its stream id."""
        stream_id: int = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream_id, _request_headers(path, authority))
        self._send_small(stream_id, body)
        return stream_id

    def request_tunnel(self, authority: bytes) -> None:
        """Client: ask for the tunnel. Frames may be sent at once; they wait at the server until it accepts."""
        self._tunnel = self._h2.get_next_available_stream_id()
        self._h2.send_headers(self._tunnel, _request_headers(TUNNEL_PATH, authority))

    def answer(self, stream_id: int, status: int, body: bytes) -> None:
        """Server: answer a call, or refuse the tunnel."""
        headers = [(b":status", b"%d" % status), (b"content-type", CONTENT_TYPE)]
        self._h2.send_headers(stream_id, headers)
        self._send_small(stream_id, body)

    def accept_tunnel(self, stream_id: int) -> None:
        """Server: open the tunnel that was asked for."""
        self._h2.send_headers(stream_id, [(b":status", b"200"), (b"content-type", CONTENT_TYPE)])

    def _send_small(self, stream_id: int, body: bytes) -> None:
        step = 16 * 1024  # every peer takes frames of this size (RFC 9113 §4.2)
        for start in range(0, len(body), step):
            self._h2.send_data(stream_id, body[start : start + step])
        self._h2.end_stream(stream_id)

    # Receiving

    def receive(self, data: bytes) -> list[CarrierEvent]:
        """Take bytes from the peer.

        Raises:
            CarrierError: the peer broke the protocol.

        """
        events: list[CarrierEvent] = []
        if not self._buffer and self._data_left >= len(data):
            # The common case in a long transfer: all of it lies inside one DATA frame.
            self._take_payload(data, events)
            return events
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while True:
                step = self._one(buffer, position, events)
                if step == 0:
                    break
                position += step
        except (h2.exceptions.H2Error, ValueError) as error:
            raise CarrierError(f"not HTTP/2 as agreed: {error.__class__.__name__}") from error
        finally:
            del buffer[:position]
        if len(self._own) + len(self._h2._data_to_send) > MAX_CONTROL_BYTES:  # noqa: SLF001 # no public way to peek
            raise CarrierError("a flood of frames that want answers")
        return events

    def _one(self, buffer: bytearray, position: int, events: list[CarrierEvent]) -> int:
        """Handle one frame, or one piece of tunnel data, at `position`; return how many bytes it took, 0 for more."""
        available = len(buffer) - position
        if self._data_left:
            take = min(self._data_left, available)
            if take:
                self._take_payload(bytes(memoryview(buffer)[position : position + take]), events)
            return take
        if self._preface_left:
            take = min(self._preface_left, available)
            if take:
                self._feed(bytes(buffer[position : position + take]), events)
                self._preface_left -= take
            return take
        if available < _HEADER:
            return 0
        length = int.from_bytes(buffer[position : position + 3], "big")
        kind, flags = buffer[position + 3], buffer[position + 4]
        stream_id = int.from_bytes(buffer[position + 5 : position + 9], "big") & _MAX_WINDOW
        if length > FRAME_BYTES:
            raise CarrierError("a frame larger than announced")
        if kind == _DATA and stream_id == self._tunnel and not flags & _PADDED:
            self._count_data(length)
            self._data_left = length
            self._data_ends_stream = bool(flags & _END_STREAM)
            if not length:
                self._take_payload(b"", events)
            return _HEADER
        if available < _HEADER + length:
            return 0
        frame = bytes(buffer[position : position + _HEADER + length])
        if kind == _DATA and stream_id == self._tunnel:
            self._padded_data(frame, flags, events)
        elif kind == _WINDOW_UPDATE and self._window_update(frame, stream_id):
            pass
        else:
            self._frames_left -= 1
            if self._frames_left < 0:
                raise CarrierError("a flood of HTTP/2 frames")
            self._feed(frame, events)
        return _HEADER + length

    def _padded_data(self, frame: bytes, flags: int, events: list[CarrierEvent]) -> None:
        payload = frame[_HEADER:]
        if not payload or payload[0] >= len(payload):
            raise CarrierError("padding longer than its frame")
        self._count_data(len(payload))
        data = payload[1 : len(payload) - payload[0]]
        self._data_ends_stream = bool(flags & _END_STREAM)
        self._data_left = len(data)
        self._take_payload(data, events)

    def _count_data(self, length: int) -> None:
        self._unreturned += length
        if self._unreturned >= RETURN_AT_BYTES:
            assert self._tunnel is not None
            increment = self._unreturned.to_bytes(4, "big")
            for stream_id in (0, self._tunnel):
                self._own += b"\x00\x00\x04\x08\x00" + stream_id.to_bytes(4, "big") + increment
            self._unreturned = 0

    def _take_payload(self, data: bytes, events: list[CarrierEvent]) -> None:
        self._data_left -= len(data)
        if self._refusal is not None:
            self._refusal[1].extend(data[:MAX_CALL_BYTES])
            if len(self._refusal[1]) > MAX_CALL_BYTES:
                raise CarrierError("a refusal that does not end")
        elif data:
            events.append(Payload(data))
        if self._data_left == 0 and self._data_ends_stream:
            self._tunnel_ended(events)

    def _tunnel_ended(self, events: list[CarrierEvent]) -> None:
        self._data_ends_stream = False
        if self._refusal is not None:
            events.append(AnswerReceived(self._tunnel or 0, self._refusal[0], bytes(self._refusal[1])))
        else:
            events.append(CarrierEnded("the peer ended the tunnel"))

    def _window_update(self, frame: bytes, stream_id: int) -> bool:
        """Account for a WINDOW_UPDATE that concerns the tunnel; False: it is h2's alone."""
        if len(frame) != _HEADER + 4:
            raise CarrierError("WINDOW_UPDATE of the wrong size")
        increment = int.from_bytes(frame[_HEADER:], "big") & _MAX_WINDOW
        if stream_id not in {0, self._tunnel}:
            return False
        if increment == 0:
            raise CarrierError("WINDOW_UPDATE of nothing")
        if stream_id == 0:
            self._connection_window += increment
            if self._connection_window > _MAX_WINDOW:
                raise CarrierError("a window larger than HTTP/2 has")
            # Calls are sent by h2, which must know of connection window too, as long as there is no tunnel.
            return self._tunnel is not None
        self._stream_window_extra += increment
        if self._stream_window() > _MAX_WINDOW:
            raise CarrierError("a window larger than HTTP/2 has")
        return True

    def _feed(self, data: bytes, events: list[CarrierEvent]) -> None:
        for event in self._h2.receive_data(data):
            self._on_h2(event, events)

    def _on_h2(self, event: h2.events.Event, events: list[CarrierEvent]) -> None:
        match event:
            case h2.events.RequestReceived():
                self._on_request(event, events)
            case h2.events.ResponseReceived():
                self._on_response(event, events)
            case h2.events.DataReceived():
                self._on_call_data(event)
            case h2.events.StreamEnded():
                self._on_stream_ended(event.stream_id or 0, events)
            case h2.events.StreamReset():
                self._calls.pop(event.stream_id, None)
                if event.stream_id == self._tunnel:
                    events.append(CarrierEnded("the peer reset the tunnel"))
                elif self._answers.pop(event.stream_id, None) is not None or self._client:
                    events.append(CarrierEnded("the peer reset a call"))
            case h2.events.ConnectionTerminated():
                events.append(CarrierEnded("the peer ended the HTTP/2 connection"))
            case _:
                pass  # SETTINGS, PING and their acknowledgements are h2's own business

    def _on_request(self, event: h2.events.RequestReceived, events: list[CarrierEvent]) -> None:
        stream_id = event.stream_id or 0
        headers = dict(event.headers or ())
        path = bytes(headers.get(b":path", b""))
        self._call_count += 1
        if self._tunnel is not None or self._call_count > MAX_CALLS:
            raise CarrierError("more requests than one connection may make")
        if bytes(headers.get(b":method", b"")) != b"POST":
            self.answer(stream_id, 405, b"")
        elif path == TUNNEL_PATH:
            if self._call_count > 1 or event.stream_ended is not None:
                raise CarrierError("a tunnel must be alone on its connection and stay open")
            self._tunnel = stream_id
            events.append(TunnelRequested(stream_id))
        else:
            self._calls[stream_id] = (path, bytearray())

    def _on_response(self, event: h2.events.ResponseReceived, events: list[CarrierEvent]) -> None:
        stream_id = event.stream_id or 0
        status = int(dict(event.headers or ()).get(b":status", b"0"))
        if stream_id != self._tunnel:
            self._answers[stream_id] = (status, bytearray())
        elif status == 200:
            events.append(TunnelOpened())
        else:
            self._refusal = (status, bytearray())

    def _on_call_data(self, event: h2.events.DataReceived) -> None:
        stream_id = event.stream_id or 0
        self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
        held = self._calls.get(stream_id) or self._answers.get(stream_id)
        if held is not None:
            body = held[1]
            body += event.data or b""
            if len(body) > MAX_CALL_BYTES:
                raise CarrierError("a call larger than any call")

    def _on_stream_ended(self, stream_id: int, events: list[CarrierEvent]) -> None:
        if stream_id == self._tunnel:
            self._tunnel_ended(events)
        elif stream_id in self._calls:
            path, body = self._calls.pop(stream_id)
            events.append(CallReceived(stream_id, path, bytes(body)))
        elif stream_id in self._answers:
            status, answer = self._answers.pop(stream_id)
            events.append(AnswerReceived(stream_id, status, bytes(answer)))

    # Sending

    def _stream_window(self) -> int:
        base: int = self._h2.remote_settings.initial_window_size
        return base + self._stream_window_extra - self._sent

    @property
    def sendable(self) -> int:
        """How many bytes of tunnel payload the peer's windows allow now."""
        if self._tunnel is None:
            return 0
        return max(0, min(self._connection_window, self._stream_window()))

    def wrap(self, payload: bytes) -> bytes:
        """Return `payload` as DATA frames of the tunnel. At most `sendable` bytes."""
        assert self._tunnel is not None
        assert len(payload) <= self.sendable
        self._connection_window -= len(payload)
        self._sent += len(payload)
        tail = self._tunnel.to_bytes(4, "big")
        limit: int = self._h2.max_outbound_frame_size
        if len(payload) <= limit:
            return b"%b\x00\x00%b%b" % (len(payload).to_bytes(3, "big"), tail, payload)
        frames: list[bytes] = []
        for start in range(0, len(payload), limit):
            piece = payload[start : start + limit]
            frames.append(b"%b\x00\x00%b%b" % (len(piece).to_bytes(3, "big"), tail, piece))
        return b"".join(frames)

    def end_tunnel(self) -> None:
        """End our direction of the tunnel, after everything else."""
        if self._tunnel is not None:
            self._own += b"\x00\x00\x00\x00\x01" + self._tunnel.to_bytes(4, "big")

    def take(self) -> bytes:
        """Return what HTTP/2 itself has to send; it goes before tunnel payload."""
        data: bytes = self._h2.data_to_send()
        if self._own:
            data += bytes(self._own)
            self._own.clear()
        return data

    @property
    def has_own(self) -> bool:
        """Tell whether `take` would return anything."""
        return bool(self._own) or bool(self._h2._data_to_send)  # noqa: SLF001 # no public way to peek


def _request_headers(path: bytes, authority: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", authority),
        (b":path", path),
        (b"content-type", CONTENT_TYPE),
    ]
