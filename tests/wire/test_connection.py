"""Two pure ends joined back to back: frames that cross, credit, fairness, and a random conversation."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.pair import ALICE, get
from wire import frames
from wire.carrier import Carrier, TunnelOpened, TunnelRequested
from wire.connection import MAX_EXCHANGES, Connection, Flow, PeerEnded, ProtocolViolation
from wire.credit import FIRST_WINDOW, MAX_WINDOW, Pool, ReceiveWindow, first_window
from wire.frames import Data, End, Head, Open, Reset, ResetCode
from wire.heads import ResponseHead
from wire.schedule import MAX_CONTROL_FRAMES, Flood, Lane, Schedule
from wire.states import TRANSITIONS, State, Step, WrongStep, after

OK = ResponseHead(200)


class Pair:
    """An opener and an acceptor; bytes move only when told to, so that frames can cross."""

    def __init__(self, opener: tuple[int, int] = (1, 1), acceptor: tuple[int, int] = (1, 1)) -> None:
        client, server = Carrier(client=True), Carrier(client=False)
        client.request_tunnel(b"tunnel.example.com")
        assert server.receive(client.take()) == [TunnelRequested(1)]
        server.accept_tunnel(1)
        assert TunnelOpened() in client.receive(server.take())
        server.receive(client.take())
        self.opener = Connection(server, opener=True, name=b"appliance", speaks=opener)
        self.acceptor = Connection(client, opener=False, name=b"agent", speaks=acceptor)
        self.wires: dict[Connection, deque[bytes]] = {self.opener: deque(), self.acceptor: deque()}
        self.heard: dict[Connection, list[tuple[Flow | None, frames.Frame]]] = {self.opener: [], self.acceptor: []}
        self.settle()

    def write(self, end: Connection) -> None:
        while end.wants_write:
            data, _ = end.take()
            assert data, "a writer that is told to write and given nothing would spin"
            self.wires[end].append(data)

    def deliver(self, sender: Connection) -> None:
        receiver = self.acceptor if sender is self.opener else self.opener
        while self.wires[sender]:
            self.heard[receiver] += receiver.receive(self.wires[sender].popleft(), 0.0)

    def settle(self) -> None:
        while self.opener.wants_write or self.acceptor.wants_write or any(self.wires.values()):
            for end in (self.opener, self.acceptor):
                self.write(end)
                self.deliver(end)

    def exchange(self, *, has_body: bool = True) -> tuple[Flow, Flow]:
        near = self.opener.open(get(), ALICE, has_body=has_body, upgrade=False, now=0.0)
        self.settle()
        return near, self.acceptor.flows[near.id]


def put_raw(end: Connection, frame: bytes) -> None:
    end._schedule.control(frame)


def test_every_step_outside_the_table_is_an_error() -> None:
    for state in State:
        for step in Step:
            if (state, step) in TRANSITIONS:
                assert after(state, step) is TRANSITIONS[state, step]
            else:
                with pytest.raises(WrongStep):
                    after(state, step)


def test_a_reset_withdraws_an_open_that_was_not_written() -> None:
    pair = Pair()
    flow = pair.opener.open(get(), ALICE, has_body=False, upgrade=False, now=0.0)
    pair.opener.reset(flow, ResetCode.CANCELLED, b"gone")
    pair.settle()
    assert not [frame for _, frame in pair.heard[pair.acceptor] if type(frame) in {Open, Reset}]
    near, far = pair.exchange()
    assert near.id == far.id == 2


def test_resets_that_cross_are_silent() -> None:
    pair = Pair()
    near, far = pair.exchange()
    pair.acceptor.send_head(far, OK)
    pair.opener.reset(near, ResetCode.CANCELLED, b"gone")
    pair.acceptor.reset(far, ResetCode.UPSTREAM_LOST, b"lost")
    pair.settle()
    assert not pair.opener.flows
    assert not pair.acceptor.flows


@pytest.mark.parametrize("late", [Data, End, frames.Credit, frames.Stop])
def test_frames_for_what_has_ended_are_dropped(late: type) -> None:
    pair = Pair()
    near, _far = pair.exchange()
    wire = {
        Data: frames.encode_data(near.id, b"x"),
        End: frames.encode_end(near.id),
        frames.Credit: frames.encode_credit(near.id, 10**6),
        frames.Stop: frames.encode_stop(near.id),
    }[late]
    pair.opener.reset(near, ResetCode.CANCELLED, b"gone")
    pair.settle()
    put_raw(pair.acceptor, wire)
    put_raw(pair.opener, wire)
    pair.settle()
    assert not pair.opener.flows


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (frames.encode_data(99, b"x"), "never opened"),
        (frames.encode_reset(99, 1, b""), "never opened"),
        (frames.encode_open(Open(1, False, False, 65536, get(), ALICE)), "must rise"),
        (frames.encode_open(Open(9, False, False, 100, get(), ALICE)), "too small"),
        (frames.encode_hello(frames.Hello(1, 1, (), 65536, 10, b"")), "second HELLO"),
        (frames.encode_head(1, OK, b"", end=False), "HEAD from the end that opens"),
        (frames.encode_stop(1), "STOP before"),
    ],
)
def test_an_acceptor_refuses(frame: bytes, why: str) -> None:
    pair = Pair()
    pair.exchange()
    put_raw(pair.opener, frame)
    with pytest.raises(ProtocolViolation, match=why):
        pair.settle()


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (frames.encode_open(Open(9, False, False, 65536, get(), ALICE)), "OPEN from the end that accepts"),
        (frames.encode_data(1, b"x"), "DATA while AWAITING"),
        (frames.encode_end(1), "END while AWAITING"),
    ],
)
def test_an_opener_refuses(frame: bytes, why: str) -> None:
    pair = Pair()
    pair.exchange()
    put_raw(pair.acceptor, frame)
    with pytest.raises(ProtocolViolation, match=why):
        pair.settle()


def test_more_bytes_than_credit_end_the_session() -> None:
    pair = Pair()
    near, _ = pair.exchange()
    for _ in range(FIRST_WINDOW // 16384):
        put_raw(pair.opener, frames.encode_data(near.id, bytes(16384)))
    pair.settle()
    put_raw(pair.opener, frames.encode_data(near.id, b"x"))
    with pytest.raises(ProtocolViolation, match="credit"):
        pair.settle()


def test_the_first_frame_must_be_hello() -> None:
    pair = Pair()
    pair.acceptor.peer = None
    put_raw(pair.opener, frames.encode_ping(b"x"))
    with pytest.raises(ProtocolViolation, match="HELLO"):
        pair.settle()


def test_a_reset_of_the_session_is_its_end() -> None:
    pair = Pair()
    pair.opener.end(ResetCode.PROTOCOL, b"you broke it")
    with pytest.raises(PeerEnded, match="you broke it"):
        pair.settle()


def test_past_the_limit_of_exchanges_is_busy_not_broken() -> None:
    pair = Pair()
    for _ in range(MAX_EXCHANGES):
        pair.opener.open(get(), ALICE, has_body=False, upgrade=False, now=0.0)
    assert not pair.opener.may_open
    pair.settle()
    put_raw(pair.opener, frames.encode_open(Open(MAX_EXCHANGES + 1, False, False, 65536, get(), ALICE)))
    pair.opener.highest += 1
    pair.settle()
    assert len(pair.acceptor.flows) == MAX_EXCHANGES


def test_what_crosses_a_drain_was_not_started() -> None:
    """The acceptor ends right after its DRAIN: an OPEN on its way must be known to be harmless."""
    pair = Pair()
    near, _far = pair.exchange()
    late = pair.opener.open(get(), ALICE, has_body=True, upgrade=False, now=0.0)
    pair.acceptor.drain()
    pair.write(pair.opener)
    pair.write(pair.acceptor)
    pair.deliver(pair.acceptor)
    assert [(flow, frame.code) for flow, frame in pair.heard[pair.opener] if isinstance(frame, Reset)] == [
        (late, ResetCode.DRAINING)
    ]
    assert list(pair.opener.flows) == [near.id]
    pair.settle()
    assert list(pair.acceptor.flows) == [near.id]


def test_a_credit_is_an_offset_and_only_the_last_matters() -> None:
    schedule = Schedule()
    schedule.credit(1, frames.encode_credit(1, 10))
    schedule.credit(1, frames.encode_credit(1, 20))
    batch, _ = schedule.take(65536, 65536)
    assert batch == [frames.encode_credit(1, 20)]


def test_windows_grow_only_when_they_are_the_limit() -> None:
    pool = Pool(3 << 20)
    window = ReceiveWindow(FIRST_WINDOW, (pool,), now=0.0)
    window.consumed(FIRST_WINDOW, 10.0, 0.1)
    assert window.size == FIRST_WINDOW, "a slow consumer needs no larger window"
    window.consumed(FIRST_WINDOW, 10.1, 0.1)
    assert window.size == 4 * FIRST_WINDOW
    window.consumed(4 * FIRST_WINDOW, 10.2, 0.1)
    assert window.size == 8 * FIRST_WINDOW
    window.consumed(8 * FIRST_WINDOW, 10.3, 0.1)
    assert window.size == FIRST_WINDOW + (3 << 20), "the pool is empty"
    window.close()
    assert pool.free == 3 << 20


def test_a_window_never_passes_its_maximum() -> None:
    window = ReceiveWindow(FIRST_WINDOW, (Pool(1 << 30),), now=0.0)
    for turn in range(20):
        window.consumed(window.size, turn * 0.001, 1.0)
    assert window.size == MAX_WINDOW


def test_first_windows_shrink_as_a_session_fills() -> None:
    assert [first_window(n) for n in (0, 256, 257, 1024, 1025)] == [262144, 262144, 65536, 65536, 32768]


def test_each_ready_flow_gets_one_frame_in_turn() -> None:
    schedule, big, small = Schedule(), Lane(), Lane()
    for _ in range(8):
        schedule.add(big, b"B" * 16384)
    schedule.take(16384, 1 << 20)
    schedule.add(small, b"s")
    batch, _ = schedule.take(65536, 1 << 20)
    assert batch[0] == b"s", "one that just became ready with little goes before the ring"
    assert batch[1:] == [b"B" * 16384] * 3


def test_control_frames_go_first_and_are_bounded() -> None:
    schedule, lane = Schedule(), Lane()
    schedule.add(lane, b"D")
    schedule.control(b"R")
    batch, _ = schedule.take(65536, 65536)
    assert batch == [b"R", b"D"]
    with pytest.raises(Flood):
        for _ in range(MAX_CONTROL_FRAMES + 1):
            schedule.control(b"R")


def test_a_full_carrier_window_lets_the_writer_sleep_and_wakes_it() -> None:
    """With 16 MiB of HTTP/2 under way, what is left of its window is no room for a frame."""
    pair = Pair()
    flows = [pair.exchange()[0] for _ in range(80)]
    sent = 0
    for _ in range(FIRST_WINDOW // frames.MAX_DATA_BYTES):
        for flow in flows:
            if flow.room >= frames.MAX_DATA_BYTES:
                pair.opener.send_data(flow, b"x" * frames.MAX_DATA_BYTES)
                sent += 1
        pair.write(pair.opener)
    assert any(flow.lane.frames for flow in flows)
    assert not pair.opener.wants_write
    pair.settle()
    assert sum(type(frame) is Data for _, frame in pair.heard[pair.acceptor]) == sent


def test_no_data_overtakes_its_open() -> None:
    schedule, lane = Schedule(), Lane()
    schedule.open(1, b"O" * 60_000)
    schedule.open(2, b"P" * 60_000)
    schedule.add(lane, b"d")
    batches = [schedule.take(65536, 1 << 20)[0] for _ in range(2)]
    assert batches[0] == [b"O" * 60_000]
    assert batches[1] == [b"P" * 60_000, b"d"]


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["open", "head", "data", "end", "stop", "reset", "consume", "write", "deliver"]),
              st.booleans(), st.integers(0, 5)),
    max_size=120,
)  # fmt: skip


@settings(max_examples=200)
@given(ACTIONS)
def test_whatever_crosses_neither_end_calls_the_other_broken(actions: list[tuple[str, bool, int]]) -> None:
    """RESET, END, STOP, CREDIT and DATA in every order, with bytes in flight: no ProtocolViolation, no leak."""
    pair = Pair()
    for action, of_opener, pick in actions:
        end = pair.opener if of_opener else pair.acceptor
        flows = list(end.flows.values())
        if action == "open":
            pair.opener.open(get(), ALICE, has_body=bool(pick % 2), upgrade=False, now=0.0)
        elif action == "write":
            pair.write(end)
        elif action == "deliver":
            pair.deliver(end)
        elif flows:
            act(end, flows[pick % len(flows)], action, pick)
    pair.settle()
    for end in (pair.opener, pair.acceptor):
        for flow in list(end.flows.values()):
            end.reset(flow, ResetCode.CANCELLED, b"")
    pair.settle()
    assert not pair.opener.flows
    assert not pair.acceptor.flows


def act(end: Connection, flow: Flow, action: str, pick: int) -> None:
    if action == "head" and not end.opener and flow.outgoing is State.AWAITING:
        end.send_head(flow, OK, b"x" * pick, end=pick == 5)
    elif action == "data" and flow.outgoing is State.FLOWING and flow.room >= 16384:
        end.send_data(flow, b"x" * 16384)
    elif action == "end" and flow.outgoing is State.FLOWING:
        end.send_end(flow)
    elif action == "stop" and (end.opener or flow.outgoing is not State.AWAITING):
        end.stop(flow)
    elif action == "reset":
        end.reset(flow, ResetCode.CANCELLED, b"")
    elif action == "consume":
        held = flow.window.arrived_offset - flow.window.consumed_offset
        if held:
            end.consumed(flow, held, 0.0)


def test_small_answers_arrive_with_head_body_and_end() -> None:
    pair = Pair()
    near, far = pair.exchange(has_body=False)
    pair.acceptor.send_head(far, OK, b"{}", end=True)
    pair.settle()
    assert (near, Head(near.id, OK, b"{}", True)) in pair.heard[pair.opener]
    assert not pair.opener.flows
    assert not pair.acceptor.flows


@pytest.mark.parametrize(("opener", "acceptor"), [((1, 2), (1, 1)), ((1, 1), (1, 2)), ((2, 3), (1, 2))])
def test_ends_that_are_one_version_apart_speak_the_older_one(
    opener: tuple[int, int], acceptor: tuple[int, int]
) -> None:
    pair = Pair(opener, acceptor)
    assert pair.opener.version == pair.acceptor.version == min(opener[1], acceptor[1])
    near, far = pair.exchange(has_body=False)
    assert (near.id, far.incoming) == (1, State.ENDED)


def test_ends_without_a_common_version_part_with_a_sentence_that_names_both() -> None:
    with pytest.raises(ProtocolViolation, match="no common version: we speak 1 to 2, the peer 3 to 4"):
        Pair((3, 4), (1, 2))
