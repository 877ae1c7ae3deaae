"""The carrier against python-h2 on both sides: what we parse and write ourselves equals what h2 would."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.carrier import (
    FRAME_BYTES,
    MAX_CALL_BYTES,
    TUNNEL_PATH,
    WINDOW_BYTES,
    AnswerReceived,
    CallReceived,
    Carrier,
    CarrierEnded,
    CarrierError,
    CarrierEvent,
    Payload,
    TunnelOpened,
    TunnelRequested,
)

REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"tunnel.example.com"),
    (b":path", TUNNEL_PATH),
]


def h2_client() -> h2.connection.H2Connection:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    client.initiate_connection()
    client.increment_flow_control_window(WINDOW_BYTES)
    return client


def open_tunnel(client: h2.connection.H2Connection, server: Carrier) -> None:
    client.send_headers(1, REQUEST)
    assert server.receive(client.data_to_send()) == [TunnelRequested(1)]
    server.accept_tunnel(1)
    client.receive_data(server.take())
    server.receive(client.data_to_send())


def payload(events: list[CarrierEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Payload))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 16384), st.none() | st.integers(0, 255), st.booleans()), min_size=1, max_size=12),
    st.lists(st.integers(1, 5000), min_size=1, max_size=8),
)
def test_what_h2_sends_we_read_however_it_is_cut(pieces: list[tuple[int, int | None, bool]], cuts: list[int]) -> None:
    """DATA with and without padding, PINGs and SETTINGS in between."""
    client, server = h2_client(), Carrier(client=False)
    open_tunnel(client, server)
    sent = b""
    for number, (size, padding, ping) in enumerate(pieces):
        size = min(size, 16384 - (0 if padding is None else padding + 1))
        data = bytes([number]) * size
        client.send_data(1, data, pad_length=padding)
        sent += data
        if ping:
            client.ping(b"12345678")
    wire = client.data_to_send()
    received, position, turn = b"", 0, 0
    while position < len(wire):
        step = cuts[turn % len(cuts)]
        received += payload(server.receive(wire[position : position + step]))
        position += step
        turn += 1
    assert received == sent
    acknowledged = client.receive_data(server.take())
    assert sum(isinstance(event, h2.events.PingAckReceived) for event in acknowledged) == sum(p[2] for p in pieces)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 70_000), min_size=1, max_size=10))
def test_what_we_send_h2_reads(sizes: list[int]) -> None:
    client, server = h2_client(), Carrier(client=False)
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 8 << 20})
    open_tunnel(client, server)
    server.receive(client.data_to_send())
    sent = received = b""
    for number, size in enumerate(sizes):
        data = bytes([number % 256]) * min(size, server.sendable)
        sent += data
        for event in client.receive_data(server.wrap(data)):
            assert isinstance(event, h2.events.DataReceived)
            received += event.data or b""
            client.acknowledge_received_data(event.flow_controlled_length or 0, 1)
        server.receive(client.data_to_send())
    assert received == sent


def test_our_window_equals_h2s() -> None:
    """What we believe we may send is what h2 believes it may receive, after every step."""
    client, server = h2_client(), Carrier(client=False)
    open_tunnel(client, server)
    for _ in range(40):
        data = bytes(min(5000, server.sendable))
        if data:
            for event in client.receive_data(server.wrap(data)):
                if isinstance(event, h2.events.DataReceived):
                    client.acknowledge_received_data(event.flow_controlled_length or 0, 1)
        server.receive(client.data_to_send())
        assert server.sendable == client.remote_flow_control_window(1)


def test_windows_go_back_as_bytes_arrive() -> None:
    client, server = Carrier(client=True), Carrier(client=False)
    client.request_tunnel(b"tunnel.example.com")
    assert server.receive(client.take()) == [TunnelRequested(1)]
    server.accept_tunnel(1)
    assert client.receive(server.take()) == [TunnelOpened()]
    server.receive(client.take())
    total = 0
    for _ in range(2000):
        total += len(payload(server.receive(client.wrap(bytes(65536)))))
        client.receive(server.take())
    assert total == 2000 * 65536
    assert client.sendable > WINDOW_BYTES // 2


def test_calls_and_answers() -> None:
    client, server = Carrier(client=True), Carrier(client=False)
    stream_id = client.request(b"/fairlead/v1/enrol", b"tunnel.example.com", b"z" * 40_000)
    assert server.receive(client.take()) == [CallReceived(stream_id, b"/fairlead/v1/enrol", b"z" * 40_000)]
    server.answer(stream_id, 200, b"certificate")
    assert client.receive(server.take()) == [AnswerReceived(stream_id, 200, b"certificate")]


def test_a_refused_tunnel_says_why() -> None:
    client, server = Carrier(client=True), Carrier(client=False)
    client.request_tunnel(b"tunnel.example.com")
    server.receive(client.take())
    server.answer(1, 403, b"show a certificate")
    assert client.receive(server.take()) == [AnswerReceived(1, 403, b"show a certificate")]


def test_a_call_is_bounded() -> None:
    client, server = Carrier(client=True), Carrier(client=False)
    client.receive(server.take())
    with pytest.raises(CarrierError, match="larger than any call"):
        client.request(b"/fairlead/v1/enrol", b"tunnel.example.com", bytes(MAX_CALL_BYTES + 1))
        server.receive(client.take())


def test_one_connection_makes_few_calls() -> None:
    client, server = Carrier(client=True), Carrier(client=False)
    with pytest.raises(CarrierError):
        for _ in range(20):
            client.request(b"/fairlead/v1/enrol", b"tunnel.example.com", b"")
            for event in server.receive(client.take()):
                assert isinstance(event, CallReceived)
                server.answer(event.stream_id, 200, b"")
            client.receive(server.take())


def test_the_end_of_the_tunnel_is_told() -> None:
    for how in ("end", "reset", "goaway"):
        client, server = h2_client(), Carrier(client=False)
        open_tunnel(client, server)
        if how == "end":
            client.end_stream(1)
        elif how == "reset":
            client.reset_stream(1)
        else:
            client.close_connection()
        events = server.receive(client.data_to_send())
        assert [type(event) for event in events] == [CarrierEnded]


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\nHost: tunnel.example.com\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x00\x00\x00\x00\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x05\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff\xff",
    ],
)
def test_what_is_not_http2_is_refused(wire: bytes) -> None:
    with pytest.raises(CarrierError):
        Carrier(client=False).receive(wire)


def test_a_flood_of_pings_is_an_error() -> None:
    client, server = h2_client(), Carrier(client=False)
    open_tunnel(client, server)
    server.take()
    ping = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"12345678"
    with pytest.raises(CarrierError, match="flood"):
        for _ in range(1000):
            server.receive(ping * 100)


@given(st.binary(max_size=300))
def test_any_bytes_on_an_open_tunnel_are_events_or_a_carrier_error(junk: bytes) -> None:
    client, server = h2_client(), Carrier(client=False)
    open_tunnel(client, server)
    try:
        server.receive(junk)
    except CarrierError:
        pass


def test_frames_are_as_large_as_announced() -> None:
    client, server = Carrier(client=True), Carrier(client=False)
    client.request_tunnel(b"tunnel.example.com")
    server.receive(client.take())
    server.accept_tunnel(1)
    client.receive(server.take())
    wire = client.wrap(bytes(FRAME_BYTES))
    assert len(wire) == FRAME_BYTES + 9
