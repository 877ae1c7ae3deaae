"""Sessions and exchanges, two real ends joined in memory, on a virtual clock."""

from __future__ import annotations

import gc

import pytest
import trio
import trio.testing

from tests.support.pair import ALICE, MemoryByteStream, get, greeted, joined_sessions, memory_pair
from wire.exchange import PeerStopped
from wire.frames import Open, ResetCode, encode_data, encode_open, encode_reset
from wire.heads import ResponseHead
from wire.session import LINGER_PULSES, Exchange, ExchangeReset, Session, SessionDraining, SessionEnded, SessionLost

OK = ResponseHead(200, ((b"Content-Type", b"application/json"),))


async def whole(exchange: Exchange) -> bytes:
    received = b""
    while data := await exchange.receive_some():
        received += data
    return received


async def test_a_small_answer_is_one_frame() -> None:
    async def agent(exchange: Exchange) -> None:
        assert exchange.request == get()
        assert exchange.identity == ALICE
        assert exchange.at_eof
        assert exchange.answer_nowait(OK, b'{"items":[]}')

    async with joined_sessions(agent) as (opener, _):
        exchange = opener.open(get(), ALICE, has_body=False)
        assert await exchange.head() == OK
        assert exchange.receive_nowait() == b'{"items":[]}'
        assert exchange.at_eof
        assert opener.in_flight == 0


async def test_bodies_flow_both_ways_with_credit() -> None:
    payload = bytes(range(256)) * 40_000

    async def echo(exchange: Exchange) -> None:
        await exchange.send_head(OK)
        while data := await exchange.receive_some():
            await exchange.send_all(data)
        await exchange.send_eof(((b"Checksum", b"1"),))

    async with joined_sessions(echo) as (opener, _):
        exchange = opener.open(get(), ALICE, has_body=True)

        async def send() -> None:
            await exchange.send_all(payload)
            await exchange.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert await exchange.head() == OK
            assert await whole(exchange) == payload
        assert exchange.trailers == ((b"Checksum", b"1"),)
        assert opener.in_flight == 0


async def test_passes_the_stream_checks_of_trio() -> None:
    accepted_send, accepted = trio.open_memory_channel[Exchange](1)

    async def agent(exchange: Exchange) -> None:
        await exchange.send_head(ResponseHead(101))
        await accepted_send.send(exchange)
        await trio.sleep_forever()

    async with joined_sessions(agent) as (opener, _):

        async def stream_maker() -> tuple[Exchange, Exchange]:
            near = opener.open(get(), ALICE, has_body=False, upgrade=True)
            await near.head()
            return near, await accepted.receive()

        async def clogged_stream_maker() -> tuple[Exchange, Exchange]:
            near, far = await stream_maker()
            for stream in (near, far):
                with trio.move_on_after(5):
                    await stream.send_all(bytes(1 << 20))
            return near, far

        await trio.testing.check_half_closeable_stream(stream_maker, clogged_stream_maker)


async def test_a_reader_that_stops_holds_up_itself_alone() -> None:
    async def agent(exchange: Exchange) -> None:
        await exchange.send_head(OK)
        if exchange.request.target == b"/endless":
            while True:
                await exchange.send_all(bytes(65536))
        await exchange.send_eof()

    async with joined_sessions(agent) as (opener, acceptor):
        stalled = [opener.open(get(b"/endless"), ALICE, has_body=False) for _ in range(64)]
        await trio.testing.wait_all_tasks_blocked()
        for exchange in stalled:
            assert exchange._held <= 256 * 1024
        for flow in acceptor.connection.flows.values():
            assert flow.lane.bytes <= 128 * 1024

        neighbour = opener.open(get(), ALICE, has_body=False)
        assert await neighbour.head() == OK
        assert await whole(neighbour) == b""
        for exchange in stalled:
            exchange.close()
        await trio.testing.wait_all_tasks_blocked()
        assert opener.in_flight == acceptor.in_flight == 0


async def test_reset_ends_both_ways_at_once() -> None:
    ended = trio.Event()

    async def agent(exchange: Exchange) -> None:
        await exchange.send_head(OK)
        try:
            while True:
                await exchange.send_all(bytes(65536))
        except ExchangeReset as error:
            assert error.code == ResetCode.CANCELLED
            ended.set()

    async with joined_sessions(agent) as (opener, _):
        exchange = opener.open(get(), ALICE, has_body=False)
        await exchange.head()
        exchange.reset(ResetCode.CANCELLED, "the client went away")
        await ended.wait()
        with pytest.raises(trio.BrokenResourceError):
            await exchange.receive_some()


async def test_stop_ends_one_direction_and_the_answer_lives() -> None:
    async def agent(exchange: Exchange) -> None:
        assert await exchange.receive_some(1) != b""
        await exchange.send_head(ResponseHead(413))
        exchange.stop()
        await exchange.send_all(b"too large")
        await exchange.send_eof()

    async with joined_sessions(agent) as (opener, _):
        exchange = opener.open(get(), ALICE, has_body=True)
        with pytest.raises(PeerStopped):
            while True:
                await exchange.send_all(bytes(65536))
        assert (await exchange.head()).status == 413
        assert await whole(exchange) == b"too large"
        await trio.testing.wait_all_tasks_blocked()
        assert opener.in_flight == 0


async def test_a_defect_in_one_exchange_ends_it_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def agent(exchange: Exchange) -> None:
        if exchange.request.target == b"/defect":
            raise ValueError("a defect")
        exchange.answer_nowait(OK, b"fine")

    async with joined_sessions(agent) as (opener, _):
        broken = opener.open(get(b"/defect"), ALICE, has_body=False)
        with pytest.raises(ExchangeReset) as caught:
            await broken.head()
        assert caught.value.code == ResetCode.INTERNAL
        neighbour = opener.open(get(), ALICE, has_body=False)
        assert await neighbour.head() == OK
    assert "defect of ours" in caplog.text


async def test_drain_refuses_new_exchanges_and_lets_old_ones_end() -> None:
    finish = trio.Event()

    async def agent(exchange: Exchange) -> None:
        await exchange.send_head(OK)
        await finish.wait()
        await exchange.send_eof()

    opener, acceptor = await greeted(*memory_pair())
    reasons: list[str] = []

    async def run(session: Session, handler: object) -> None:
        with pytest.raises(SessionEnded) as caught:
            await session.run(handler)  # type: ignore[arg-type]
        reasons.append(str(caught.value))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, opener, None)
        nursery.start_soon(run, acceptor, agent)
        exchange = opener.open(get(), ALICE, has_body=False)
        await exchange.head()
        acceptor.drain(60)
        await trio.testing.wait_all_tasks_blocked()
        assert opener.draining
        with pytest.raises(SessionDraining):
            opener.open(get(), ALICE, has_body=False)
        finish.set()
        assert await whole(exchange) == b""
    assert reasons == ["drained", "the peer ended the session: drained"], "the opener, who has every answer, ends it"


@pytest.mark.interpreted
async def test_an_acceptor_that_drained_ends_by_itself_where_the_opener_does_not() -> None:
    """One that cannot write any more, say. Until then nothing that is on its way is cut off."""
    opener, acceptor = await greeted(*memory_pair())
    opener._leave = trio.sleep_forever  # type: ignore[method-assign]

    async def run_opener() -> None:
        with pytest.raises(SessionEnded):
            await opener.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_opener)
        acceptor.drain(60)
        began = trio.current_time()
        with pytest.raises(SessionEnded, match="drained"):
            await acceptor.run()
        assert trio.current_time() - began <= LINGER_PULSES + 1


async def test_a_silent_peer_is_dead_in_twenty_seconds() -> None:
    """A black-holed path: nothing is refused, nothing arrives."""
    opener, _silent = await greeted(*memory_pair())
    began = trio.current_time()
    exchanges: list[Exchange] = []

    async def ask() -> None:
        exchanges.append(opener.open(get(), ALICE, has_body=False))
        with pytest.raises(SessionLost):
            await exchanges[0].head()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        with pytest.raises(SessionEnded, match="silent"):
            await opener.run()
    assert trio.current_time() - began <= 23


async def test_silence_with_pings_answered_lasts_for_ever() -> None:
    async def agent(exchange: Exchange) -> None:
        await exchange.send_head(OK)
        await trio.sleep_forever()

    async with joined_sessions(agent) as (opener, acceptor):
        watch = opener.open(get(b"/api/v1/pods?watch=1"), ALICE, has_body=False)
        await watch.head()
        with trio.move_on_after(4 * 3600):
            await watch.receive_some()
        assert opener.alive
        assert acceptor.alive
        assert opener.round_trip_seconds is not None


async def test_a_broken_frame_ends_the_session_with_a_sentence() -> None:
    agent_stream, appliance_stream = memory_pair()
    opener, acceptor = await greeted(agent_stream, appliance_stream)
    acceptor.connection._schedule.control(b"\xc1\xc1\xc1")

    async with trio.open_nursery() as nursery:

        async def run_acceptor() -> None:
            with pytest.raises(SessionEnded, match="not a frame"):
                await acceptor.run()

        nursery.start_soon(run_acceptor)
        with pytest.raises(SessionEnded, match="broke the protocol"):
            await opener.run()


@pytest.mark.interpreted
async def test_versions_that_do_not_meet_are_named() -> None:
    from wire import frames

    agent_stream, appliance_stream = memory_pair()
    with pytest.raises(BaseExceptionGroup) as caught:
        original = frames.encode_hello
        frames.encode_hello = lambda hello: original(  # the peer of a far future
            frames.Hello(7, 9, (), hello.window, hello.max_exchanges, hello.name)
        )
        try:
            await greeted(agent_stream, appliance_stream)
        finally:
            frames.encode_hello = original
    assert caught.group_contains(SessionEnded, match="no common version: we speak 1 to 1, the peer 7 to 9")


async def test_losing_the_session_fails_what_is_open_and_keeps_what_was_whole() -> None:
    async def agent(exchange: Exchange) -> None:
        if exchange.request.target == b"/whole":
            exchange.answer_nowait(OK, b"whole")
        else:
            await exchange.send_head(OK)
            await exchange.send_all(b"half")
            await trio.sleep_forever()

    async with joined_sessions(agent) as (opener, acceptor):
        finished = opener.open(get(b"/whole"), ALICE, has_body=False)
        cut = opener.open(get(b"/half"), ALICE, has_body=False)
        await finished.head()
        await cut.head()
        await trio.testing.wait_all_tasks_blocked()
        acceptor.abort()
        await trio.testing.wait_all_tasks_blocked()
        assert await whole(finished) == b"whole"
        with pytest.raises(SessionLost):
            await whole(cut)
        with pytest.raises(SessionLost):
            opener.open(get(), ALICE, has_body=False)


async def test_an_end_of_bytes_without_a_word_is_a_lost_session() -> None:
    stream, _ = memory_pair()
    assert isinstance(stream, MemoryByteStream)
    with pytest.raises(SessionEnded):
        opener, acceptor = await greeted(*(pair := memory_pair()))
        pair[0].abort()
        await opener.run()
        assert acceptor


async def test_a_body_whose_reset_came_in_the_same_read_is_not_whole() -> None:
    async def agent(exchange: Exchange) -> None:
        raise AssertionError(exchange)

    async with joined_sessions(agent) as (_, acceptor):
        opened = Open(1, True, False, 65536, get(b"/"), ALICE)
        said = encode_open(opened) + encode_data(1, b"half") + encode_reset(1, ResetCode.CANCELLED, b"left")
        acceptor._take_in(acceptor.connection.receive_payload, said)
        (exchange,) = acceptor._accepted
        acceptor._accepted.clear()
        assert not exchange.at_eof
        with pytest.raises(ExchangeReset):
            exchange.receive_nowait()


async def test_exchanges_that_ended_are_no_work_for_the_collector() -> None:
    """Flow and exchange name each other while they live. Kept until a collection, they would fill every cache."""

    async def agent(exchange: Exchange) -> None:
        exchange.answer_nowait(OK, b"{}")
        exchange.close()

    async with joined_sessions(agent) as both:
        opener = both[0]
        for _ in range(200):
            exchange = opener.open(get(), ALICE, has_body=False)
            await exchange.head()
            assert exchange.receive_nowait() == b"{}"
            exchange.close()
        del exchange
        await trio.testing.wait_all_tasks_blocked()
        left = [it for it in gc.get_objects() if type(it) is Exchange and it._session in both]
    assert len(left) < 5


async def test_either_end_says_something_of_itself() -> None:
    async def nothing(_: Exchange) -> None: ...

    async with joined_sessions(nothing) as (opener, acceptor):
        heard: dict[Session, list[bytes]] = {opener: [], acceptor: []}
        both = trio.Event()

        def hears(session: Session) -> None:
            def take(body: bytes) -> None:
                heard[session].append(body)
                if all(heard.values()):
                    both.set()

            session.on_note(take)

        hears(opener)
        acceptor.note(b"the API server answers")
        opener.note(b"it is noon")
        await trio.testing.wait_all_tasks_blocked()
        hears(acceptor)  # what was said before is not lost
        await both.wait()

        assert heard == {opener: [b"the API server answers"], acceptor: [b"it is noon"]}
